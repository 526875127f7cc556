"""NaN and Inf among the gradients: ignored as torch does, skipped and counted, or refused by name."""

import copy
import math
import warnings

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim

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
    assert copy.deepcopy(optimizer).nonfinite == "raise"


def test_an_overflow_is_told_once():
    p = ol.tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([p])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            p.grad = ol.tensor([1e20])
            optimizer.step()
    assert ["overflow in a step of Adam" in str(w.message) for w in caught] == [True]
    assert math.isinf(optimizer.state[p]["exp_avg_sq"].item())
