"""Programs that run the same with torch and with optimlab, handed over as ``torch``; run as a script it records torch's.

python tests/oracle.py        # needs torch 2.13.0; rewrites tests/goldens/*.npz
"""

import ast
import math
import sys
from functools import partial
from pathlib import Path

import numpy as np

import cases
from cases import OPTIMIZERS, Betas, Lr, flat, label
from schedules import default_dtype, schedule_runs

GOLDENS = Path(__file__).parent / "goldens"
# what is run: the precision, and how many steps of each problem. "mixed" has float64 parameters while the default is float32
STEPS = {
    "gradients": {"float64": 200, "float32": 50, "mixed": 12},
    "rosenbrock": {"float64": 50, "float32": 50},
    "linear": {"float64": 20, "float32": 20},
    "plane": {"float64": 8, "float32": 8},
    "matrices": {"float64": 50, "float32": 20},
    "rows": {"float64": 50, "float32": 50},
    "network": {"float64": 7},
}
# of L-BFGS, only what its steps lead to: the rest of its state is differences of gradients, which near a minimum have no
# digits; nor has float32
KEPT = {"LBFGS": ("p", "func_evals", "n_iter")}
MARKS = (1, 2, 3, 4, 5, 6, 7, 8, 13, 20, 50, 120, 200)  # the steps that are recorded


def as_given(torch, options):
    """The options as a program would pass them: marked numbers as tensors."""

    def convert(value):
        if isinstance(value, Lr):
            return torch.tensor(float(value))
        return tuple(torch.tensor(b) for b in value) if isinstance(value, Betas) else value

    return {key: convert(value) for key, value in options.items()}


def to_array(value):
    return value.detach().numpy().copy() if hasattr(value, "detach") else np.array(value)


# A problem makes parameters, and what to do at step t: ``advance(optimizer, t)``


def recorded_gradients(torch, dtype, shapes=((2, 3), (2,), ())):
    """Gradients that depend on nothing but t, so that an optimizer's own error is all that is seen.

    At t = 3 the second parameter has none, at t = 5 all are zero.
    """
    draw = np.random.RandomState(1)
    ps = [torch.tensor(draw.standard_normal(s).astype(dtype), requires_grad=True) for s in shapes]

    def advance(optimizer, t):
        for i, (p, shape) in enumerate(zip(ps, shapes, strict=True)):
            g = draw.standard_normal(shape).astype(dtype) * (t != 5)
            p.grad = None if t == 3 and i == 1 else torch.tensor(np.asarray(g, dtype))
        optimizer.step()

    return ps, advance


def minimized(ps, loss):
    """Steps with a closure, on a loss of the parameters."""

    def advance(optimizer, t):
        def closure():
            optimizer.zero_grad()
            value = loss(*ps)
            value.backward()
            return value.detach()  # torch's L-BFGS makes a number of it, and warns where that has a history

        optimizer.step(closure)

    return ps, advance


