"""torch.autograd beside backward: operations of one's own, Jacobians and Hessians."""

import numpy as np
import pytest

import optimlab as ol
from optimlab.autograd import gradcheck, gradgradcheck


def cube_of(torch):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x)
            ctx.scale = scale
            return scale * x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return g * 3 * ctx.scale * x**2, None

    return Cube


def test_an_operation_of_ones_own():
    cube = cube_of(ol)
    x = ol.tensor([1.0, -2.0], dtype=ol.float64, requires_grad=True)
    y = cube.apply(x, 2.0)
    assert y.tolist() == [2, -16] and repr(y.grad_fn) == "<CubeBackward>"
    (y * ol.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [6, 240]
    assert gradcheck(lambda x: cube.apply(x, 2.0), [x], atol=1e-7, rtol=1e-7)
    assert gradgradcheck(lambda x: cube.apply(x, 2.0), [x], atol=1e-7, rtol=1e-7)
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()
    with ol.no_grad():
        assert not cube.apply(x, 2.0).requires_grad
    torch = pytest.importorskip("torch", reason="torch is not installed; the numbers above stand for it")
    t = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    (cube_of(torch).apply(t, 2.0) * torch.tensor([1.0, 10.0])).sum().backward()
    assert t.grad.tolist() == x.grad.tolist()


def test_an_operation_that_is_wrong():
    class Wrong(ol.autograd.Function):
        found = ()

        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x)
            return x * y

        @staticmethod
        def backward(ctx, g):
            assert ctx.saved_tensors
            return Wrong.found

    x = ol.ones(2, requires_grad=True)
    for found, words in (((x,), "expected 2, got 1"), ((ol.ones(3), None), r"index 0 - got \[3\]")):
        Wrong.found = found
        with pytest.raises(RuntimeError, match=words):
            Wrong.apply(x, 2).sum().backward()
        assert x.grad is None
    z = x * 1
    y = Wrong.apply(z, 2)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.sum().backward()
    with pytest.raises(NotImplementedError, match="forward"):
        ol.autograd.Function.apply(x)


@pytest.mark.parametrize("history", [False, True])
def test_what_backward_returns_stays_what_it_is(history):
    class Same(ol.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, kept):
            ctx.save_for_backward(kept)
            return x + y

        @staticmethod
        def backward(ctx, g):
            (kept,) = ctx.saved_tensors
            return kept, kept, None

    x, y, kept = ol.ones(2, requires_grad=True), ol.ones(2, requires_grad=True), ol.tensor([2.0, 3.0])
    for _ in range(2):
        (Same.apply(x, y, kept) + x).sum().backward(create_graph=history)
        (2 * y).sum().backward()
    assert x.grad.tolist() == [6, 8] and y.grad.tolist() == [8, 10] and kept.tolist() == [2, 3]


def bowl(torch):
    return lambda x: (x[0] ** 2 * x[1]).exp() + (x**3).sum()


def pair(torch):
    return lambda x, y: (x.outer(y) ** 2).sum() + (x[0] * y[1]).sin()


def vector(torch):
    return lambda x: torch.stack([x[0] * x[1], x[1].sin(), x[0] ** 3])


CALLS = [  # name, function, inputs, vector
    ("jacobian", vector, ([0.5, -1.0],), None),
    ("jacobian", pair, ([0.5, -1.0], [2.0, 0.25]), None),
    ("hessian", bowl, ([0.5, -1.0],), None),
    ("hessian", pair, ([0.5, -1.0], [2.0, 0.25]), None),
    ("vjp", vector, ([0.5, -1.0],), [1.0, 2.0, -1.0]),
    ("hvp", bowl, ([0.5, -1.0],), [1.0, 2.0]),
    ("vhp", bowl, ([0.5, -1.0],), [1.0, 2.0]),
]


def call(torch, name, function, inputs, v):
    tensors = tuple(torch.tensor(x, dtype=torch.float64) for x in inputs)
    others = [] if v is None else [torch.tensor(v, dtype=torch.float64)]
    one = tensors[0] if len(tensors) == 1 else tensors
    found = getattr(torch.autograd.functional, name)(function(torch), one, *others)

    def flat(x):
        return [n for part in x for n in flat(part)] if isinstance(x, tuple) else x.reshape(-1).tolist()

    return flat(found)


@pytest.mark.parametrize(("name", "function", "inputs", "v"), CALLS)
def test_jacobians_and_hessians(name, function, inputs, v):
    ours = call(ol, name, function, inputs, v)
    torch = pytest.importorskip("torch", reason="torch is not installed; the test below stands for it")
    assert ours == pytest.approx(call(torch, name, function, inputs, v), rel=1e-12)  # sums in another order


def test_a_hessian_by_hand():
    x = ol.tensor([1.0, 2.0], dtype=ol.float64, requires_grad=True)
    matrix = ol.autograd.functional.hessian(lambda x: x[0] ** 2 * x[1], x)
    assert matrix.tolist() == [[4, 2], [2, 0]] and not matrix.requires_grad
    recorded = ol.autograd.functional.jacobian(lambda x: x**3, x, create_graph=True)
    recorded.sum().backward()
    assert x.grad.tolist() == [6, 12]
    with ol.no_grad():
        assert ol.autograd.functional.jacobian(lambda x: x * 2, x).tolist() == [[2, 0], [0, 2]]


def test_switches_of_torch_are_accepted():
    with ol.autograd.set_detect_anomaly(True):
        x = ol.ones(1, requires_grad=True)
        (x * 2).backward()
    assert x.grad.item() == 2


def test_numbers_that_are_not_finite_do_not_stop_backward():
    x = ol.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    y = x.log() + 1 / x
    y.sum().backward()
    assert np.isnan(y[0].item()) and np.isnan(x.grad[1].item())  # inf - inf
    assert x.grad[2].item() == pytest.approx(0.25) and x.grad[0].item() == -2
