"""Tensor and autograd: every derivative checked numerically, printing and random numbers as torch's."""

import copy
import math

import numpy as np
import pytest

import optimlab as ol
from optimlab import autograd, nn
from optimlab.autograd import gradcheck, gradgradcheck
from optimlab.functional import OPERATIONS

DRAW = np.random.default_rng(0)


def normal(*shape):
    return DRAW.standard_normal(shape)


CLASSES = np.array([2, 0, 2])


def test_network_gradient():
    """The derivatives of a whole network, against differences of its loss."""
    ol.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5, dtype=ol.float64), nn.Tanh(), nn.Linear(5, 4, dtype=ol.float64), nn.ReLU())
    x, y = ol.tensor(normal(3, 3)), ol.tensor(CLASSES)
    loss_fn = nn.CrossEntropyLoss()
    loss_fn(net(x), y).backward()
    for p in net.parameters():
        array, grad = p.detach().numpy(), p.grad.numpy()
        for at in np.ndindex(array.shape):
            before, losses = array[at], []
            for step in (1e-6, -1e-6):
                array[at] = before + step
                losses.append(loss_fn(net(x), y).item())
            array[at] = before
            assert abs((losses[0] - losses[1]) / 2e-6 - grad[at]) < 1e-7  # as above


def test_gradcheck_refuses_a_wrong_derivative(monkeypatch):
    x = ol.tensor([0.3, -0.7], dtype=ol.float64, requires_grad=True)
    monkeypatch.setitem(OPERATIONS, "sin", (np.sin, lambda g, a: g * np.cos(a) * (1 + 1e-5)))
    assert gradcheck(ol.sin, [x], rtol=1e-4)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(ol.sin, [x], atol=1e-7, rtol=1e-7)
    monkeypatch.setitem(OPERATIONS, "cos", (np.cos, lambda g, a: g * np.sin(a)))
    assert gradgradcheck(ol.sin, [x], raise_exception=False) is False


def test_second_derivatives():
    """A Hessian times a vector, in both of torch's ways."""
    x = ol.tensor([1.0, 2.0], dtype=ol.float64, requires_grad=True)
    v = ol.tensor([0.5, -1.0], dtype=ol.float64)
    loss = (x**3).sum() + x[0] * x[1] ** 2  # Hessian [[6 x0, 2 x1], [2 x1, 6 x1 + 2 x0]]
    (g,) = autograd.grad(loss, x, create_graph=True)
    (product,) = autograd.grad(g, x, v, retain_graph=True)
    assert product.tolist() == [6 * 0.5 - 4, 4 * 0.5 - 14] and x.grad is None
    (g * v).sum().backward()
    assert x.grad.tolist() == product.tolist()


def test_grad_function():
    x, unused = ol.ones(2, requires_grad=True), ol.ones(2, requires_grad=True)
    middle = x * 3
    loss = (middle**2).sum()
    assert [g.tolist() for g in autograd.grad(loss, [middle, x], retain_graph=True)] == [[6, 6], [18, 18]]
    with pytest.raises(RuntimeError, match="at index 1 appears to not have been used"):
        autograd.grad(loss, [x, unused], retain_graph=True)
    assert autograd.grad(loss, [unused], allow_unused=True, retain_graph=True) == (None,)
    assert autograd.grad(loss, [unused], materialize_grads=True, retain_graph=True)[0].tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        autograd.grad(loss, [ol.ones(1)])
    autograd.backward([loss, middle], [None, ol.ones(2)], inputs=[x])
    assert x.grad.tolist() == [21, 21] and unused.grad is None


def test_gradients_add_up_and_graph_is_freed():
    x = ol.tensor([2.0], requires_grad=True)
    y = x * x + x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 10
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert x.grad.item() == 10


def test_leaves_do_not_share_a_gradient():
    a, b = ol.ones(2, requires_grad=True), ol.ones(2, requires_grad=True)
    (a + b).sum().backward()
    with ol.no_grad():
        a.grad.mul_(5)
    assert b.grad.tolist() == [1, 1]


def test_long_chain_does_not_recurse():
    x = ol.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1


def test_no_grad_in_all_its_forms():
    x = ol.tensor([1.0], requires_grad=True)

    @ol.no_grad()
    def brackets():
        return x * 2

    @ol.no_grad
    def bare():
        with ol.enable_grad():
            assert (x * 2).requires_grad
        return x * 2

    with ol.no_grad():
        assert not (x * 2).requires_grad and not ol.is_grad_enabled()
    assert not brackets().requires_grad and not bare().requires_grad and (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), ol.no_grad():
        raise ZeroDivisionError
    assert ol.is_grad_enabled()


def test_numpy_and_tensors_mix():
    x = ol.tensor([1.0, 4.0], requires_grad=True)
    y = np.sqrt(np.array([4.0, 9.0], np.float32) * x)
    y.sum().backward()
    assert y.tolist() == [2.0, 6.0] and x.grad.tolist() == [1.0, 0.75]
    assert (np.float64(2) * x).dtype is ol.float32
    assert np.asarray(ol.tensor([1, 2])).tolist() == [1, 2]
    assert (np.eye(2, dtype=np.float32) @ x).tolist() == [1.0, 4.0]


