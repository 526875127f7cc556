"""Whole programs: the same text with torch and with optimlab."""

import inspect
import json
import re
import sys

import pytest

import optimlab
from optimlab.lab import data, problems
from programs import GOLDENS, WHOLE, digits_mlp, output

PRINTED = json.loads(GOLDENS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("program", WHOLE, ids=lambda program: program.__name__)
def test_whole_programs(program):
    """Untouched, with our library lent torch's name, they print what torch prints, to the letter."""
    with optimlab.as_torch():
        assert output(program, optimlab).splitlines() == PRINTED[program.__name__].splitlines()


@pytest.mark.parametrize("program", WHOLE, ids=lambda program: program.__name__)
def test_whole_programs_with_torch(program):
    """What is recorded is what torch prints."""
    torch = pytest.importorskip("torch", reason="torch is not installed; its outputs are recorded")
    assert output(program, torch).splitlines() == PRINTED[program.__name__].splitlines()


@pytest.mark.parametrize("program", WHOLE, ids=lambda program: program.__name__)
def test_whole_programs_with_our_name_in_the_import_lines(program, monkeypatch):
    """The other way: optimlab in place of torch in the import lines, and nothing else."""
    source = inspect.getsource(program)
    source = re.sub(r"^( +)import torch$", r"\1import optimlab as torch", source, flags=re.M)
    source = re.sub(r"^( +)(from|import) torch\b", r"\1\2 optimlab", source, flags=re.M)
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of torch would fail
    names = {}
    exec(source, names)
    assert output(names[program.__name__], optimlab).splitlines() == PRINTED[program.__name__].splitlines()


def the_older_interface():
    """What torch has given up since: ``verbose``, ``print_lr``, the class ``_LRScheduler``, steps counted by the optimizer."""
    import torch
    from torch.optim.lr_scheduler import ExponentialLR, StepLR, _LRScheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.1, verbose=True)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    print(optimizer._step_count, isinstance(scheduler, _LRScheduler))
    scheduler.print_lr(True, 0, 0.25)
    scheduler.print_lr(True, 0, 0.25, 7)

    class Halving(_LRScheduler):
        def __init__(self, optimizer, last_epoch=-1, verbose=False):
            super().__init__(optimizer, last_epoch, verbose)

        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = Halving(optimizer)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    print(scheduler.get_last_lr())
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = ExponentialLR(optimizer, gamma=0.5)
    optimizer.step()
    scheduler.step(3)
    print(scheduler.get_last_lr(), scheduler.last_epoch)


def test_the_older_interface():
    """torch 2.13 has given it up; the lines are those that torch 1.4 printed."""
    adjusting = "Adjusting learning rate of group 0 to"
    with optimlab.as_torch(), pytest.warns(UserWarning, match="The epoch parameter"):
        printed = output(the_older_interface, optimlab)
    assert printed.splitlines() == [
        *[f"{adjusting} {lr}." for lr in ("5.0000e-02", "5.0000e-02", "5.0000e-03", "5.0000e-03")],
        "3 True",
        f"{adjusting} 2.5000e-01.",
        "Epoch 00007: adjusting learning rate of group 0 to 2.5000e-01.",
        "[0.125]",
        "[0.125] 3",
    ]


def test_digits_network():
    losses, right = digits_mlp(optimlab, *data.digits())
    assert right >= 0.97 and losses[-1] < 0.06 < losses[0]


def test_digits_network_prints_what_torch_prints():
    """From the seed alone, float64: shuffling, initial weights, gradients and Adam are torch's."""
    torch = pytest.importorskip("torch", reason="torch is not installed; the program above is checked by its accuracy")
    split = data.digits(dtype=optimlab.float64)
    runs = []
    for module, tensors in [(optimlab, split), (torch, [torch.tensor(x.numpy()) for x in split])]:
        module.set_default_dtype(module.float64)
        try:
            runs.append(digits_mlp(module, *tensors, epochs=3))
        finally:
            module.set_default_dtype(module.float32)
    # 69 steps of a network magnify the last bits of matrix products about a hundredfold
    assert runs[0][0] == pytest.approx(runs[1][0], rel=1e-10) and runs[0][1] == runs[1][1]


def test_lesson_00_runs_with_torch():
    """Its first program, as the lesson says, with `import torch` in place of ours."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ends = []
    for module in (optimlab, torch):
        p = module.tensor([4.0, 1.0], dtype=module.float64, requires_grad=True)
        optimizer = module.optim.SGD([p], lr=0.15)
        for _ in range(30):
            optimizer.zero_grad()
            problems.quadratic(10)(p).backward()
            optimizer.step()
        ends.append(p.tolist())
    assert ends[0] == pytest.approx(ends[1], rel=1e-14)  # an ulp a step
