"""What properties are tried on: every optimizer with some options, and runs on gradients drawn from a seed."""

import numpy as np
from hypothesis import strategies as st

import optimlab as ol
from optimlab import optim

ELEMENTWISE = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.5, "dampening": 0.25}),
    (optim.ASGD, {"lr": 0.1, "t0": 2}),
    (optim.Rprop, {"lr": 0.1}),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1}),
    (optim.Adadelta, {"lr": 0.5}),
    (optim.RMSprop, {"lr": 0.01}),
    (optim.RMSprop, {"lr": 0.01, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    (optim.Adam, {"lr": 0.1}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    (optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
    (optim.Adamax, {"lr": 0.1}),
    (optim.NAdam, {"lr": 0.1}),
    (optim.RAdam, {"lr": 0.1}),
]
ADAFACTOR = (optim.Adafactor, {"lr": 0.1})
ALL = [*ELEMENTWISE, ADAFACTOR]

seeds = st.integers(0, 2**32 - 1)
elementwise = st.sampled_from(ELEMENTWISE)
anyone = st.sampled_from(ALL)
steps = st.integers(1, 8)
# single numbers, odd sizes, and two axes
shapes = st.sampled_from([(), (1,), (2,), (7,), (2, 3), (3, 1, 2)])


def draw(seed, n, *shapes):
    """Start values and n gradients for each shape, in float64: (starts, gradients)."""
    random = np.random.default_rng(seed)
    starts = [random.standard_normal(shape) for shape in shapes]
    gradients = [[random.standard_normal(shape) for shape in shapes] for _ in range(n)]
    return starts, gradients


def leaves(arrays, dtype=None):
    return [ol.tensor(np.array(a, dtype or np.float64), requires_grad=True) for a in arrays]


def give(optimizer, gradients):
    """Put gradients on the parameters, in order, and step."""
    ps = [p for group in optimizer.param_groups for p in group["params"]]
    for p, g in zip(ps, gradients, strict=True):
        p.grad = None if g is None else ol.tensor(np.array(g, p.detach().numpy().dtype))
    optimizer.step()


def values(ps):
    return [p.detach().numpy().copy() for p in ps]


def run(method, starts, gradients, dtype=None, **more):
    """Where an optimizer gets from ``starts`` on these gradients."""
    cls, options = method
    ps = leaves(starts, dtype)
    optimizer = cls(ps, **{**options, **more})
    for g in gradients:
        give(optimizer, g)
    return values(ps)


def same(a, b):
    """Equal to the last bit, list by list; -0 equals 0."""
    return len(a) == len(b) and all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def close(a, b, rtol=1e-12, atol=1e-12):
    """Equal up to rounding: sums in another order, or a number of size 1 that was added and taken off again."""
    return all(np.allclose(x, y, rtol=rtol, atol=atol) for x, y in zip(a, b, strict=True))
