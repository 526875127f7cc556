"""Programs that run the same with torch and with optimlab, handed over as ``torch``; run as a script it records torch's.

python tests/oracle.py        # needs torch 2.13.0; rewrites tests/goldens/*.npz
"""

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cases import OPTIMIZERS, SCHEDULES, Betas, Lr, flat, label

GOLDENS = Path(__file__).parent / "goldens"
SHAPES = [(2, 3), (2,), ()]
STEPS = {"float64": 200, "float32": 50}
EPOCHS = 60


@contextmanager
def default_dtype(torch, name):
    """The default dtype set for a while: torch keeps step counts and tensor rates in it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def as_given(torch, options):
    """The options as a program would pass them: marked numbers as tensors."""

    def convert(value):
        if isinstance(value, Lr):
            return torch.tensor(float(value))
        return tuple(torch.tensor(b) for b in value) if isinstance(value, Betas) else value

    return {key: convert(value) for key, value in options.items()}


def to_array(tensor):
    return tensor.detach().numpy().copy()


def optimizer_run(torch, name, options, dtype):
    """Parameters and state after every step on recorded gradients, by name: arrays of (steps, *shape).

    The gradients depend on nothing but t, so that an optimizer's own error is all that is seen. At t = 3 the second
    parameter has none, at t = 5 all are zero.
    """
    draw = np.random.RandomState(1)
    record = {}
    with default_dtype(torch, dtype):
        ps = [torch.tensor(draw.standard_normal(s).astype(dtype), requires_grad=True) for s in SHAPES]
        optimizer = getattr(torch.optim, name)(ps, **as_given(torch, options))
        for t in range(1, STEPS[dtype] + 1):
            for i, (p, shape) in enumerate(zip(ps, SHAPES, strict=True)):
                g = draw.standard_normal(shape).astype(dtype) * (t != 5)
                p.grad = None if t == 3 and i == 1 else torch.tensor(np.asarray(g, dtype))
            optimizer.step()
            for i, p in enumerate(ps):
                for key, value in {"p": p, **optimizer.state.get(p, {})}.items():
                    record.setdefault(f"{i}.{key}", []).append(to_array(value))
    return {key: np.array(values) for key, values in record.items()}


def schedule_run(torch, name, arguments, tensor_lr=False, resume_at=None):
    """The learning rates of two groups over 60 epochs: (epochs + 1, 2); ``resume_at`` goes through state dicts."""
    with default_dtype(torch, "float64"), warnings.catch_warnings():
        warnings.simplefilter("error")

        def begin():
            groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.05, 0.5)]
            if tensor_lr:
                groups = [{**g, "lr": torch.tensor(g["lr"])} for g in groups]
            optimizer = torch.optim.SGD(groups)
            return optimizer, getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)

        optimizer, schedule = begin()
        rates = [[float(g["lr"]) for g in optimizer.param_groups]]
        for epoch in range(EPOCHS):
            if epoch == resume_at:
                saved = optimizer.state_dict(), schedule.state_dict()
                optimizer, schedule = begin()
                optimizer.load_state_dict(saved[0])
                schedule.load_state_dict(saved[1])
            optimizer.step()
            schedule.step()
            rates.append([float(g["lr"]) for g in optimizer.param_groups])
            assert rates[-1] == [float(x) for x in schedule.get_last_lr()]
    return np.array(rates)


def closed_form_run(torch, name, arguments):
    """The learning rates at epochs given by ``step(epoch)``: forth and back."""
    with default_dtype(torch, "float64"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn that the argument is deprecated; that has a test of its own
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
        schedule = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
        rates = []
        for epoch in (3, 17, 0, 8, 40, 1):
            schedule.step(epoch)
            rates.append(optimizer.param_groups[0]["lr"])
    return np.array(rates)


def all_runs(torch):
    """Every recorded run as (file, key, array)."""
    for name, options in flat(OPTIMIZERS):
        for dtype in STEPS:
            for key, array in optimizer_run(torch, name, options, dtype).items():
                yield f"optimizers_{name}", f"{label(name, options)}/{dtype}/{key}", array
    for name, arguments in flat(SCHEDULES):
        yield "schedules", label(name, arguments), schedule_run(torch, name, arguments)
        yield "schedules", label(name, arguments) + "/closed", closed_form_run(torch, name, arguments)


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
