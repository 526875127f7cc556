"""Every row of the table of operations: first and second derivatives against differences of the values."""

import math

import numpy as np
import pytest

import optimlab as ol
from optimlab.autograd import gradcheck, gradgradcheck
from optimlab.functional import OPERATIONS, TABLE
from optimlab.tensor import apply

DRAW = np.random.default_rng(0)


def normal(*shape):
    return DRAW.standard_normal(shape)


def positive(*shape):
    return DRAW.uniform(0.5, 2.0, shape)


def apart(*shape):
    """Numbers no two of which are near each other, nor near 0: where a derivative jumps, differences say nothing."""
    n = int(np.prod(shape))
    return np.asarray((DRAW.permutation(n) - n / 2 + 0.25).reshape(shape) / 3)


def strided(a):
    """The same numbers as every second element of a larger array, axes in reverse order in memory."""
    wide = np.zeros(tuple(2 * n for n in a.shape[::-1]))
    view = wide[tuple(slice(None, None, 2) for _ in a.shape)].T
    view[...] = a
    return view


def pairs(draw=normal, second=None):
    """Two inputs: alike, broadcast in every way, without axes, without elements, and not contiguous."""
    second = second or draw
    shapes = [((3, 2), (3, 2)), ((3, 2), (2,)), ((3, 1), (1, 2)), ((), (2,)), ((2,), ()), ((), ()), ((0, 3), (3,))]
    found = [((draw(*a), second(*b)), {}) for a, b in shapes]
    return [*found, ((strided(draw(3, 2)), strided(second(3, 2))), {}), ((strided(draw(2, 2)), second(1)), {})]


def single(draw=normal, **static):
    """One input: with axes, without, without elements, not contiguous."""
    return [((a,), static) for a in (draw(2, 3), draw(), draw(0, 2), strided(draw(3, 2)))]


def reductions(draw=normal, empty=True):
    found = [((draw(2, 3, 2),), {"dim": d, "keepdim": k}) for d in (None, 1, (0, 2)) for k in (False, True)]
    found += [((a,), {"dim": None, "keepdim": False}) for a in (draw(), strided(draw(3, 2)))]
    return found + ([((draw(0, 2),), {"dim": 1, "keepdim": False})] if empty else [])


def losses(*inputs):
    return [(inputs, {"reduction": r}) for r in ("mean", "sum", "none")]


