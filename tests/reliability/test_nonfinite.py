"""NaN and Inf among the gradients: ignored as torch does, skipped and counted, or refused by name."""

import copy
import importlib.util
import math
import pickle
import warnings

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim
from optimlab.optim.engine import get_engine

METHODS = [
    (optim.SGD, {"momentum": 0.9}),
    (optim.ASGD, {}),
    (optim.Rprop, {}),
    (optim.Adagrad, {}),
    (optim.Adadelta, {}),
    (optim.RMSprop, {}),
    (optim.Adam, {}),
    (optim.AdamW, {}),
    (optim.Adamax, {}),
    (optim.NAdam, {}),
    (optim.RAdam, {}),
    (optim.Adafactor, {}),
    (optim.Muon, {}),
]
methods = pytest.mark.parametrize(("cls", "options"), METHODS, ids=[cls.__name__ for cls, _ in METHODS])
bad = pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])


def begun(cls, options, names=False):
    ps = [ol.tensor(np.full((2, 2), x), requires_grad=True) for x in (1.0, 2.0)]
    optimizer = cls([("w", ps[0]), ("b", ps[1])] if names else ps, **options)
    step(optimizer, 1.0)
    return optimizer, ps


def step(optimizer, number):
    for i, p in enumerate(optimizer.param_groups[0]["params"]):
        g = np.full(p.shape, 1.0)
        g[0, 1] = number if i else 1.0
        p.grad = ol.tensor(g)
    optimizer.step()


def all_numbers(optimizer, ps):
    state = [x.numpy().tobytes() for p in ps for x in optimizer.state[p].values()]
    return [p.detach().numpy().tobytes() for p in ps] + state


@methods
@bad
def test_skipped_and_counted(cls, options, number):
    optimizer, ps = begun(cls, options)
    optimizer.nonfinite = "skip"
    before = all_numbers(optimizer, ps)
    step(optimizer, number)
    assert all_numbers(optimizer, ps) == before and optimizer.skipped_steps == 1
    step(optimizer, 1.0)
    assert all_numbers(optimizer, ps) != before and optimizer.skipped_steps == 1


@methods
@bad
def test_refused_by_name(cls, options, number):
    optimizer, ps = begun(cls, options, names=True)
    optimizer.nonfinite = "raise"
    before = all_numbers(optimizer, ps)
    with pytest.raises(FloatingPointError, match="parameter 'b' has NaN or Inf at step 2"):
        step(optimizer, number)
    assert all_numbers(optimizer, ps) == before


@methods
def test_ignored_unless_asked(cls, options):
    optimizer, ps = begun(cls, options)
    assert optimizer.nonfinite == "ignore"
    step(optimizer, math.nan)
    second = ps[1].detach().numpy()
    assert cls is optim.Rprop or not np.isfinite(second[0, 1])  # Rprop looks at signs, and NaN has none
    assert np.isfinite(ps[0].detach().numpy()).all() and optimizer.skipped_steps == 0


def test_a_closures_gradients_are_looked_at_too():
    optimizer, ps = begun(optim.Adam, {})
    optimizer.nonfinite = "skip"

    def closure():
        optimizer.zero_grad()
        loss = (ps[0] * math.inf).sum() + ps[1].sum()
        loss.backward()
        return loss

    assert math.isinf(optimizer.step(closure).item()) and optimizer.skipped_steps == 1


def test_sparse_gradients_too():
    p = ol.tensor(np.ones((3, 2)), requires_grad=True)
    optimizer = optim.SparseAdam([p])
    optimizer.nonfinite = "raise"
    p.grad = ol.sparse_coo_tensor([[1]], [[math.nan, 0.0]], (3, 2), dtype=ol.float64)
    with pytest.raises(FloatingPointError, match="parameter 0 has NaN or Inf at step 1"):
        optimizer.step()


