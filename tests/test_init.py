"""Starting values with torch's random numbers, gains and messages; the default ones of layers; dropout; clipping."""

import math

import numpy as np
import pytest

import optimlab as ol
from optimlab import nn
from optimlab.nn import functional as F
from optimlab.nn import init, utils

DTYPES = ["float32", "float64"]
FUNCTIONS = {  # how torch's is called, and for how many units in the last place the results may differ
    "uniform_": ((-2.0, 3.0), 0),
    "normal_": ((1.0, 0.5), 2),
    "constant_": ((0.3,), 0),
    "ones_": ((), 0),
    "zeros_": ((), 0),
    "eye_": ((), 0),
    "xavier_uniform_": ((5 / 3,), 0),
    "xavier_normal_": ((), 2),
    "kaiming_uniform_": ((0.2, "fan_out"), 0),
    "kaiming_normal_": ((0, "fan_in", "relu"), 2),
    "trunc_normal_": ((0.5, 2.0, -1.0, 1.0), 2),
    "trunc_normal_, most inside": ((0.0, 0.5, -1.0, 1.0), 2),
    "sparse_": ((0.3,), 2),
    "orthogonal_": ((2.0,), 64),  # a factorisation by another library
}


def filled(torch, name, dtype, shape):
    function = getattr(torch.nn.init, name.partition(",")[0])
    torch.manual_seed(0)
    t = torch.zeros(*shape, dtype=getattr(torch, dtype))
    assert function(t, *FUNCTIONS[name][0]) is t
    return t.numpy(), torch.rand(1).item()


