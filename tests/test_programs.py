"""Whole programs: the same text with torch and with optimlab."""

import pytest

import optimlab
from optimlab.lab import data, problems
from programs import digits_mlp


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