CLASSES = np.array([2, 0, 2])
PLACES = np.array([[0, 2], [1, 1], [2, 0]])
VIEW = ("getitem", {"index": (slice(1, 3), 0)})
ELSEWHERE = [1, (slice(None), 2), (..., None, slice(0, 2)), np.array([0, 2, 0]), (CLASSES, [0, 1, 0]), np.arange(4) > 1]
# operation: (inputs, options) to differentiate it at; arrays of floats are differentiated, the others are not
CASES = {
    "add": pairs(),
    "sub": [*pairs(), ((1.5, normal(3)), {})],
    "mul": pairs(),
    "div": [*pairs(normal, positive), ((2.0, positive(3)), {})],
    "pow": [*pairs(positive, normal), ((positive(3), 2.5), {}), ((normal(3), 2), {}), ((normal(3), 0), {}),
            ((np.array([0.0, 2.0]), 2), {}), ((np.array([0.0, 2.0]), 1), {}), ((2.0, normal(3)), {})],
    "fmod": pairs(apart, positive),
    "remainder": pairs(apart, positive),
    "floor_divide": pairs(apart, positive),
    "atan2": pairs(),
    "maximum": pairs(),
    "minimum": pairs(),
    "where": [((normal(3) > 0, normal(2, 3), normal(3)), {}), ((np.array(True), normal(), 1.0), {}),
              ((normal(0) > 0, normal(0), normal(0)), {}), ((normal(3, 2) > 0, strided(normal(3, 2)), normal(2)), {})],
    **{name: single() for name in ("neg", "square", "clone", "exp", "expm1", "sin", "cos", "atan", "sinh", "cosh", "tanh")},
    **{name: single() for name in ("sigmoid", "contiguous", "abs", "sign", "relu", "tan")},
    **{name: single(positive) for name in ("sqrt", "rsqrt", "reciprocal", "log", "log1p", "log2", "log10")},
    **{name: single(lambda *s: DRAW.uniform(-0.9, 0.9, s)) for name in ("asin", "acos")},
    **{name: single(apart) for name in ("floor", "ceil", "trunc")},
    "round": single(apart, decimals=0) + single(lambda *s: np.asarray(apart(*s) * 0.3), decimals=1),
    "clamp": [*single(apart, low=-0.4, high=0.7), *single(apart, low=0.1, high=None), *single(apart, low=None, high=0.1)],
    "sum": reductions(),
    "mean": reductions(),
    "amax": [*reductions(apart, False), ((np.ones(1),), {"dim": 0, "keepdim": False})],
    "amin": reductions(apart, False),
    "norm": [*reductions(positive, False)],
    "cumsum": [((normal(2, 3),), {"dim": d}) for d in (0, 1)]
    + [((normal(0),), {"dim": 0}), ((strided(normal(3, 2)),), {"dim": 0})],
    **{
        name: [((normal(2, 3),), {"dim": 0}), ((strided(normal(2, 3)),), {"dim": 1}), ((normal(2, 0),), {"dim": 1})]
        for name in ("softmax", "log_softmax")
    },
    "matmul": [
        ((normal(*a), normal(*b)), {})
        for a, b in [([2, 3], [3, 2]), ([3], [3]), ([2, 3], [3]), ([3], [3, 2]), ([2, 2, 3], [3, 2]), ([3], [2, 3, 2]),
                     ([2, 1, 2, 2], [3, 2, 1]), ([0, 2], [2, 2])]
    ] + [((strided(normal(2, 3)), strided(normal(3, 2))), {})],
    "linear": [((normal(*s, 3), normal(2, 3), normal(2)), {}) for s in ([], [2], [2, 2], [0])]
    + [((strided(normal(2, 3)), normal(4, 3)), {})],
    "einsum": [
        ((normal(*a), normal(*b)), {"subscripts": s})
        for s, a, b in [("ij,jk->ik", [2, 3], [3, 2]), ("bij,bj->b", [2, 2, 2], [2, 2]), ("ij,k->jk", [2, 2], [2]),
                        ("i,i->", [3], [3])]
    ],
    "nll_loss": losses(normal(3, 4), CLASSES),
    "mse_loss": [*losses(normal(3, 2), normal(3, 2)), *losses(normal(3, 2), normal(2)), *losses(normal(), normal())],
    "getitem": [((normal(4, 3),), {"index": i}) for i in ELSEWHERE] + [((strided(normal(4, 3)),), {"index": 2})],
    "scatter": [((normal(3, 2),), {"into": (4, 2), "index": i}) for i in (slice(3), np.array([0, 2, 0]))],
    "setitem": [((normal(4, 3), normal(3)), {"index": i}) for i in (1, np.array([0, 2]))] + [((normal(3), 2.0), {"index": 0})],
    "gather": [((normal(3, 2),), {"index": PLACES, "dim": 0}), ((normal(3, 3),), {"index": PLACES, "dim": 1})],
    "put": [((normal(3, 2),), {"into": (4, 2), "index": PLACES, "dim": 0})],
    "paste": [((normal(4, 2), normal(2)), {"view": VIEW}), ((normal(2, 2), normal(4)), {"view": ("reshape", {"wanted": (4,)})})],
    "cat": [((normal(2, 3), normal(1, 3), normal(2, 3)), {"dim": 0}), ((normal(2, 1), strided(normal(2, 2))), {"dim": 1}),
            ((normal(0, 2), normal(1, 2)), {"dim": 0})],
    "reshape": [((normal(2, 3),), {"wanted": (3, -1)}), ((normal(),), {"wanted": (1, 1)}),
                ((strided(normal(2, 3)),), {"wanted": (6,)})],
    "expand": [((normal(3, 1),), {"wanted": (2, 3, 2)}), ((normal(),), {"wanted": (2,)}), ((normal(1, 2),), {"wanted": (0, 2)})],
    "permute": [((normal(2, 3, 1),), {"axes": (2, 0, 1)}), ((normal(),), {"axes": ()})],
    "flip": [((normal(2, 3),), {"dims": (0, 1)})],
    "fill": single(value=2.0),
    "copy": [((normal(2, 3), normal(3)), {}), ((normal(2), 1.0), {})],
    "to": [((normal(3),), {"dtype": np.dtype("float64")})],
}  # fmt: skip