@pytest.mark.parametrize("shape", [(3, 4), (6, 5), (5, 9)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_in_torch(name, dtype, shape):
    torch = pytest.importorskip("torch")
    (ours, next_ours), (theirs, next_theirs) = (filled(t, name, dtype, shape) for t in (ol, torch))
    ulp = np.spacing(np.abs(theirs).max())
    assert np.abs(ours - theirs).max() <= FUNCTIONS[name][1] * ulp
    assert next_ours == next_theirs  # the stream goes on at the same place


@pytest.mark.parametrize("dtype", DTYPES)
def test_layers_start_as_in_torch(dtype):
    """Bit for bit, made and made anew; embeddings of 16 and more elements to 2 units in the last place."""
    torch = pytest.importorskip("torch")
    starts = []
    for t in (ol, torch):
        t.manual_seed(1)
        kind = {"dtype": getattr(t, dtype)}
        layers = [
            t.nn.Linear(7, 5, **kind),
            t.nn.Conv2d(4, 6, (3, 5), groups=2, **kind),
            t.nn.Linear(3, 2, bias=False, **kind),
            t.nn.Embedding(3, 4, padding_idx=-1, **kind),
            t.nn.Embedding(10, 7, **kind),
            t.nn.BatchNorm2d(3, **kind),
            t.nn.LayerNorm((2, 3), **kind),
            t.nn.LayerNorm(3, bias=False, **kind),
            t.nn.BatchNorm1d(2, affine=False, **kind),
        ]
        found = [x.detach().numpy() for layer in layers for x in layer.state_dict().values()]
        starts.append([x.copy() for x in found])
        for x in found:
            x.fill(7)
        for layer in layers:
            layer.reset_parameters()
        starts[-1] += found
    for a, b in zip(*starts, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_max_ulp(a, b, 2) if a.shape == (10, 7) else np.testing.assert_array_equal(a, b)


def test_layers_begin_as_their_subclass_says():
    """A constructor calls ``reset_parameters``, that of the subclass too; so a whole model can begin anew."""
    printed = []
    for t in (ol, pytest.importorskip("torch", reason="torch is not installed; these are compared with it alone")):

        class Centred(t.nn.Linear):
            def reset_parameters(self, t=t):
                super().reset_parameters()
                t.nn.init.zeros_(self.bias)

        t.manual_seed(3)
        model = t.nn.Sequential(Centred(3, 2), t.nn.ReLU(), t.nn.BatchNorm1d(2))
        first = [p.tolist() for p in model.parameters()]
        model(t.ones(2, 3)).sum().backward()
        t.manual_seed(3)
        model.apply(lambda m: m.reset_parameters() if hasattr(m, "reset_parameters") else None)
        assert [p.tolist() for p in model.parameters()] == first
        printed.append((first, [b.tolist() for b in model.buffers()], model[0].weight.grad is not None))
    assert printed[0] == printed[1]


def test_lenet_of_the_source_documents():
    """The shapes that the first of them prints, and what torch 2.13.0 starts it with."""

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 6, 5)
            self.pool = nn.MaxPool2d(2, 2)
            self.conv2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(16 * 5 * 5, 120)
            self.fc2 = nn.Linear(120, 84)
            self.fc3 = nn.Linear(84, 10)

        def forward(self, x):
            x = self.pool(F.relu(self.conv1(x)))
            x = self.pool(F.relu(self.conv2(x)))
            x = x.view(-1, 16 * 5 * 5)
            x = F.relu(self.fc1(x))
            x = F.relu(self.fc2(x))
            return self.fc3(x)

    ol.manual_seed(0)
    net = LeNet()
    lines = [f"{name} \t {x.size()}" for name, x in net.state_dict().items()]
    assert lines[0] == "conv1.weight \t torch.Size([6, 3, 5, 5])" and lines[-1] == "fc3.bias \t torch.Size([10])"
    assert [list(x.size()) for x in net.state_dict().values()] == [
        [6, 3, 5, 5], [6], [16, 6, 5, 5], [16], [120, 400], [120], [84, 120], [84], [10, 84], [10],
    ]  # fmt: skip
    assert net.conv1.weight[0, 0, 0, 0].item() == pytest.approx(-0.00086444, abs=5e-7)
    out = net(ol.rand(2, 3, 32, 32))
    F.cross_entropy(out, ol.tensor([1, 7])).backward()
    assert out.shape == (2, 10) and all(p.grad.shape == p.shape for p in net.parameters())


def test_gains_and_messages():
    assert init.calculate_gain("tanh") == 5 / 3 and init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04) and init.calculate_gain("linear") == 1
    for call, error, message in [
        (lambda: init.calculate_gain("x"), ValueError, r"Unsupported nonlinearity x; .*relu"),
        (lambda: init.calculate_gain("leaky_relu", True), ValueError, r"negative_slope True not a valid number"),
        (lambda: init.kaiming_uniform_(ol.ones(3)), ValueError, r"Fan in and fan out can not be computed"),
        (lambda: init.kaiming_normal_(ol.ones(2, 2), mode="x"), ValueError, r"Mode x not supported"),
        (lambda: init.eye_(ol.ones(2)), ValueError, r"Only tensors with 2 dimensions are supported"),
        (lambda: init.orthogonal_(ol.ones(2)), ValueError, r"Only tensors with 2 or more dimensions"),
        (lambda: init.uniform_(ol.ones(2), 2, 1), ValueError, r"uniform_ expects .* found from=2 > to=1"),
        (lambda: init.normal_(ol.ones(2), 0, -1), ValueError, r"normal expects std >= 0.0, but found std -1"),
        (lambda: init.ones_(ol.tensor([1])), TypeError, r"tensor must be a Tensor of floats"),
        (lambda: init.trunc_normal_(ol.ones(2), a=2, b=1), ValueError, r"a must be below b"),
        (lambda: nn.Conv2d(3, 6, 5, groups=2), ValueError, r"in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(3, 6, 5, groups=0), ValueError, r"groups must be a positive integer"),
        (lambda: nn.Conv2d(3, 6, 5, padding="x"), ValueError, r"Invalid padding string 'x'"),
        (lambda: nn.Conv2d(3, 6, 5, stride=2, padding="same"), ValueError, r"not supported for strided convolutions"),
        (lambda: nn.Conv2d(3, 6, 0), ValueError, r"kernel_size must be an integer >= 1"),
        (lambda: nn.Linear(-1, 2), ValueError, r"in_features must be an integer >= 0"),
        (lambda: nn.Linear("2", 2), TypeError, r"in_features"),
        (lambda: nn.Dropout(1.5), ValueError, r"dropout probability has to be between 0 and 1, but got 1.5"),
        (lambda: nn.Dropout("x"), TypeError, r"dropout probability"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, r"Padding_idx must be within num_embeddings"),
        (lambda: nn.Embedding(3, 2)(ol.tensor([3])), IndexError, r"index out of range in self: 3"),
        (lambda: nn.Embedding(3, 2)(ol.tensor([1.0])), ValueError, r"Expected tensor for argument #1 'indices'"),
        (
            lambda: nn.Conv2d(3, 6, 5)(ol.ones(1, 4, 8, 8)),
            ValueError,
            r"to have 3 channels, but got 4 channels instead",
        ),
        (lambda: nn.Conv2d(3, 6, 5)(ol.ones(1, 3, 2, 8)), ValueError, r"input size per channel: \(2 x 8\)"),
        (lambda: nn.Conv2d(3, 6, 5)(ol.ones(8, 8)), ValueError, r"Expected 3D \(unbatched\) or 4D \(batched\) input"),
        (lambda: nn.Conv2d(3, 6, 5)(ol.ones(1, 3, 8, 8).double()), ValueError, r"should be the same"),
        (lambda: nn.MaxPool2d(2)(ol.ones(1, 1, 1, 1)), ValueError, r"Output size is too small"),
        (lambda: nn.MaxPool2d(2, padding=2)(ol.ones(1, 1, 4, 4)), ValueError, r"pad should be at most half"),
        (lambda: nn.MaxPool2d(2)(ol.ones(4, 4)), ValueError, r"non-empty 3D or 4D"),
        (lambda: nn.BatchNorm1d(3)(ol.ones(1, 3)), ValueError, r"Expected more than 1 value per channel when training"),
        (lambda: nn.BatchNorm1d(3)(ol.ones(2, 4)), ValueError, r"running_mean should contain 3|should contain 4"),
        (lambda: nn.BatchNorm2d(3)(ol.ones(2, 3)), ValueError, r"expected 4D input \(got 2D input\)"),
        (
            lambda: nn.LayerNorm(3)(ol.ones(2, 4)),
            ValueError,
            r"Given normalized_shape=\[3\], expected input with shape",
        ),
        (lambda: nn.Linear(3, 2)(ol.ones(2, 4)), ValueError, r"mat1 and mat2 shapes cannot be multiplied"),
        (lambda: nn.GELU("x")(ol.ones(1)), ValueError, r"approximate argument must be either none or tanh"),
        (
            lambda: F.linear(ol.ones(2, 3), np.ones((4, 3))),
            TypeError,
            r"weight must be a Tensor of floats, not ndarray",
        ),
        (lambda: F.linear(ol.ones(2, 3), ol.ones(4, 3), ol.ones(1)), ValueError, r"weight is \(4, 3\), bias is \(1,\)"),
        (
            lambda: F.conv2d(ol.ones(1, 1, 3, 3), ol.ones(2, 1, 3)),
            ValueError,
            r"weight must be \(out, in / groups, kh, kw\)",
        ),
        (
            lambda: F.conv2d(ol.ones(1, 1, 3, 3), ol.ones(2, 1, 3, 3), ol.ones(3)),
            ValueError,
            r"1-dimensional with 2 elements",
        ),
        (lambda: F.softmax(ol.ones(2, 3), 5), IndexError, r"Dimension out of range"),
        (lambda: init.xavier_uniform_(5), TypeError, r"tensor must be a Tensor of floats, not int"),
        (lambda: init.constant_(ol.ones(2), "x"), TypeError, r"val must be a number, not str"),
        (lambda: utils.clip_grad_norm_(nn.Linear(1, 1), 1.0), TypeError, r"pass model.parameters\(\)"),
        (lambda: nn.Linear(1, 1, device="cuda"), AssertionError, r"not compiled with CUDA"),
        (lambda: F.one_hot(ol.tensor([0, 3]), 3), ValueError, r"Class values must be in \[0, 2\]"),
    ]:
        with pytest.raises(error, match=message):
            call()
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        init.kaiming_uniform_(ol.ones(0, 2))
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        nn.Softmax()(ol.ones(2, 2))
    assert F.one_hot(ol.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        linear = nn.Linear(0, 1)
    assert linear(ol.ones(2, 0)).shape == (2, 1)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_dropout_as_in_torch(p):
    torch = pytest.importorskip("torch")
    seen = []
    for t in (ol, torch):
        t.manual_seed(0)
        x = t.ones(4, 5, requires_grad=True)
        y = t.nn.Dropout(p)(x)
        y.sum().backward()
        seen.append((y.tolist(), x.grad.tolist(), t.rand(1).item()))
    assert seen[0] == seen[1]


def test_dropout_recorded():
    ol.manual_seed(0)
    kept = (F.dropout(ol.ones(20), 0.3) > 0).tolist()
    assert [i for i, k in enumerate(kept) if not k] == [0, 1, 3, 5, 19]  # torch 2.13.0's
    layer = nn.Dropout(0.3).eval()
    x = ol.ones(3)
    assert layer(x) is x


def test_running_statistics():
    layer, x = nn.BatchNorm1d(2), ol.tensor([[1.0, 10.0], [3.0, 30.0]])
    layer(x)
    assert layer.running_mean.tolist() == pytest.approx([0.2, 2.0]) and layer.num_batches_tracked.item() == 1
    assert layer.running_var.tolist() == pytest.approx([0.9 + 0.1 * 2, 0.9 + 0.1 * 200])
    before = layer.running_mean.tolist()
    layer.eval()(x)
    assert layer.running_mean.tolist() == before and layer.num_batches_tracked.item() == 1
    layer.train()
    for wrong in (x.double(), ol.ones(1, 2), ol.ones(2, 3)):
        with pytest.raises(ValueError, match=r"mixed dtype|more than 1 value|should contain 3 elements not 2"):
            layer(wrong)
        assert layer.running_mean.tolist() == before and layer.num_batches_tracked.item() == 1
    with pytest.raises(ValueError, match=r"expect weight to have scalar type of torch.float64"):
        nn.LayerNorm(2)(x.double())
    average = nn.BatchNorm1d(2, momentum=None)
    for value in (x, 3 * x):
        average(value)
    assert average.running_mean.tolist() == pytest.approx([4.0, 40.0])
    average.reset_running_stats()
    assert average.running_mean.tolist() == [0.0, 0.0] and average.num_batches_tracked.item() == 0


def test_sparse_embeddings_get_the_gradients_of_dense_ones():
    ol.manual_seed(0)
    dense = nn.Embedding(5, 2, padding_idx=1)
    sparse = nn.Embedding(5, 2, padding_idx=1, sparse=True)
    sparse.load_state_dict(dense.state_dict())
    words = ol.tensor([[1, 2], [2, 4]])
    for _ in range(2):  # the second time they add up
        for layer in (dense, sparse):
            (layer(words) ** 3).sum().backward()
    assert sparse.weight.grad.is_sparse and sparse.weight.grad._nnz() == 3
    assert sparse.weight.grad.to_dense().tolist() == dense.weight.grad.tolist()
    assert dense.weight[1].tolist() == [0.0, 0.0] == dense.weight.grad[1].tolist()
    frozen = nn.Embedding.from_pretrained(ol.ones(3, 2))
    assert frozen(ol.tensor([2])).tolist() == [[1.0, 1.0]] and not frozen.weight.requires_grad


def with_grads(*grads, dtype=ol.float32):
    parameters = []
    for g in grads:
        p = nn.Parameter(ol.zeros(len(g), dtype=dtype))
        p.grad = ol.tensor(g, dtype=dtype)
        parameters.append(p)
    return parameters


def test_clip_by_norm():
    ps = with_grads([3.0], [4.0, 0.0])
    assert utils.clip_grad_norm_(ps, 1.0).item() == 5.0
    assert [x for p in ps for x in p.grad.tolist()] == pytest.approx([0.6, 0.8, 0.0], rel=1e-6)  # over norm + 1e-6
    assert utils.clip_grad_norm_(ps, 10.0).item() == pytest.approx(1.0, rel=1e-6)
    assert ps[0].grad.item() == pytest.approx(0.6, rel=1e-6)  # below the limit nothing moves
    (p,) = with_grads([3.0, -4.0])
    assert utils.clip_grad_norm_(p, 1.0, math.inf).item() == 4.0 and p.grad.tolist() == pytest.approx([0.75, -1.0])
    (p,) = with_grads([3.0, -4.0])
    assert utils.clip_grad_norm_(p, 1.0, 1.0).item() == 7.0
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0
    assert utils.clip_grad_norm_(with_grads([3.0, 4.0]), math.inf).item() == 5.0


@pytest.mark.parametrize(("dtype", "size"), [(ol.float32, 1e30), (ol.float32, 1e-30), (ol.float64, 1e200)])
def test_clipping_holds_at_any_size(dtype, size):
    """torch's norm of 1e30s in float32 is inf, and its gradients become zeros."""
    ps = with_grads([size, size], [size], dtype=dtype)
    norm = utils.clip_grad_norm_(ps, size)
    assert norm.item() == pytest.approx(size * math.sqrt(3), rel=1e-6)
    if size > 1:
        assert ps[0].grad.tolist() == pytest.approx([size / math.sqrt(3)] * 2, rel=1e-6)


def test_norms_that_are_not_finite():
    ps = with_grads([3.0, math.inf])
    with pytest.raises(
        RuntimeError, match=r"The total norm of order 2.0 for gradients from `parameters` is non-finite"
    ):
        utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)
    assert ps[0].grad.tolist() == [3.0, math.inf]
    with pytest.warns(UserWarning, match="total norm of the gradients is inf"):
        assert utils.clip_grad_norm_(ps, 1.0).item() == math.inf
    assert ps[0].grad[0].item() == 0.0 and math.isnan(ps[0].grad[1].item())  # as torch scales


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1.0,), ValueError, "max_norm must be a finite number >= 0"),
        ((math.nan,), ValueError, "max_norm"),
        (("x",), TypeError, "max_norm"),
        ((1.0, 0), ValueError, "norm_type must be a number > 0"),
        ((1.0, -1), ValueError, "norm_type must be a number > 0"),
        ((1.0, "x"), ValueError, "could not convert norm_type to float: 'x'"),
    ],
)
def test_limits_are_checked(arguments, error, message):
    ps = with_grads([3.0, 4.0])
    with pytest.raises(error, match=message):
        utils.clip_grad_norm_(ps, *arguments)
    assert ps[0].grad.tolist() == [3.0, 4.0]


