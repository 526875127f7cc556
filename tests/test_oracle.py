"""Optimizers against torch 2.13.0: recorded values always, torch itself where it is installed."""

import functools

import numpy as np
import pytest

import optimlab
import oracle
from cases import OPTIMIZERS, Betas, Lr, label

# norm-wise per tensor and step. float64: torch's fused multiply-add and its square root differ from numpy's by an ulp in a
# part of the elements; 200 steps gather up to 6e-13. float32: the same ulps are 5e8 times larger, hence fewer steps.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "mixed": 1e-10}
# torch rounds these numbers to the default dtype, float32, also for float64 parameters; here they have the wider of the two
ROUNDED = ("mu_product", "eta", "mu")


def tolerance(name, options, precision):
    """In mixed precision torch computes in float32 what depends on those numbers, or on Adam's or Adafactor's tensors.

    L-BFGS divides by differences of gradients, and one step's
    rounding turns the next direction. Muon's X is equal to the bit at these sizes, rounded to bfloat16 though it is.
    """
    if name == "LBFGS":
        return 1e-8
    tensors = name in ("Adam", "Adafactor") and any(isinstance(value, (Lr, Betas)) for value in options.values())
    return 1e-5 if precision == "mixed" and (tensors or name in ("NAdam", "ASGD")) else TOLERANCE[precision]


@functools.cache
def goldens(file):
    with np.load(oracle.GOLDENS / f"{file}.npz") as arrays:
        return dict(arrays)


def errors(ours, theirs):
    """The distance of two arrays of (steps, *shape), relative to the norm at each step.

    A running mean of one element passes through zero, where a relative error means nothing: the median norm is the floor.
    """
    axes = tuple(range(1, ours.ndim))
    # where a maximized loss has grown beyond all numbers, both must say so in the same elements
    lost = ~np.isfinite(theirs) & ((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    ours, theirs = (np.where(lost, 0, x) for x in (ours, theirs))
    distance, norm = (np.abs(x.astype(np.float64)).max(axes, initial=0) for x in (ours - theirs, theirs))
    return distance / np.maximum(norm, np.median(norm) + np.finfo(np.float64).tiny)


@functools.cache
def ours(i):
    return oracle.optimizer_run(optimlab, *CASES[i])


CASES = oracle.optimizer_cases()
NAMES = [f"{label(name, options)}/{problem}/{precision}" for name, options, problem, precision in CASES]


def recorded_run(i):
    """What is recorded of a case: by name the dtype and shape, and the marked steps."""
    arrays = goldens(f"optimizers_{CASES[i][0]}")
    return oracle.unpacked(str(arrays[NAMES[i] + "/layout"]), arrays[NAMES[i]])


@pytest.mark.parametrize("i", range(len(CASES)), ids=NAMES)
def test_optimizer(i):
    """The recorded steps."""
    name, options, _, precision = CASES[i]
    recorded = recorded_run(i)
    assert list(ours(i)) == list(recorded)
    for key, array in ours(i).items():
        dtype, shape, theirs = recorded[key]
        assert array.shape[1:] == shape, key
        # torch's fused kernel counts in float32 where its others count in the default dtype
        elsewhere = options.get("fused") if key.endswith("step") else key[2:] in ROUNDED and precision == "mixed"
        assert str(array.dtype) == dtype or elsewhere, key
        assert errors(oracle.marked(array), theirs).max() <= tolerance(name, options, precision), key


@pytest.mark.parametrize("i", range(len(CASES)), ids=NAMES)
def test_every_step_is_torchs(i):
    """All steps, and that the recorded ones are what the installed torch computes."""
    torch = pytest.importorskip("torch", reason="torch is not installed; the recorded values stand for it")
    name, options, _, precision = CASES[i]
    recorded = recorded_run(i)
    run = oracle.optimizer_run(torch, *CASES[i])
    assert list(run) == list(recorded) == list(ours(i))
    for key, theirs in run.items():
        assert errors(ours(i)[key], theirs).max() <= tolerance(name, options, precision), key
        dtype, shape, marked = recorded[key]
        assert (str(theirs.dtype), theirs.shape[1:]) == (dtype, shape), key
        # another processor may fuse or vectorise differently: a hundredth of what is asked of us
        assert errors(oracle.marked(theirs), marked).max() <= TOLERANCE[precision] / 100, key


def test_nothing_else_is_recorded():
    for name in OPTIMIZERS:
        keys = {key.removesuffix("/layout") for key in goldens(f"optimizers_{name}")}
        assert keys == {case for case in NAMES if case.startswith(f"{name}(")}
