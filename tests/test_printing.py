"""Tensors are printed as torch prints them: random shapes, sizes of numbers, dtypes, and every option of printing."""

import numpy as np
import pytest

import optimlab as ol

DRAW = np.random.default_rng(0)
KINDS = [
    lambda shape: DRAW.standard_normal(shape) * 10.0 ** DRAW.integers(-6, 7),
    lambda shape: DRAW.integers(-(10 ** int(DRAW.integers(1, 10))), 10 ** int(DRAW.integers(1, 10)), shape),
    lambda shape: DRAW.random(shape) > 0.5,
    lambda shape: np.round(DRAW.standard_normal(shape) * 10),
    lambda shape: np.where(
        DRAW.random(shape) < 0.3, DRAW.choice([np.nan, np.inf, -np.inf]), DRAW.standard_normal(shape)
    ),
    lambda shape: DRAW.standard_normal(shape) * 10.0 ** DRAW.integers(-10, 12, shape),
    lambda shape: DRAW.integers(0, 100, shape).astype(np.uint8),
    lambda shape: DRAW.standard_normal(shape).astype(np.float16),
    lambda shape: np.where(DRAW.random(shape) < 0.5, 0.0, DRAW.standard_normal(shape)),
]
LARGE = [(1001,), (40, 40), (3, 400), (400, 3), (11, 11, 11), (2, 3, 500), (7, 7, 7, 7)]
EMPTY = [(0,), (0, 3), (2, 0, 3)]
OPTIONS = [
    {"precision": 2}, {"sci_mode": True}, {"sci_mode": False}, {"threshold": 5, "edgeitems": 1}, {"linewidth": 40},
    {"profile": "short"}, {"profile": "full"},
]  # fmt: skip


def arrays(count):
    for i in range(count):
        shape = tuple(int(n) for n in DRAW.integers(0, 6, DRAW.integers(0, 4)))
        a = np.asarray(KINDS[i % len(KINDS)](shape))
        with np.errstate(all="ignore"):
            yield a.astype(np.float32) if a.dtype == np.float64 and DRAW.random() < 0.7 else a


def both(a):
    torch = pytest.importorskip("torch", reason="torch is not installed; test_tensor holds texts that it printed")
    return repr(ol.tensor(a)), repr(torch.tensor(a))


def test_small_tensors():
    for a in arrays(450):
        ours, theirs = both(a)
        assert ours == theirs


@pytest.mark.parametrize("shape", LARGE + EMPTY)
def test_large_and_empty_tensors(shape):
    for kind in KINDS:
        ours, theirs = both(np.asarray(kind(shape)))
        assert ours == theirs


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    try:
        for module in (torch, ol):
            module.set_printoptions(**options)
        for a in [*arrays(40), DRAW.standard_normal((4, 9)), DRAW.standard_normal(1200)]:
            ours, theirs = both(a)
            assert ours == theirs
    finally:
        for module in (torch, ol):
            module.set_printoptions(profile="default")


def test_an_unknown_profile_changes_nothing():
    before = repr(ol.rand(3))
    with pytest.raises(ValueError, match="profile"):
        ol.set_printoptions(precision=1, profile="wide")
    assert len(repr(ol.rand(3))) == len(before)
