"""The course's commands."""

import subprocess
import sys

import nbformat
import pytest

from optimlab import __version__, cli


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPTIMLAB_LANG", raising=False)
    monkeypatch.setenv("OPTIMLAB_LANG", "")  # restored after the test, whatever a command sets


def opened(*arguments):
    assert cli.main(["open", "--no-lab", *arguments]) == 0


def test_working_copy_in_one_language(tmp_path):
    opened("00", "--lang", "zh")
    nb = nbformat.read("optimlab-lessons/00_start_here.zh.ipynb", as_version=4)
    original = nbformat.read(cli.find("00"), as_version=4)
    tags = [t for c in nb.cells for t in c.metadata.get("tags", [])]
    assert "lang-zh" in tags and "lang-en" not in tags
    assert [c.source for c in nb.cells if c.cell_type == "code"] == [
        c.source for c in original.cells if c.cell_type == "code"
    ]
    text = (tmp_path / "optimlab-lessons/00_start_here.zh.ipynb").read_text(encoding="utf-8")
    assert 'lang=\\"en\\"' not in text and "(00_start_here.ipynb#" not in text and "(00_start_here.zh.ipynb#" in text


def test_an_edited_copy_is_never_overwritten(tmp_path, capsys):
    opened("--lang", "en")
    copy = tmp_path / "optimlab-lessons/00_start_here.en.ipynb"
    nb = nbformat.read(copy, as_version=4)
    nb.cells[0].source += " my note"
    nbformat.write(nb, copy)
    before = copy.read_bytes()
    opened("--lang", "en")
    assert copy.read_bytes() == before and "your copy" in capsys.readouterr().out
    opened("--lang", "en", "--fresh")
    opened("--lang", "en", "--fresh")
    assert copy.read_bytes() == before
    assert {p.name for p in copy.parent.iterdir()} == {f"00_start_here.en{x}.ipynb" for x in ("", ".2", ".3")} | {
        f"{name}.en.ipynb" for name in cli.lessons()
    }


def test_an_unedited_copy_follows_the_lesson(tmp_path, monkeypatch):
    opened("--lang", "both")
    copy = tmp_path / "optimlab-lessons/00_start_here.ipynb"
    nb = nbformat.read(copy, as_version=4)
    nb.cells[1].source += "# an older edition"
    nb.metadata.optimlab.sources = cli.digest(nb)
    nbformat.write(nb, copy)
    opened("--lang", "both")
    assert "older edition" not in copy.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("environment", "lang"),
    [
        ({"LC_ALL": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LC_ALL": "C"}, "en"),
    ],
)
def test_language_of_the_computer(environment, lang, monkeypatch):
    for key in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert cli.locale_language() == lang


@pytest.mark.parametrize("name", ["0", "00", "00_start_here", "start"])
def test_lessons_are_found_by_number_and_name(name):
    assert cli.find(name).stem == "00_start_here"


def test_a_wrong_name_gets_the_list(capsys):
    for command in (["open", "77", "--no-lab"], ["check", "nonsense"]):
        assert cli.main(command) == 2
        error = capsys.readouterr().err
        assert "00_start_here" in error and "从这里开始" in error and "Start here" in error
    assert cli.main(["check", "missing.ipynb"]) == 2 and "missing.ipynb" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["open"], ["doctor"], ["check"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main([*command, "--help"])
    assert done.value.code == 0 and "usage: optimlab" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


def test_doctor_is_content_here(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "✗" not in out and "numpy" in out and "jupyterlab" in out


def test_doctor_says_what_to_do(capsys, monkeypatch):
    monkeypatch.setattr(cli, "packages", lambda: iter([("numpy", "1.0 (>=2.0)", False)]))
    monkeypatch.setattr(cli, "kernel", lambda: (_ for _ in ()).throw(cli.Refusal("another Python")))
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert (
        "✗ numpy: 1.0 (>=2.0)" in out
        and "pip install" in out
        and "another Python" in out
        and "ipykernel install" in out
    )


def lesson(tmp_path, *cells):
    """A small notebook: (source, printed) pairs; printed None for a cell that was never run."""
    nb = nbformat.v4.new_notebook()
    for i, (source, printed) in enumerate(cells, start=1):
        cell = nbformat.v4.new_code_cell(source, execution_count=None if printed is None else i)
        if printed:
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)]
        nb.cells.append(cell)
    nbformat.write(nb, tmp_path / "mine.ipynb")


def checked():
    """The check's exit code and lines; in a process of its own, as nbval leaves a file open."""
    done = subprocess.run([sys.executable, "-m", "optimlab", "check", "mine.ipynb"], capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


def test_check_names_each_failing_cell(tmp_path):
    lesson(tmp_path, ("print(1)", "1\n"), ("print(2)", "3\n"), ("1 / 0", ""))
    code, lines = checked()
    assert code == 1
    assert len(lines) == 3 and "Cell 1" in lines[0] and "Cell 2" in lines[1] and "1 ✓, 2 ✗" in lines[2]


def test_check_passes_what_agrees_and_not_what_never_ran(tmp_path):
    lesson(tmp_path, ("print(1)", "1\n"))
    code, lines = checked()
    assert code == 0 and "1 ✓, 0 ✗" in lines[-1]
    lesson(tmp_path, ("print(1)", None))
    code, lines = checked()
    assert code == 1 and "never run" in lines[0]
