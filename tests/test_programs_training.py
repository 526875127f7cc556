"""Three programs from end to end, with a save and a resume half-way: from the seed alone they print torch's losses."""

import json

import pytest

import optimlab
from programs import FROM_END_TO_END, GOLDENS, output

PRINTED = json.loads(GOLDENS.read_text(encoding="utf-8"))
# About 50 steps magnify the last bit, in which sums of products differ, some thousandfold in each precision
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}
CASES = [
    pytest.param(program, dtype, id=f"{program.__name__}-{dtype}")
    for program in FROM_END_TO_END
    for dtype in TOLERANCES
]


def check(printed, program, dtype):
    ours, theirs = printed.splitlines(), PRINTED[f"{program.__name__}/{dtype}"].splitlines()
    words = [line for line in theirs if not line[0].isdigit()]
    assert [line for line in ours if not line[0].isdigit()] == words
    losses = [float(line) for line in theirs if line[0].isdigit()]
    assert len(losses) >= 50
    assert [float(line) for line in ours if line[0].isdigit()] == pytest.approx(losses, rel=TOLERANCES[dtype], abs=0)


@pytest.mark.parametrize(("program", "dtype"), CASES)
def test_losses(program, dtype):
    with optimlab.as_torch():
        check(output(program, optimlab, dtype), program, dtype)


@pytest.mark.parametrize(("program", "dtype"), CASES)
def test_losses_with_torch(program, dtype):
    """What is recorded is what torch prints."""
    torch = pytest.importorskip("torch", reason="torch is not installed; its losses are recorded")
    check(output(program, torch, dtype), program, dtype)
