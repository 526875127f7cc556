"""``optimlab bench``: that it measures, shows and refuses; not how fast anything is."""

import importlib.util
import re

import pytest

from optimlab import cli
from optimlab.lab import bench
from optimlab.lab.bench import Cell

ENGINES = ["eager", "numpy", *(["numba"] if importlib.util.find_spec("numba") else [])]


def test_a_small_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OPTIMLAB_CACHE", str(tmp_path))
    picture = tmp_path / "bench.png"
    arguments = ["bench", "--optimizers", "SGD momentum,Adam", "--workloads", "9.6k in 4, 1e3", "--threads", "1"]
    arguments += ["--engines", ",".join(ENGINES), "--seconds", "0.01", "--picture", str(picture)]
    assert cli.main(arguments) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert last == str(picture) and picture.read_bytes().startswith(b"\x89PNG")
    assert [re.split(r"\s{2,}", row.strip())[:3] for row in rows] == [
        ["1", rule, workload] for workload in ("9.6k in 4", "1e3") for rule in ("SGD momentum", "Adam")
    ]
    assert all(name in head for name in (*ENGINES, "limit"))
    assert ("torch fused" in head) == (importlib.util.find_spec("torch") is not None)
    numbers = [float(x) for row in rows for x in re.split(r"\s{2,}", row.strip())[3:]]
    assert all(x > 0 for x in numbers)


def test_all_contestants_take_steps_on_the_same_numbers():
    import numpy as np

    p, g = np.ones(5, np.float32), np.ones(5, np.float32)
    steps = bench.contestants("SGD", [p], [g], ENGINES)
    before = p.copy()
    try:
        for step in steps.values():
            step()
            assert p == pytest.approx(before - bench.LR)  # float32
            before = p.copy()
    finally:
        bench.set_engine("auto")


def test_the_limit_counts_what_has_to_move():
    n = 9600
    assert bench.moved("SGD", "9.6k in 4") == 3 * 4 * n  # p read and written, g read
    assert bench.moved("SGD momentum", "9.6k in 4") == 5 * 4 * n
    assert bench.moved("Adam", "9.6k in 4") == bench.moved("NAdam", "9.6k in 4") == 7 * 4 * n


def test_ratios_of_the_table():
    times = {"numpy": 2e-6, "numba": 1e-6, "torch loop": 3e-6, "torch fused": 1.5e-6}
    head, row = bench.table([Cell(1, "Adam", "1e3", times, 5e-7)]).splitlines()
    shown = dict(zip(re.split(r"\s{2,}", head.strip()), re.split(r"\s{2,}", row.strip()), strict=True))
    assert shown["loop/numpy"] == "1.50" and shown["best/numba"] == "1.50" and shown["numba"] == "1"


@pytest.mark.parametrize(
    ("stop", "word"), [(KeyboardInterrupt(), "interrupted"), (RuntimeError("exit code 1"), "exit code 1; if memory")]
)
def test_what_was_measured_before_the_end_is_shown(stop, word, capsys, monkeypatch):
    def measured(*_):
        yield Cell(1, "SGD", "1e3", {"numpy": 1e-3}, 1e-4)
        raise stop

    monkeypatch.setattr(bench, "bench", measured)
    assert cli.main(["bench"]) == 2
    out, err = capsys.readouterr()
    assert out.split()[-5:] == ["1", "SGD", "1e3", "1000", "100"] and word in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--optimizers", "Sgd"], "unknown: Sgd"),
        (["--workloads", "1e9"], "unknown: 1e9"),
        (["--engines", "torch"], "unknown: torch"),
        (["--threads", "0"], "--threads"),
        (["--threads", "two"], "--threads"),
        (["--seconds", "0"], "--seconds"),
        (["--picture", "nowhere/bench.png"], "--picture"),
        (["--picture", "bench.xyz"], "--picture"),
        (["--picture", "."], "--picture"),
    ],
)
def test_what_it_cannot_do_it_refuses(arguments, word, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert word in capsys.readouterr().err
