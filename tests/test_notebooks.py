"""Lessons as files: run in order, canonical, in pairs of languages, with exercises cut from their solutions.

That each cell gives its stored output again is nbval's work; see `addopts` in pyproject.toml.
"""

import ast
import contextlib
import io
import itertools
import re
import tomllib

import nbformat
import pytest

import notebooks
import optimlab

CHINESE = re.compile("[\u4e00-\u9fff]")
LESSONS = notebooks.lessons()


def lesson(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return set(cell.metadata.get("tags", []))


pytestmark = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def test_every_code_cell_was_run_in_order(path):
    counts = [cell.execution_count for cell in lesson(path).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_no_output_is_ignored(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"nbval-(ignore-output|skip)|NBVAL_(IGNORE_OUTPUT|SKIP)|raises-exception", text)
    for cell in lesson(path).cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error" and output.get("name") != "stderr"


def test_stored_form_is_canonical(path):
    assert notebooks.text(notebooks.canonical(lesson(path))) == path.read_text(encoding="utf-8")


def prose_pairs(path):
    """The prose of a lesson as (Chinese, English) pairs; whatever else there is must be a formula or a solution."""
    prose = [cell for cell in lesson(path).cells if cell.cell_type == "markdown"]
    kinds = "".join("z" if "lang-zh" in tags(c) else "e" if "lang-en" in tags(c) else "s" for c in prose)
    assert re.fullmatch("(ze|s)*", kinds), kinds
    for cell, kind in zip(prose, kinds, strict=True):
        assert kind != "s" or cell.source.startswith(("$$", "<details>")), cell.source[:60]
    return [(zh.source, en.source) for kind, zh, en in zip(kinds, prose, prose[1:], strict=False) if kind == "z"]


def words(source):
    """Prose without its formulas, code, addresses and tags."""
    return re.sub(r"\$[^$]+\$|`[^`]+`|\]\([^)]+\)|</?\w+>", " ", source)


def test_prose_stands_in_pairs(path):
    """Paired cells have the same headings, formulas, links, code and numbers."""
    for zh, en in prose_pairs(path):
        assert CHINESE.search(zh) and not CHINESE.search(en)
        for what in (r"(?m)^#+(?= )", r"\$[^$]+\$", r"\]\(([^)]+)\)", r"`[^`]+`"):
            assert sorted(re.findall(what, zh)) == sorted(re.findall(what, en)), (what, zh[:40])
        numbers = [sorted(re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", words(source))) for source in (zh, en)]
        assert numbers[0] == numbers[1], (zh[:40], numbers)


def test_chinese_is_set_as_chinese(path):
    """Full-width punctuation beside Chinese characters, and the glossary's terms."""
    glossary = tomllib.loads((notebooks.FOLDER.parent / "book" / "glossary.toml").read_text(encoding="utf-8"))["term"]
    for zh, _ in prose_pairs(path):
        half = re.search(r"[\u4e00-\u9fff]\s?[,;:?!()]|[,;:?!()]\s?[\u4e00-\u9fff]", words(zh))
        assert not half, zh[half.start() - 10 : half.end() + 10]
        for term in glossary:
            for other in term["avoid"]:
                assert other not in zh, f"{other}: the glossary has {term['zh']} ({term['en']})"


def test_terms_come_with_their_english_once(path):
    """Where the Chinese introduces a term in brackets, the pair is the glossary's."""
    glossary = tomllib.loads((notebooks.FOLDER.parent / "book" / "glossary.toml").read_text(encoding="utf-8"))["term"]
    known = {term["en"]: term["zh"] for term in glossary}
    for zh, _ in prose_pairs(path):
        for term, english in re.findall(r"([\u4e00-\u9fff]+)\**（([a-z][a-z -]+)）", zh):
            assert english in known and term.endswith(known[english]), (term, english)


def test_every_formula_has_its_twin(path):
    """Each numbered formula is evaluated by a cell that names its number and asserts something."""
    cells = lesson(path).cells
    formulas = re.findall(r"\\tag\{([\d.]+)\}", "\n".join(c.source for c in cells if c.cell_type == "markdown"))
    checked = "\n".join(c.source for c in cells if c.cell_type == "code" and "assert" in c.source)
    assert len(formulas) >= 3 and len(set(formulas)) == len(formulas)
    assert [f for f in formulas if f"({f})" not in checked] == []


def test_size(path):
    cells = lesson(path).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert len(code) <= 25 and max(source.count("\n") + 1 for source in code) <= 15
    zh = sum(len(CHINESE.findall(c.source)) for c in cells if "lang-zh" in tags(c))
    en = sum(len(re.findall(r"[A-Za-z]+", words(c.source))) for c in cells if "lang-en" in tags(c))
    assert en <= 1500 and zh <= 2600  # 1,500 English words are about 2,600 characters


def cut(source):
    """An exercise from its solution: bodies of functions and values of variables become ``...``."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Expr(ast.Constant(...))]
        elif isinstance(node, ast.Assign):
            node.value = ast.Constant(...)
    return ast.unparse(tree)


def test_solutions_pass_and_exercises_are_cut_from_them(path):
    from optimlab.lab import exercises

    cells = lesson(path).cells
    solved = 0
    for exercise, solution in itertools.pairwise(cells):
        if "exercise" not in tags(exercise):
            continue
        code = re.search(r"```python\n(.*?)```", solution.source, re.S)[1]
        assert "solution" in tags(solution)
        task = "\n".join(line for line in exercise.source.splitlines() if not line.startswith(("from ", "import ")))
        results = []

        def keep(key, answer, results=results):
            results.append(exercises.check(key, answer))

        exec(code, {"check": keep})
        assert results and all(r.mark == "✓" for r in results), results
        if "bug" in tags(exercise):
            exec(task, {"check": keep})
            assert results[-1].mark == "✗"  # the bug is found where it was not mended
        else:
            assert ast.unparse(ast.parse(task)) == cut(code)
            exec(task, {"check": keep})
            assert results[-1].mark == "✎"
        solved += 1
    assert solved >= 2


class _Silent:
    """Stands for IPython's display: what a lesson shows is not looked at here."""

    def __call__(self, *things, **kwargs):
        pass


def run_cells(path, times=1):
    """Run a lesson's code in this process, each cell ``times``, up to the first that fails; gives the error, or None."""
    import IPython.display

    namespace, shown = {"__name__": "lesson"}, IPython.display.display
    IPython.display.display = _Silent()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for cell in lesson(path).cells:
                for _ in range(times if cell.cell_type == "code" else 0):
                    exec(compile(cell.source, "cell", "exec"), namespace)
    except Exception as error:  # a wrong rule may fail in any way: what matters is that it does
        return error
    finally:
        IPython.display.display = shown
        optimlab.set_default_dtype(optimlab.float32)
    return None


def test_every_cell_can_be_run_twice(path):
    assert run_cells(path, times=2) is None