def test_the_attribute_is_checked_and_copied():
    optimizer, _ = begun(optim.Adam, {})
    with pytest.raises(ValueError, match="'ignore' or 'skip' or 'raise'"):
        optimizer.nonfinite = "stop"
    optimizer.nonfinite = "raise"
    optimizer.load_state_dict(optimizer.state_dict())
    for other in (optimizer, copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other.nonfinite == "raise"


def test_a_sparse_gradient_that_adds_up_to_infinity():
    p = ol.tensor(np.ones((3, 2)), requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.nonfinite = "skip"
    p.grad = ol.sparse_coo_tensor([[1, 1]], [[1e308, 0.0], [1e308, 0.0]], (3, 2), dtype=ol.float64)
    optimizer.step()
    assert optimizer.skipped_steps == 1


def test_a_differentiable_step_is_looked_at():
    p = ol.tensor([1.0, 2.0], requires_grad=True).clone()
    optimizer = optim.SGD([p], lr=0.1, differentiable=True)
    optimizer.nonfinite = "raise"
    p.grad = ol.tensor([1.0, math.nan])
    with pytest.raises(FloatingPointError, match="parameter 0 has NaN or Inf at step 1"):
        optimizer.step()
    assert p.tolist() == [1.0, 2.0]


class Mine(optim.Optimizer):
    """As a learner writes it: knows nothing of NaN."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @ol.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with ol.enable_grad():
                loss = closure()
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * p.grad)
        return loss


@pytest.mark.parametrize(
    "call", [lambda o, c: (c(), o.step())[1], lambda o, c: o.step(c), lambda o, c: o.step(closure=c)]
)
def test_a_learners_optimizer_has_the_attribute_too(call):
    p = ol.tensor([1.0, 2.0], requires_grad=True)
    optimizer = Mine([p])

    def closure():
        p.grad = ol.tensor([1.0, math.inf])
        return 1.5

    optimizer.nonfinite = "raise"
    with pytest.raises(FloatingPointError, match="parameter 0 has NaN or Inf at step 1"):
        call(optimizer, closure)
    optimizer.nonfinite = "skip"
    assert call(optimizer, closure) in (1.5, None)
    assert p.tolist() == [1.0, 2.0] and optimizer.skipped_steps == 1
    optimizer.nonfinite = "ignore"
    call(optimizer, closure)
    assert p[0] < 1 and p[1] == -math.inf


def test_the_optimizer_within_a_closure_decides_for_itself():
    (inner, _), (outer, _) = begun(optim.Adam, {}), begun(optim.Adam, {})
    inner.nonfinite, outer.nonfinite = "raise", "skip"
    with pytest.raises(FloatingPointError):
        outer.step(lambda: step(inner, math.nan))
    assert outer.skipped_steps == 0


def test_the_step_is_named_after_resuming_and_skipping():
    optimizer, _ = begun(optim.Adam, {})
    for _ in range(6):
        step(optimizer, 1.0)
    other, _ = begun(optim.Adam, {})
    other.load_state_dict(optimizer.state_dict())
    other.nonfinite = "raise"
    with pytest.raises(FloatingPointError, match="at step 8"):
        step(other, math.nan)
    optimizer.nonfinite = "skip"
    step(optimizer, math.nan)
    optimizer.nonfinite = "raise"
    with pytest.raises(FloatingPointError, match="at step 9"):
        step(optimizer, math.nan)


SEARCHES = [(optim.LBFGS, {}), (optim.LBFGS, {"line_search_fn": "strong_wolfe"}), (optim.ConjugateGradient, {})]


@pytest.mark.parametrize(("cls", "options"), SEARCHES, ids=["LBFGS", "LBFGS, strong Wolfe", "ConjugateGradient"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_methods_that_search_end_where_they_last_were(cls, options, number):
    """Call ``number`` of the closure leaves NaN: what is left of the step is left out, or it raises."""
    p = ol.tensor(np.array([1.0, 2.0]), requires_grad=True)
    optimizer = cls([("w", p)], max_iter=5, **options)
    calls, points = [], [p.tolist()]

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = ((p - 3) ** 4).sum()
        loss.backward()
        if len(calls) % 5 == number:
            p.grad[0] = math.nan
        else:
            points.append(p.tolist())
        return loss

    for mode in ("ignore", "raise"):
        optimizer.nonfinite = mode
        calls.clear()
        with pytest.raises(FloatingPointError, match="parameter 'w' has NaN or Inf at step 1; the parameters are back"):
            optimizer.step(closure)
    optimizer.nonfinite = "skip"
    calls.clear()
    optimizer.step(closure)
    assert optimizer.skipped_steps == 1 and len(calls) == number and p.tolist() in points


def test_a_line_search_may_meet_infinity():
    """It then tries a shorter step: nothing is skipped."""
    p = ol.tensor(np.array([30.0]), requires_grad=True)
    optimizer = optim.LBFGS([p], lr=1000, line_search_fn="strong_wolfe")
    optimizer.nonfinite = "raise"
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = ol.exp(p).sum() + ol.exp(-p).sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    optimizer.step(closure)
    assert math.inf in losses and losses[-1] < losses[0]


ENGINES = ["numpy", "eager", *(["numba"] if importlib.util.find_spec("numba") else [])]
MOMENTS = [
    optim.Adagrad,
    optim.Adadelta,
    optim.RMSprop,
    optim.Adam,
    optim.AdamW,
    optim.NAdam,
    optim.RAdam,
    optim.Adafactor,
]


@pytest.fixture(params=ENGINES)
def engine(request):
    before = get_engine()
    ol.set_engine(request.param)
    yield request.param
    ol.set_engine(before)


def warned_at(optimizer, p, gradients):
    """The numbers of the steps that warned; each warning must point here."""
    found = []
    for t, g in enumerate(gradients, 1):
        p.grad = ol.full(p.shape, g)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            optimizer.step()
        for w in caught:
            assert f"overflow in a step of {type(optimizer).__name__}: a second moment of parameter 0" in str(w.message)
            assert w.category is RuntimeWarning and w.filename == __file__
        found += [t] * len(caught)
    return found


@pytest.mark.parametrize("cls", MOMENTS)
@pytest.mark.parametrize("shape", [(2,), (2, 2)])
def test_an_overflow_is_told_once(cls, shape, engine):
    p = ol.ones(shape, requires_grad=True)
    assert warned_at(cls([p]), p, [1e20] * 5) == [1]
    p = ol.ones(shape, requires_grad=True)
    assert warned_at(cls([p]), p, [1.0, 1e15, 1.0, 1.0]) == []  # 1e30 is finite


def test_a_later_overflow_is_told_when_the_state_is_looked_at_next(engine):
    p = ol.ones(2, requires_grad=True)
    assert warned_at(optim.Adam([p]), p, [1.0] * 4 + [1e20] + [1.0] * 4) == [5 if engine == "numpy" else 8]
    p = ol.ones(2, requires_grad=True)
    optimizer = optim.Adam([p])
    assert warned_at(optimizer, p, [1.0] * 300) == []
    assert warned_at(optimizer, p, [1e20] + [1.0] * 220) == [1 if engine == "numpy" else 212]  # 512 in all


@methods
def test_an_infinite_gradient_is_no_overflow(cls, options, engine):
    p = ol.ones(2, 2, requires_grad=True)
    assert warned_at(cls([p], **options), p, [1.0, math.inf, math.nan, 1.0]) == []


def test_an_overflow_in_sparse_rows_is_told():
    p = ol.ones(3, 2, requires_grad=True)
    optimizer = optim.SparseAdam([p])
    p.grad = ol.sparse_coo_tensor([[1]], [[1e20, 0.0]], (3, 2))
    with pytest.warns(RuntimeWarning, match="overflow in a step of SparseAdam"):
        optimizer.step()


def test_a_closure_without_backward_is_told_where_step_was_called():
    p = ol.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="call loss.backward") as caught:
        optim.Adam([p]).step(lambda: (p**2).sum())
    assert [w.filename for w in caught] == [__file__]
