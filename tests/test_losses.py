"""Losses: derivatives checked numerically, values and gradients as torch's, with weights, smoothing and ignored targets."""

import numpy as np
import pytest

import optimlab as ol
from optimlab.nn import functional as F
from optimlab.testing import gradcheck, gradgradcheck

DRAW = np.random.default_rng(1)


def normal(*shape):
    return DRAW.standard_normal(shape)


def shares(*shape):
    return DRAW.uniform(0.1, 0.9, shape)


CLASSES = np.array([2, 0, 3, 0])
SOME = np.array([2, -100, 3, 0])
MAPS = np.array([[0, 1, 2], [2, -100, 1]])
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.1])
# name: (function, its options, input, target); arrays among the options become tensors
LOSSES = {
    "mse": ("mse_loss", {}, normal(3, 4), normal(3, 4)),
    "l1": ("l1_loss", {}, normal(3, 4), normal(3, 4)),
    "smooth l1": ("smooth_l1_loss", {"beta": 0.7}, 2 * normal(3, 4), normal(3, 4)),
    "smooth l1, sharp": ("smooth_l1_loss", {"beta": 0.0}, normal(5), normal(5)),
    "huber": ("huber_loss", {"delta": 0.7}, 2 * normal(3, 4), normal(3, 4)),
    "bce": ("binary_cross_entropy", {}, shares(3, 4), shares(3, 4)),
    "bce, weights": ("binary_cross_entropy", {"weight": shares(4)}, shares(3, 4), shares(3, 4)),
    "bce of scores": ("binary_cross_entropy_with_logits", {}, 3 * normal(3, 4), shares(3, 4)),
    "bce of scores, weights": (
        "binary_cross_entropy_with_logits",
        {"weight": shares(3, 1), "pos_weight": 3 * shares(4)},
        normal(3, 4),
        shares(3, 4),
    ),
    "nll": ("nll_loss", {}, normal(4, 4), CLASSES),
    "nll, weights": ("nll_loss", {"weight": WEIGHTS}, normal(4, 4), CLASSES),
    "nll, some": ("nll_loss", {}, normal(4, 4), SOME),
    "nll, maps": ("nll_loss", {"weight": WEIGHTS[:3]}, normal(2, 3, 3), MAPS),
    "cross-entropy": ("cross_entropy", {}, normal(4, 4), CLASSES),
    "cross-entropy, one example": ("cross_entropy", {}, normal(4), np.array(2)),
    "cross-entropy, weights": ("cross_entropy", {"weight": WEIGHTS}, normal(4, 4), CLASSES),
    "cross-entropy, some": ("cross_entropy", {"ignore_index": 3}, normal(4, 4), CLASSES),
    "cross-entropy, smoothed": ("cross_entropy", {"label_smoothing": 0.1}, normal(4, 4), CLASSES),
    "cross-entropy, all": ("cross_entropy", {"label_smoothing": 0.2, "weight": WEIGHTS}, normal(4, 4), SOME),
    "cross-entropy, maps": ("cross_entropy", {"label_smoothing": 0.2, "weight": WEIGHTS[:3]}, normal(2, 3, 3), MAPS),
    "cross-entropy, probabilities": ("cross_entropy", {}, normal(3, 4), shares(3, 4)),
    "cross-entropy, probabilities, all": (
        "cross_entropy",
        {"weight": WEIGHTS[:3], "label_smoothing": 0.3},
        normal(2, 3, 2),
        shares(2, 3, 2),
    ),
    "kl": ("kl_div", {}, normal(3, 4), np.append(shares(2, 4), [[0.5, 0.25, 0.25, 0.125]], axis=0)),
    "kl, logarithms": ("kl_div", {"log_target": True}, normal(3, 4), normal(3, 4)),
}
REDUCTIONS = ["mean", "sum", "none"]


def tensors(torch, options):
    return {key: torch.tensor(x) if isinstance(x, np.ndarray) else x for key, x in options.items()}


def value_and_gradients(torch, name, reduction):
    function, options, *arrays = LOSSES[name]
    x, target = (torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays)
    loss = getattr(torch.nn.functional, function)(x, target, reduction=reduction, **tensors(torch, options))
    (loss * torch.tensor(np.cos(np.arange(loss.numel())).reshape(tuple(loss.shape)))).sum().backward()
    return [t.detach().numpy() for t in (loss, x.grad, target.grad) if t is not None], loss.grad_fn.name()


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")  # of kl_div; torch says so too
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_as_in_torch(name, reduction):
    torch = pytest.importorskip("torch")
    ours, theirs = (value_and_gradients(t, name, reduction) for t in (ol, torch))
    assert ours[1] == theirs[1]
    for a, b in zip(ours[0], theirs[0], strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)  # a few roundings


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_derivatives(name, reduction):
    function, options, *arrays = LOSSES[name]
    given = [ol.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]

    def loss(*differentiated):
        return getattr(F, function)(*differentiated, *given[len(differentiated) :], reduction=reduction, **known)

    known, inputs = tensors(ol, options), [t for t in given if t.requires_grad]
    assert gradcheck(loss, inputs, atol=1e-7)
    if name != "bce":  # torch's own second derivative of it is another one
        assert gradgradcheck(loss, inputs, atol=1e-7)


def test_recorded_values():
    """What torch 2.13.0 gives; checked without it."""
    scores, classes = ol.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]]), ol.tensor([2, 1])
    assert F.cross_entropy(scores, classes).item() == pytest.approx(0.907606, abs=1e-6)
    smoothed = ol.nn.CrossEntropyLoss(label_smoothing=0.1)(scores, classes)
    assert smoothed.item() == pytest.approx(0.957606, abs=1e-6)
    half = ol.nn.BCEWithLogitsLoss()(ol.zeros(2), ol.tensor([0.0, 1.0]))
    assert half.item() == pytest.approx(0.693147, abs=1e-6)