def rosenbrock(torch, dtype):
    """Rosenbrock's valley, divided by 100, from (1.5, 1.5)."""
    ps = [torch.tensor(np.array([1.5, 1.5], dtype), requires_grad=True)]
    return minimized(ps, lambda p: ((1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2) / 100)


def linear(torch, dtype, columns=()):
    """The square of w x + b: w (10, 5), b (10, *columns), x (5, *columns)."""
    draw = np.random.RandomState(2)
    shapes = ((10, 5), (10, *columns), (5, *columns))
    w, b, x = (torch.tensor(draw.standard_normal(s).astype(dtype)) for s in shapes)
    ps = [w.requires_grad_(), b.requires_grad_()]
    return minimized(ps, lambda w, b: ((w @ x + b) ** 2).sum())


def network(torch, dtype):
    """Two layers with sigmoids on eight examples, 2 inputs, 3 hidden units, 1 output."""
    draw = np.random.RandomState(3)
    shapes = ((2, 3), (3,), (3, 1), (1,), (8, 2), (8, 1))
    *ps, x, y = (torch.tensor(draw.standard_normal(s).astype(dtype)) for s in shapes)

    def sigmoid(z):
        return 1 / (1 + (-z).exp())

    def loss(w1, b1, w2, b2):
        return ((sigmoid(sigmoid(x @ w1 + b1) @ w2 + b2) - y) ** 2).mean()

    return minimized([p.requires_grad_() for p in ps], loss)


def rows(torch, dtype):
    """Sparse gradients: three rows of five, some of them twice; no row at t = 5, no gradient at t = 3."""
    draw = np.random.RandomState(4)
    p = torch.tensor(draw.standard_normal((5, 2)).astype(dtype), requires_grad=True)

    def advance(optimizer, t):
        at, values = draw.randint(0, 5, (1, 3)), draw.standard_normal((3, 2)).astype(dtype)
        n = 0 if t == 5 else 3
        g = torch.sparse_coo_tensor(torch.tensor(at[:, :n]), torch.tensor(values[:n]), (5, 2), check_invariants=True)
        p.grad = None if t == 3 else g
        optimizer.step()

    return [p], advance


PROBLEMS = {
    "gradients": recorded_gradients,
    "matrices": partial(recorded_gradients, shapes=((5, 3), (2, 4), (1, 3))),
    "rosenbrock": rosenbrock,
    "linear": linear,
    "plane": partial(linear, columns=(1,)),
    "network": network,
    "rows": rows,
}


def optimizer_run(torch, name, options, problem, precision):
    """Parameters and state after every step, by name: arrays of (steps, *shape)."""
    record = {}
    with default_dtype(torch, "float32" if precision == "mixed" else precision):
        ps, advance = PROBLEMS[problem](torch, "float64" if precision == "mixed" else precision)
        options = as_given(torch, options)
        first, rest = options.pop("groups", ({}, {}))
        groups = [{"params": ps[:1], **first}, {"params": ps[1:], **rest}] if first and ps[1:] else ps
        optimizer = getattr(torch.optim, name)(groups, **options)
        for t in range(1, STEPS[problem][precision] + 1):
            advance(optimizer, t)
            for i, p in enumerate(ps):
                found = {"p": p, **optimizer.state.get(p, {})}
                for key in KEPT.get(name, found):
                    if key in found:
                        record.setdefault(f"{i}.{key}", []).append(to_array(found[key]))
    return {key: np.array(values) for key, values in record.items()}


def optimizer_cases():
    """Every run as (name, options, problem, precision)."""
    return [
        (name, options, problem, precision)
        for name, options in flat(OPTIMIZERS)
        for problem in cases.PROBLEMS[name][: None if options in cases.CONFIGURATIONS[name] else 1]
        for precision in STEPS[problem]
        if precision == "float64" or name not in KEPT
    ]


def packed(run):
    """What is recorded of a run: its names with dtypes and shapes, and the marked steps as rows of all numbers."""
    layout = ";".join(f"{key} {array.dtype} {array.shape[1:]}" for key, array in run.items())
    return layout, np.concatenate([marked(array).astype(np.float64) for array in run.values()], axis=1)


def unpacked(layout, numbers):
    """A recorded run by name: dtype, shape and the marked steps."""
    run, column = {}, 0
    for entry in layout.split(";"):
        key, dtype, shape = entry.split(" ", 2)
        shape = ast.literal_eval(shape)
        run[key] = dtype, shape, numbers[:, column : column + math.prod(shape)]
        column += math.prod(shape)
    return run


def marked(array):
    """The marked steps of (steps, *shape), as rows."""
    return array[[t - 1 for t in MARKS if t <= len(array)]].reshape(-1, array[0].size)


def all_runs(torch):
    """Every recorded run as (file, key, array)."""
    for name, options, problem, precision in optimizer_cases():
        layout, numbers = packed(optimizer_run(torch, name, options, problem, precision))
        key = f"{label(name, options)}/{problem}/{precision}"
        yield f"optimizers_{name}", key, numbers
        yield f"optimizers_{name}", key + "/layout", np.array(layout)
    for key, array in schedule_runs(torch):
        yield "schedules", key, array


def record():
    """Write what torch computes to the golden files."""
    import torch

    if torch.__version__.split("+")[0] != "2.13.0":
        sys.exit(f"goldens are recorded from torch 2.13.0, this is {torch.__version__}")
    files = {}
    for file, key, array in all_runs(torch):
        files.setdefault(file, {})[key] = array
    GOLDENS.mkdir(exist_ok=True)
    for file, arrays in files.items():
        np.savez_compressed(GOLDENS / f"{file}.npz", **arrays)
        print(f"{file}.npz: {len(arrays)} arrays, {(GOLDENS / f'{file}.npz').stat().st_size // 1024} kB")


if __name__ == "__main__":
    record()