def test_every_row_has_a_case():
    """A new row without a case fails; the rows that nn adds are checked beside it."""
    assert CASES.keys() == {name for name in TABLE if len(OPERATIONS[name]) > 1}


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name):
    """Central differences err by h² · f‴ / 6 + rounding / h, both below 1e-8 for numbers of size 1 and h = 1e-5."""
    for inputs, static in CASES[name]:
        tensors = [
            ol.from_numpy(x).requires_grad_() if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
            for x in inputs
        ]
        assert gradcheck(lambda *x: apply(name, *x, **static), tensors, atol=1e-7, rtol=1e-7)  # noqa: B023
        assert gradgradcheck(lambda *x: apply(name, *x, **static), tensors, atol=1e-7, rtol=1e-7)  # noqa: B023


NAN = math.nan
EDGES = {  # function of x, x, its value, its gradient: as torch has them
    "std of equal numbers": (lambda x: x.std(), [2, 2], 0, [0, 0]),
    "norm at the origin": (lambda x: x.norm(3), [0, 0], 0, [0, 0]),
    "angle at the origin": (lambda x: x[0].atan2(x[1]), [0, 0], 0, [0, 0]),
    "power of a whole number": (lambda x: (2**x).sum(), [1], 2, [2 * math.log(2)]),
    "power of zero": (lambda x: (0**x).sum(), [0, 2], 1, [0, 0]),
    "median of equal numbers": (lambda x: x.median(), [5, 1, 0, 1, 3], 1, [0, 0.5, 0, 0.5, 0]),
    "median with nan": (lambda x: x.median(), [5, NAN, 0, NAN], NAN, [0, 0.5, 0, 0.5]),
    "median along an axis with nan": (lambda x: x.median(0).values, [5, NAN, 0, NAN], NAN, [0, 1, 0, 0]),
}


@pytest.mark.parametrize("name", EDGES)
def test_at_the_edges(name):
    """float64 beside a default dtype of float32, to the last bit; gradients with a history are the same numbers."""
    function, at, value, gradient = EDGES[name]
    for history in (False, True):
        x = ol.tensor(at, dtype=ol.float64, requires_grad=True)
        y = function(x)
        y.backward(create_graph=history)
        np.testing.assert_array_equal([y.item(), *x.grad.tolist()], [value, *gradient])
    torch = pytest.importorskip("torch", reason="torch is not installed; the numbers above are its")
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    y = function(x)
    y.backward()
    np.testing.assert_array_equal([y.item(), *x.grad.tolist()], [value, *gradient])


def test_the_second_derivative_of_a_huber_loss_is_one_at_zero():
    x = ol.tensor([0.0, 0.5, 2.0], dtype=ol.float64, requires_grad=True)
    for loss in (ol.nn.functional.huber_loss, ol.nn.functional.smooth_l1_loss):
        (slope,) = ol.autograd.grad(loss(x, ol.zeros_like(x), reduction="sum"), x, create_graph=True)
        assert ol.autograd.grad(slope.sum(), x)[0].tolist() == [1, 1, 0]
