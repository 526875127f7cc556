"""Optimizers and schedules against torch 2.13.0: recorded values always, torch itself where it is installed."""

import functools

import numpy as np
import pytest

import optimlab
import oracle
from cases import OPTIMIZERS, SCHEDULES, flat, label

# norm-wise per tensor and step. float64: torch's fused multiply-add and its square root differ from numpy's by an ulp in a
# part of the elements; 200 steps gather up to 6e-13. float32: the same ulps are 5e8 times larger, hence fewer steps.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


@functools.cache
def goldens(file):
    with np.load(oracle.GOLDENS / f"{file}.npz") as arrays:
        return dict(arrays)


def errors(ours, theirs):
    """The distance of two arrays of (steps, *shape), relative to the norm at each step.

    A running mean of one element passes through zero, where a relative error means nothing: the median norm is the floor.
    """
    axes = tuple(range(1, ours.ndim))
    distance, norm = (np.sqrt((x.astype(np.float64) ** 2).sum(axes)) for x in (ours - theirs, theirs))
    return distance / np.maximum(norm, np.median(norm) + np.finfo(np.float64).tiny)


@pytest.mark.parametrize("dtype", oracle.STEPS)
@pytest.mark.parametrize(("name", "options"), flat(OPTIMIZERS), ids=[label(*case) for case in flat(OPTIMIZERS)])
def test_optimizer(name, options, dtype):
    recorded = goldens(f"optimizers_{name}")
    prefix = f"{label(name, options)}/{dtype}/"
    run = oracle.optimizer_run(optimlab, name, options, dtype)
    assert {prefix + key for key in run} == {key for key in recorded if key.startswith(prefix)}
    for key, ours in run.items():
        theirs = recorded[prefix + key]
        assert ours.shape == theirs.shape, key
        # torch's fused kernel counts in float32 where its others count in the default dtype
        assert ours.dtype == theirs.dtype or (key.endswith("step") and options.get("fused")), key
        assert errors(ours, theirs).max() <= TOLERANCE[dtype], key


@pytest.mark.parametrize("way", ["float", "tensor", "resumed"])
@pytest.mark.parametrize(("name", "arguments"), flat(SCHEDULES), ids=[label(*case) for case in flat(SCHEDULES)])
def test_schedule(name, arguments, way):
    extra = {"float": {}, "tensor": {"tensor_lr": True}, "resumed": {"resume_at": 7}}[way]
    ours = oracle.schedule_run(optimlab, name, arguments, **extra)
    theirs = goldens("schedules")[label(name, arguments)]
    # relative; a rate at the foot of the cosine is a difference of numbers of size 1, hence the floor
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "arguments"), flat(SCHEDULES), ids=[label(*case) for case in flat(SCHEDULES)])
def test_closed_form(name, arguments):
    ours = oracle.closed_form_run(optimlab, name, arguments)
    np.testing.assert_allclose(ours, goldens("schedules")[label(name, arguments) + "/closed"], rtol=1e-12, atol=1e-15)


def test_goldens_are_torchs():
    """The recorded values are what the installed torch computes, and nothing else is recorded."""
    torch = pytest.importorskip("torch", reason="torch is not installed; the recorded values stand for it")
    files = {}
    for file, key, array in oracle.all_runs(torch):
        recorded = files.setdefault(file, dict(goldens(file))).pop(key)
        # another processor may fuse or vectorise differently: a hundredth of what is asked of us
        tolerance = TOLERANCE.get(str(array.dtype), 1e-10) / 100 if "/float" in key else 1e-14
        assert errors(array, recorded).max() <= tolerance, key
    assert not any(files.values())
