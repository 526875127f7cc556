"""Histories, views, changes in place, hooks, second derivatives: what torch gives for the same program."""

import json

import pytest

import graphs
import optimlab as ol


def close(ours, theirs):
    """Equal, floats to 1e-12: a few roundings in another order."""
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(close(a, b) for a, b in zip(ours, theirs, strict=True))
    if isinstance(theirs, float) and not isinstance(ours, bool):
        return ours == pytest.approx(theirs, rel=1e-12)
    return ours == theirs


@pytest.mark.parametrize("name", graphs.PROGRAMS)
def test_program(name):
    recorded = json.loads(graphs.RECORDED.read_text(encoding="utf-8"))[name]
    ours = graphs.run(ol, name)
    assert close(ours, recorded), (ours, recorded)
    torch = pytest.importorskip("torch", reason="torch is not installed; what it gave is recorded")
    assert close(graphs.run(torch, name), recorded)