def test_clip_by_value():
    (p,) = with_grads([3.0, -4.0, 1.0])
    utils.clip_grad_value_([p], 2.0)
    assert p.grad.tolist() == [2.0, -2.0, 1.0]
    with pytest.raises(ValueError, match="clip_value must be a finite number >= 0"):
        utils.clip_grad_value_([p], -1.0)
    rows = nn.Embedding(3, 1, sparse=True)
    for p_grad, limit in ((rows.weight, 1.5), (rows.weight, 0.5)):
        rows(ol.tensor([1, 1, 2])).sum().backward()
        utils.clip_grad_value_(p_grad, limit)
    assert rows.weight.grad.to_dense().ravel().tolist() == [0.0, 0.5, 0.5]
    assert utils.clip_grad_norm_(rows.weight, 0.1).item() == pytest.approx(math.sqrt(0.5))
    assert rows.weight.grad.to_dense().ravel().tolist() == pytest.approx(
        [0.0, 0.1 / math.sqrt(2), 0.1 / math.sqrt(2)], rel=1e-4
    )


def test_parameters_as_a_vector():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (9,) and vector.requires_grad and vector[:4].tolist() == net[0].weight.ravel().tolist()
    utils.vector_to_parameters(ol.arange(9, dtype=ol.float32), net.parameters())
    assert net[0].weight.tolist() == [[0.0, 1.0], [2.0, 3.0]] and net[1].bias.tolist() == [8.0]
    for wrong in (ol.ones(8), ol.ones(10), ol.ones(3, 3)):
        with pytest.raises(ValueError, match="is invalid for 9 parameters"):
            utils.vector_to_parameters(wrong, net.parameters())
    assert net[1].bias.tolist() == [8.0]
    with pytest.raises(TypeError, match=r"expected torch.Tensor, but got: list"):
        utils.vector_to_parameters([1.0], net.parameters())


def test_clipping_as_in_torch():
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(0)
    for norm_type in (1.0, 2.0, 3.5, math.inf):
        arrays = [draw.standard_normal(n) for n in (5, 1, 7)]
        grads = []
        for t, u in ((ol, utils), (torch, torch.nn.utils)):
            ps = [t.nn.Parameter(t.tensor(a)) for a in arrays]
            for p, a in zip(ps, arrays, strict=True):
                p.grad = t.tensor(a)
            total = u.clip_grad_norm_(ps, 0.7, norm_type)
            u.clip_grads_with_norm_(ps, 0.5, u.get_total_norm([p.grad for p in ps]))
            with pytest.warns(FutureWarning, match="deprecated in favor of `torch.nn.utils.clip_grad_norm_`"):
                later = u.clip_grad_norm(ps, 0.3)
            grads.append(np.concatenate([[total.item(), later.item()], *[p.grad.numpy() for p in ps]]))
        np.testing.assert_allclose(*grads, rtol=1e-14)  # a few roundings