DTYPES = [  # a, b, and the dtype of a + b
    ([1.0], 2, "float32"),
    ([1], 2, "int64"),
    ([1], 2.0, "float32"),
    ([True], 1, "int64"),
    ([1.0], np.array([1]), "float32"),
    ([1.0], np.array([1.0]), "float64"),
    ([1.0], np.array(1.0), "float32"),
]


@pytest.mark.parametrize(("a", "b", "wanted"), DTYPES)
def test_dtypes(a, b, wanted):
    result = ol.tensor(a) + b
    assert result.dtype.name == wanted
    torch = pytest.importorskip("torch", reason="torch is not installed; the wanted dtype stands for it")
    other = torch.tensor(b) if isinstance(b, np.ndarray) else b
    assert str((torch.tensor(a) + other).dtype) == str(result.dtype)
    assert str((torch.tensor(a) / other).dtype) == str((ol.tensor(a) / b).dtype)


PRINTED = [  # an expression, and what torch 2.13.0 prints for it
    ("tensor([1.04], requires_grad=True)", "tensor([1.0400], requires_grad=True)"),
    ("tensor([1.])", "tensor([1.])"),
    ("tensor(0.05)", "tensor(0.0500)"),
    ("tensor([1.0, 2.5e-5])", "tensor([1.0000e+00, 2.5000e-05])"),
    ("tensor([1., 2.], dtype=float64)", "tensor([1., 2.], dtype=torch.float64)"),
    ("tensor([1.], requires_grad=True) * 2", "tensor([2.], grad_fn=<MulBackward0>)"),
    ("nn.Parameter(tensor([1.]))", "Parameter containing:\ntensor([1.], requires_grad=True)"),
    ("tensor([True, False])", "tensor([ True, False])"),
    ("tensor([[1, -20], [300, 4]])", "tensor([[  1, -20],\n        [300,   4]])"),
    ("tensor([nan, -1.5, inf])", "tensor([    nan, -1.5000,     inf])"),
    ("tensor([0., 0.])", "tensor([0., 0.])"),
    ("tensor([1e9, 1.])", "tensor([1.0000e+09, 1.0000e+00])"),
    ("zeros(2, 0)", "tensor([], size=(2, 0))"),
    ("tensor([])", "tensor([])"),
    ("ones(2, 2).shape", "torch.Size([2, 2])"),
    ("ones(1).dtype", "torch.float32"),
    ("zeros(1001).sum()", "tensor(0.)"),
    ("arange(2000).reshape(2, 1000)", None),
    ("(arange(2000) / 7).reshape(20, 5, 20)", None),
    ("(arange(30) - 12) / 7", None),
    ("ones(11, dtype=float64, requires_grad=True)", None),
    ("tensor([1.], requires_grad=True).sum(dim=0)", "tensor(1., grad_fn=<SumBackward1>)"),
    ("(tensor([[1.]], requires_grad=True) @ ones(1, 1)).exp()", "tensor([[2.7183]], grad_fn=<ExpBackward0>)"),
]


@pytest.mark.parametrize(("expression", "printed"), PRINTED)
def test_printing(expression, printed):
    def run(module):
        return repr(eval(expression, vars(module) | {"nan": math.nan, "inf": math.inf}))

    if printed is not None:
        assert run(ol) == printed
    torch = pytest.importorskip("torch", reason="torch is not installed; the printed text stands for it")
    assert run(ol) == run(torch)


def test_module_tree():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(2, 3)
            self.act = nn.ReLU()
            self.scale = nn.Parameter(ol.ones(1))
            self.tied = self.first

        def forward(self, x):
            return self.act(self.first(x)) * self.scale

    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["scale", "first.weight", "first.bias"]
    assert net.eval().first.training is False and net.train().training is True
    net(ol.ones(4, 2)).sum().backward()
    assert net.scale.grad is not None
    net.zero_grad()
    assert net.scale.grad is None
    twin = copy.deepcopy(net)
    assert twin.first is twin.tied and twin.scale is not net.scale
    net.scale = nn.Parameter(ol.zeros(1))
    assert twin.scale.item() == 1
    del net.scale
    with pytest.raises(AttributeError, match="scale"):
        _ = net.scale


def test_in_place():
    x = ol.zeros(3)
    view = x[1:]
    x += 1
    x.mul_(4).sub_(1, alpha=2).div_(2)
    x[0] = 7.0
    assert x.tolist() == [7, 1, 1] and view.tolist() == [1, 1]
    w = ol.ones(3, requires_grad=True)
    total = ol.zeros(1)
    total += (w * 2).sum()
    total.backward()
    assert w.grad.tolist() == [2, 2, 2]
    with ol.no_grad():
        w -= 0.5 * w.grad
    assert w.tolist() == [0, 0, 0] and w.requires_grad