def test_divergence_of_batches():
    """ "batchmean" is the sum over the number of examples; a probability of 0 counts as 0."""
    found = []
    for t in (ol, pytest.importorskip("torch", reason="torch is not installed; these are compared with it alone")):
        x = t.tensor([[0.25, 0.5], [1.0, -1.0]], dtype=t.float64, requires_grad=True)
        target = t.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=t.float64)
        loss = t.nn.KLDivLoss(reduction="batchmean")(x, target)
        loss.backward()
        found.append(
            (loss.item(), x.grad.tolist(), repr(loss), t.nn.functional.kl_div(x, target, reduction="sum").item())
        )
    assert found[0] == found[1]
    with pytest.warns(UserWarning, match="'batchmean' divides only by the batch size"):
        F.kl_div(ol.zeros(2, 2), ol.ones(2, 2))


def test_extremes_stay_finite():
    scores = ol.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    for target in ([0], [1]):
        loss = F.cross_entropy(scores, ol.tensor(target))
        loss.backward()
        assert loss.item() == (0.0 if target == [0] else 2e4) and np.isfinite(scores.grad.numpy()).all()
    masked = F.cross_entropy(ol.tensor([[0.0, -np.inf]]), ol.tensor([0]), weight=ol.ones(2))
    assert masked.item() == 0.0  # a class that is ruled out costs nothing while it is wrong
    far = ol.tensor([-1e3, 1e3], requires_grad=True)
    F.binary_cross_entropy_with_logits(far, ol.tensor([1.0, 0.0])).backward()
    assert far.grad.tolist() == [-0.5, 0.5]
    certain = ol.tensor([0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(certain, ol.tensor([1.0, 0.0]))
    assert loss.item() == 100.0  # the logarithm ends at -100, as in torch
    nothing = F.cross_entropy(ol.ones(2, 3), ol.tensor([-100, -100]))
    assert np.isnan(nothing.item()) and np.isnan(F.cross_entropy(ol.ones(0, 3), ol.zeros(0, dtype=ol.int64)).item())


REFUSED = [
    (lambda: F.cross_entropy(ol.ones(2, 3), ol.tensor([0, 3])), IndexError, r"Target 3 is out of bounds.* 0 to 2"),
    (lambda: F.nll_loss(ol.ones(2, 3), ol.tensor([0, -1])), IndexError, r"Target -1 is out of bounds"),
    (lambda: F.cross_entropy(ol.ones(2, 3), ol.tensor([0])), ValueError, r"Expected input batch_size \(2\) to match"),
    (lambda: F.cross_entropy(ol.ones(2, 3), ol.tensor([0.0, 1.0])), TypeError, r"target must be a Tensor of integers"),
    (lambda: F.cross_entropy(ol.ones(2, 3), [0, 1]), TypeError, r"not list"),
    (
        lambda: F.cross_entropy(ol.ones(2, 3, 4), ol.zeros(2, 5, dtype=ol.int64)),
        ValueError,
        r"Expected target size \[2, 4\]",
    ),
    (
        lambda: F.cross_entropy(ol.ones(2, 3), ol.tensor([0, 1]), label_smoothing=2.0),
        ValueError,
        r"between 0.0 and 1.0. Got: 2",
    ),
    (
        lambda: F.cross_entropy(ol.ones(2, 3), ol.tensor([0, 1]), weight=ol.ones(2)),
        ValueError,
        r"either for all 3 classes",
    ),
    (lambda: F.mse_loss(ol.ones(2), ol.ones(2), "x"), ValueError, r"'x' is not a valid value for reduction"),
    (lambda: ol.nn.L1Loss("x"), ValueError, r"'x' is not a valid value for reduction"),
    (
        lambda: F.binary_cross_entropy(ol.tensor([1.5]), ol.ones(1)),
        ValueError,
        r"all elements of input should be between 0 and 1",
    ),
    (
        lambda: F.binary_cross_entropy(ol.ones(1), ol.tensor([1.5])),
        ValueError,
        r"all elements of target should be between",
    ),
    (lambda: F.binary_cross_entropy(ol.ones(1), ol.ones(2)), ValueError, r"Using a target size"),
    (lambda: F.huber_loss(ol.ones(1), ol.ones(1), delta=0), ValueError, r"delta must be a finite number > 0"),
    (lambda: F.smooth_l1_loss(ol.ones(1), ol.ones(1), beta=-1), ValueError, r"beta must be a finite number >= 0"),
    (lambda: F.mse_loss(ol.tensor([1]), ol.ones(1)), TypeError, r"input must be a Tensor of floats"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_other_shapes_are_doubtful():
    for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss):
        with pytest.warns(UserWarning, match="Using a target size .* is different to the input size"):
            loss(ol.ones(2, 1), ol.ones(2))
    with pytest.warns(UserWarning, match="Using a target"), pytest.raises(ValueError, match=r"\(2,\) must match"):
        F.mse_loss(ol.ones(2), ol.ones(3))


def test_texts_and_states():
    torch = pytest.importorskip("torch")
    for make in (
        lambda n, t: n.CrossEntropyLoss(weight=t.ones(3)),
        lambda n, t: n.BCEWithLogitsLoss(pos_weight=t.ones(3)),
        lambda n, t: n.SmoothL1Loss(),
        lambda n, t: n.NLLLoss(reduction="sum"),
    ):
        ours, theirs = make(ol.nn, ol), make(torch.nn, torch)
        assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
