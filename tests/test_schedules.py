"""Schedules against torch 2.13.0: recorded values always, torch itself where it is installed."""

import functools

import numpy as np
import pytest

import optimlab
import schedules
from oracle import GOLDENS
from schedules import CLOSED_FORM, LONG, SCHEDULES, Schedule

WAYS = {
    "float": {},
    "tensor": {"tensor_lr": True},
    "resumed": {"resume_at": 7},
    "by hand": {"by_hand": 20},
    "long": {"epochs": LONG},
}
KEPT = {"by hand": slice(None, None, 5), "long": slice(None, None, 50)}  # what is recorded of these


@functools.cache
def goldens():
    with np.load(GOLDENS / "schedules.npz") as arrays:
        return dict(arrays)


def close(ours, theirs, case):
    """To 1e-12 relative: a thousand products, each rounded to 1e-16. Where a cosine turns over, above the initial rate, its
    foot is reached by multiplying with numbers near infinity and back, which costs a digit. A rate at the foot of a curve
    is a difference of numbers of size 1, hence the floor."""
    turned = case.name == "CosineAnnealingLR" and case.arguments.get("eta_min", 0) > 0.05
    np.testing.assert_allclose(ours, theirs, rtol=1e-11 if turned else 1e-12, atol=1e-15)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_schedule(case, way):
    if way == "long" and case.name == "OneCycleLR":
        with pytest.raises(ValueError, match="Tried to step"):
            schedules.schedule_run(optimlab, case, epochs=LONG)
        return
    key = f"{case}/{way}" if way in KEPT else str(case)
    close(schedules.schedule_run(optimlab, case, **WAYS[way])[KEPT.get(way, ...)], goldens()[key], case)


CLOSED = [case for case in SCHEDULES if f"{case}/closed" in goldens()]


@pytest.mark.parametrize("case", CLOSED, ids=str)
def test_closed_form(case):
    close(schedules.closed_form_run(optimlab, case), goldens()[f"{case}/closed"], case)


@pytest.mark.parametrize("case", CLOSED, ids=str)
def test_closed_form_is_what_the_recursion_gives(case):
    stepped = schedules.schedule_run(optimlab, case, epochs=LONG)[:, :, 0]
    _, schedule = schedules.schedule_begin(optimlab, case)
    with np.errstate(all="raise"):
        closed = [[schedule.closed_form(i, t) for i in range(2)] for t in range(LONG + 1)]
    close(stepped, closed, case)
    assert {c.name for c in CLOSED} == set(CLOSED_FORM)


def test_exponential_is_right_when_its_rate_is_1e_266():
    optimizer, schedule = schedules.schedule_begin(optimlab, Schedule("ExponentialLR", {"gamma": 0.96}))
    optimizer.step()
    for _ in range(15000):
        schedule.step()
    # each of 15,000 products is rounded to 1e-16
    assert schedule.get_last_lr() == pytest.approx([0.05 * 0.96**15000, 0.5 * 0.96**15000], rel=1e-11, abs=0)


# ---- where torch is installed


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed; the recorded values stand for it")


def test_goldens_are_torchs(torch):
    """The recorded values are what the installed torch computes, and nothing else is recorded."""
    recorded = dict(goldens())
    for key, array in schedules.schedule_runs(torch):
        np.testing.assert_allclose(array, recorded.pop(key), rtol=1e-14, atol=0, err_msg=key)  # plain Python arithmetic
    assert not recorded


def plain(state):
    """A state dict in which tensors are numbers."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [plain(value) for value in state]
    return state.item() if hasattr(state, "item") else state


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_state_dict_is_torchs(case, torch):
    states = []
    for module in (torch, optimlab):
        with schedules.default_dtype(module, "float64"):
            optimizer, schedule = schedules.schedule_begin(module, case)
            for epoch in range(7):
                schedules.schedule_step(optimizer, schedule, case, epoch)
            states.append(plain(schedule.state_dict()))
    assert_near(*states)


def assert_near(theirs, ours):
    if isinstance(theirs, dict):
        assert theirs.keys() == ours.keys()
        theirs, ours = [theirs[key] for key in theirs], [ours[key] for key in theirs]
    if isinstance(theirs, list):
        assert len(theirs) == len(ours)
        for a, b in zip(theirs, ours, strict=True):
            assert_near(a, b)
    else:
        assert ours == (pytest.approx(theirs, rel=1e-12, abs=1e-15) if isinstance(theirs, float) else theirs)
