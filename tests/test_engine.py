"""The engine: changes that happen whole or not at all."""

import signal

import numpy as np
import pytest

import optimlab as ol
from interrupts import Stop, interrupt
from optimlab import optim
from optimlab.optim.engine import commit

pytestmark = pytest.mark.usefixtures("no_finalizers")


def interrupted_everywhere(change, snapshot):
    """Interrupt ``change`` at each bytecode instruction in turn, from the first on; yields what ``snapshot`` is then."""
    point = 0
    while interrupt(change(), point) == point:
        yield snapshot()
        point += 1


def test_a_commit_happens_whole_or_not_at_all():
    a, entries, words = np.zeros(3), {}, []

    def change():
        a.fill(0), entries.clear(), words.clear()
        calls = [(a.fill, 1), (entries.update, {"x": 1}), (words.append, "y"), (np.multiply, a, 2.0, a)]
        return lambda: commit(calls)

    seen = list(interrupted_everywhere(change, lambda: (a.tolist(), dict(entries), list(words))))
    assert len(seen) > 20  # the points are in entering and leaving errstate
    assert all(s in [([0] * 3, {}, []), ([2] * 3, {"x": 1}, ["y"])] for s in seen)
    assert ([0] * 3, {}, []) in seen and ([2] * 3, {"x": 1}, ["y"]) in seen


def test_a_signal_waits_until_a_commit_is_done():
    counts = [np.zeros(1) for _ in range(50)]
    one = np.ones(1)
    calls = [(np.add, c, one, c) for c in counts]

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    hits = 0
    try:
        while hits < 200:
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4)
                while True:
                    commit(calls)
            except Stop:
                hits += 1
                assert len({c.item() for c in counts}) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_commit_hears_no_floating_point_errors():
    x = np.array([1e308])
    with np.errstate(all="raise"):
        commit([(np.multiply, x, x, x)])
    assert x == np.inf


def leaf(*values):
    return ol.tensor(list(values), requires_grad=True)


def summary(optimizer):
    """Groups and state of an optimizer, to compare."""
    return repr(optimizer.state_dict())


def test_groups_are_added_whole_or_not_at_all():
    made = {}

    def change():
        made["optimizer"] = optim.SGD([leaf(1.0)])
        made["group"] = {"params": [leaf(2.0)], "lr": 0.5}
        return lambda: made["optimizer"].add_param_group(made["group"])

    def state():
        groups = made["optimizer"].param_groups
        assert len(groups) == 1 or (groups[1] is made["group"] and groups[1]["momentum"] == 0)
        assert len(groups) == 2 or list(made["group"]) == ["params", "lr"]
        return len(groups)

    assert set(interrupted_everywhere(change, state)) == {1, 2}


@pytest.mark.parametrize("style", [optim.Adam, None])
def test_a_state_dict_is_loaded_whole_or_not_at_all(style):
    class Older(optim.Adam):
        """Fills in an option after loading, as torch's optimizers do."""

        def __setstate__(self, state):
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("new", 1)

    cls, made = style or Older, {}
    p = leaf(1.0)
    source = cls([p], lr=0.5)
    p.grad = ol.tensor([1.0])
    source.step()
    saved = source.state_dict()

    def change():
        made["optimizer"] = cls([leaf(1.0)])
        made["before"] = summary(made["optimizer"])
        return lambda: made["optimizer"].load_state_dict(saved)

    def state():
        after = cls([leaf(1.0)])
        after.load_state_dict(saved)
        now = summary(made["optimizer"])
        assert now in (made["before"], summary(after))
        return now == made["before"]

    seen = list(interrupted_everywhere(change, state))
    assert len(seen) > 1000 and set(seen) == {True, False}
