"""Do the checks of lessons notice what they are for? False outputs, dead kernels and wrong rules must fail."""

import re
import subprocess
import sys

import nbformat

import notebooks
import optimlab
import test_rule
from test_notebooks import run_cells


def test_a_changed_digit_and_a_dead_kernel_fail(tmp_path):
    """The comparison itself is tried: a false output must fail, and a kernel that dies must not hang."""
    good, false = nbformat.v4.new_code_cell("print(0.25)"), nbformat.v4.new_code_cell("print(0.25)")
    dead = nbformat.v4.new_code_cell("import os\nos._exit(1)")
    for cell, shown in [(good, "0.25\n"), (false, "0.26\n")]:
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=shown)]
    for i, cell in enumerate([good, false, dead], start=1):
        cell.execution_count = i
    file = tmp_path / "broken.ipynb"
    nbformat.write(notebooks.canonical(nbformat.v4.new_notebook(cells=[good, false, dead])), file)
    options = [
        *["-p", "no:cacheprovider", "-p", "no:xdist", "--nbval", "--nbval-current-env"],
        "--nbval-cell-timeout",
        timeout(),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-o", "addopts=", *options, "-rA", str(file)],
        capture_output=True,
        text=True,
        timeout=60,  # a dead kernel must be noticed within a minute
    )
    assert re.search("1 passed", done.stdout) and re.search("2 failed", done.stdout), done.stdout


def timeout():
    """The time a cell is given in the ordinary run, from the project's own settings."""
    settings = (notebooks.FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r"--nbval-cell-timeout (\d+)", settings)[1]


def test_a_wrong_rule_fails_the_lesson(tmp_path, monkeypatch):
    """Lesson 04 derives SGD: with any one operator or number of its rule changed, it must not run through."""
    path = notebooks.FOLDER / "04_momentum.ipynb"
    rule = optimlab.optim.SGD.rule
    assert run_cells(path) is None
    changes = 0
    for change, function in test_rule.mutated(rule.function, tmp_path):
        monkeypatch.setattr(rule, "function", function)
        assert isinstance(run_cells(path), Exception), change
        changes += 1
    assert changes >= 8
