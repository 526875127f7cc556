"""The catalogue of bad input, row by row: the wanted class, a message that helps, and nothing changed."""

import builtins
import json

import numpy as np
import pytest

import bad_input
import optimlab

OURS_TO_RAISE = {"ArithmeticError", "KeyboardInterrupt", "ZeroDivisionError"}  # a program's own errors pass through


def frozen(x, seen=()):
    """All that a value holds, to the last bit, in a form that compares."""
    if isinstance(x, optimlab.Tensor):
        grad = None if x.grad is None else frozen(x.grad)
        return x.dtype, tuple(x.shape), x.detach().numpy().tobytes(), x.requires_grad, grad
    if isinstance(x, np.ndarray):
        return x.dtype, x.shape, x.tobytes()
    if isinstance(x, dict):
        return [(id(k) if isinstance(k, optimlab.Tensor) else k, frozen(v, seen)) for k, v in x.items()]
    if isinstance(x, (list, tuple)):
        return [frozen(v, seen) for v in x]
    if isinstance(x, optimlab.optim.Optimizer):
        return type(x), frozen(x.param_groups, seen), frozen(x.state, seen), frozen(x.defaults, seen), x._step_count
    if isinstance(x, optimlab.nn.Module):
        return type(x), frozen(x.state_dict(), seen), x.training
    if hasattr(x, "state_dict"):
        return type(x), frozen(x.state_dict(), seen)
    return x if isinstance(x, (int, float, str, type(None))) else repr(x)


@pytest.mark.parametrize(
    ("block", "code", "wanted", "words"), bad_input.rows(), ids=lambda x: " ".join(x.split())[-70:]
)
def test_row(block, code, wanted, words):
    """37. After an error everything is as it was, bit for bit."""
    error, prepared, before = bad_input.run(optimlab, code, frozen)
    if wanted in ("ok", "nan"):
        assert error is None, repr(error)
        assert bad_input.spread(prepared) == (wanted == "nan")
        return
    assert isinstance(error, getattr(builtins, wanted)), repr(error)
    assert words in str(error), str(error)
    if wanted not in OURS_TO_RAISE:
        assert len(str(error)) > 30, f"says too little: {error}"
    if wanted == "RuntimeWarning" or "lbfgs(raising(" in code:
        return  # a warning of what has happened; and L-BFGS rests at the last accepted iterate, which has tests of its own
    assert frozen(prepared) == before


LEAST = {  # cases of the catalogue
    "params": 40, "options": 64, "step": 36, "closures": 16, "state": 38, "modules": 18, "schedules": 52, "schedule state": 10,
    "clipping and averaging": 18, "tensors": 16,
}  # fmt: skip


def test_rows_differ():
    codes = [code for _, code, _, _ in bad_input.rows()]
    assert len(codes) == len(set(codes))
    assert {block: len(table) for block, table in bad_input.CASES.items() if len(table) < LEAST[block]} == {}
    assert sum(LEAST.values()) == 308


def test_what_is_recorded_of_torch_is_what_torch_does():
    recorded = json.loads(bad_input.RECORDED.read_text(encoding="utf-8"))
    assert set(recorded) == {code for _, code, _, _ in bad_input.rows()}
    torch = pytest.importorskip("torch", reason="torch is not installed; what was recorded stands for it")
    assert recorded == {code: bad_input.outcome(torch, code) for code in recorded}
