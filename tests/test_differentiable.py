"""differentiable=True: gradients flow through steps, back to the start and to options given as tensors."""

import itertools

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim

OPTIONS = {  # numbers in a tuple, and all of the names in LEARNED, are learned
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2, "nesterov": True},
    "ASGD": {"lr": 0.1, "t0": 1, "lambd": 0.1, "weight_decay": 0.2},
    "Rprop": {"lr": 0.1},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.2},
    "Adadelta": {"lr": 0.9, "weight_decay": 0.2, "eps": 0.1},
    "RMSprop": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2, "centered": True},
    "Adam": {"lr": 0.1, "weight_decay": 0.2, "betas": (0.8, 0.95), "amsgrad": True},
    "AdamW": {"lr": 0.1, "weight_decay": 0.2, "betas": (0.8, 0.95)},
    "Adamax": {"lr": 0.1, "weight_decay": 0.2, "maximize": True},
    "NAdam": {"lr": 0.1, "weight_decay": 0.2, "momentum_decay": 0.1},
    "RAdam": {"lr": 0.1, "weight_decay": 0.2},  # seven steps: the last two with a denominator
}
LEARNED = ("lr", "weight_decay", "betas")
STARTS = [1.0, -2.0]


def final(name, start, options, differentiable=True, steps=7):
    """A loss of where the steps end, from gradients that depend on the parameter."""
    p = start * 1.0
    optimizer = getattr(optim, name)([p], differentiable=differentiable, **options)
    for t in range(steps):
        x = p if differentiable else p.detach()
        p.grad = x * ol.tensor([1.0, 3.0], dtype=ol.float64) + 0.1 * t
        optimizer.step()
    return (p * p).sum()


def flatten(options):
    return [(k, i) for k in LEARNED if k in options for i in range(len(options[k]) if k == "betas" else 1)]


def moved(options, key, i, h):
    value = options[key]
    return options | {key: tuple(b + h * (j == i) for j, b in enumerate(value)) if key == "betas" else value + h}


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_flow_to_the_start_and_to_options(name):
    def leaf(x):
        return ol.tensor(x, dtype=ol.float64, requires_grad=True)

    def differences(end):
        return (end(1e-6) - end(-1e-6)) / 2e-6

    options, start = OPTIONS[name], leaf(STARTS)
    learned = {k: tuple(map(leaf, v)) if isinstance(v, tuple) else leaf(v) for k, v in options.items() if k in LEARNED}
    final(name, start, options | learned).backward()
    # central differences with step 1e-6: rounding of 1e-16 / 1e-6, times what the steps make of it
    near = {"rel": 1e-7, "abs": 1e-8}
    for i in range(2):

        def end(h, i=i):
            x = np.array(STARTS)
            x[i] += h
            return final(name, ol.tensor(x), options, differentiable=False).item()

        assert start.grad[i].item() == pytest.approx(differences(end), **near)
    for key, i in flatten(options):
        tensor = learned[key][i] if key == "betas" else learned[key]

        def end(h, key=key, i=i):
            return final(name, ol.tensor(np.array(STARTS)), moved(options, key, i, h), differentiable=False).item()

        assert tensor.grad.item() == pytest.approx(differences(end), **near), key


@pytest.mark.parametrize("name", OPTIONS)
def test_the_steps_are_those_without_it(name):
    """The same rule on tensors: equal but for the roundings of scalar factors, which are grouped in another way."""
    ends = [final(name, ol.tensor(np.array(STARTS)), OPTIONS[name], way).item() for way in (True, False)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-13)


def test_a_learning_rate_is_learned_by_its_hypergradient():
    """Descent on the learning rate of Adam, until ten steps end nearly at the minimum."""
    lr = ol.tensor(0.01, dtype=ol.float64, requires_grad=True)
    outer = optim.SGD([lr], lr=0.003)
    losses = []
    for _ in range(40):
        p = ol.tensor(np.array([1.0, 1.5]))
        inner = optim.Adam([p], lr=lr, differentiable=True)
        for _ in range(10):
            p.grad = 2 * p
            inner.step()
        loss = (p * p).sum()
        outer.zero_grad()
        loss.backward()
        outer.step()
        losses.append(loss.item())
    assert losses[0] > 2.7 and losses[-1] < 0.1 and lr.item() > 0.1
    assert all(a > b for a, b in itertools.pairwise(losses[:6]))


def test_second_derivatives_flow_too():
    """A Newton step on the learning rate: for SGD on a bowl the loss is a quadratic in it, and one step is enough."""
    lr = ol.tensor(0.1, dtype=ol.float64, requires_grad=True)

    def loss():
        p = ol.tensor(np.array([3.0]))
        optimizer = optim.SGD([p], lr=lr, differentiable=True)
        p.grad = 2 * p
        optimizer.step()
        return (p * p).sum()

    (first,) = ol.autograd.grad(loss(), lr, create_graph=True)
    (second,) = ol.autograd.grad(first, lr)
    assert lr.item() - first.item() / second.item() == pytest.approx(0.5, rel=1e-14)


def test_a_leaf_is_refused():
    p = ol.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.Adam([p], differentiable=True)
    p.grad = ol.ones(2)
    with pytest.raises(RuntimeError, match="in-place operation"):
        optimizer.step()
    assert not optimizer.state and p.tolist() == [1, 2]
