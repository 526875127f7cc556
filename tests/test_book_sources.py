"""How the book is made: editions, links, the reference, the search's text, and what happens when a lesson fails."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
import yaml
from docutils import nodes

import build
import picture
import reference
import searching
from optimlab import optim
from optimlab.lab.bilingual import Text, choose, keep

BOOK = Path(__file__).parents[1] / "book"
CHINESE = re.compile("[\u4e00-\u9fff]")


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def prose(source, lang=None):
    return nbformat.v4.new_markdown_cell(source, metadata={"tags": [f"lang-{lang}"]} if lang else {})


def test_a_cell_that_fails_ends_the_build_with_its_name(tmp_path):
    path = tmp_path / "07_broken.ipynb"
    cells = [prose("# 坏", "zh"), nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell("1 / 0  # on purpose")]
    nbformat.write(notebook(*cells), path)
    with pytest.raises(build.Failure) as failed:
        build.execute(path)
    assert all(part in str(failed.value) for part in ("07_broken.ipynb", "cell 2", "on purpose", "ZeroDivisionError"))


def test_a_build_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    def fail(lessons):
        raise build.Failure("a cell")

    monkeypatch.setattr(build, "execute_all", fail)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(build.Failure, match="something else than a book"):
        build.build(tmp_path / "mine")
    (tmp_path / "book" / "html").mkdir(parents=True)
    (tmp_path / "book" / "html" / build.MARK).touch()
    for name in ("book", "new/er"):
        with pytest.raises(build.Failure, match="a cell"):
            build.build(tmp_path / name)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"mine/thesis.txt", f"book/html/{build.MARK}"}


def test_an_edition_keeps_one_language(tmp_path):
    html = '<p><span lang="zh">中文</span> <span lang="en">English</span></p>'
    code = nbformat.v4.new_code_cell("show()")
    png = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADklEQVR4nGNkgAImCAUAADIABK4jeygAAAAASUVORK5CYII="
    code.outputs = [
        nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": "x"}),
        nbformat.v4.new_output("display_data", {"image/png": png}, metadata={"image/png": {"alt": "图 · a <picture>"}}),
        nbformat.v4.new_output("stream", text="printed\\n"),
    ]
    formula = prose("$$ a = b \\tag{00.1}\\label{eq-a} $$")
    link = "[(00.1)](00_start_here.ipynb#eq-a), [lesson](04_momentum.ipynb)"
    nb = notebook(prose("# 题", "zh"), prose(f"# Title {link}", "en"), formula, code)
    made = build.edition(nb, "en", tmp_path)
    assert [cell.source for cell in made.cells[:2]] == [
        "# Title [(00.1)](#eq-a), [lesson](04_momentum.ipynb)",
        "(eq-a)=\n$$\na = b \\tag{00.1}\n$$",
    ]
    shown = [output.get("data", {}).get("text/html") for output in made.cells[2].outputs]
    assert shown[0] == '<p><span lang="en">English</span></p>' and shown[2] is None
    assert 'width="2" height="1" alt="a &lt;picture&gt;"' in shown[1] and len(list(tmp_path.glob("*.png"))) == 1
    assert "中文" in build.edition(nb, "zh", tmp_path).cells[2].outputs[0].data["text/html"]
    assert len(nb.cells) == 4 and "text/plain" in nb.cells[3].outputs[0].data  # the executed lesson is as it was


def test_formulas_are_linked_across_lessons(tmp_path):
    """Set by Sphinx as the book is; a link that leads nowhere fails the build."""
    first = notebook(prose("# First"), prose("$$ a = b \\tag{00.1}\\label{eq-a} $$"))
    second = notebook(prose("# Second"), prose("By [(00.1)](00_first.ipynb#eq-a), see [the first](00_first.ipynb)."))
    source = tmp_path / "src" / "en"
    source.mkdir(parents=True)
    for name, nb in (("00_first", first), ("01_second", second)):
        nbformat.write(build.edition(nb, "en", tmp_path), source / f"{name}.ipynb")
    (source / "index.md").write_text("# Front\n", encoding="utf-8")
    toc = "format: jb-book\nroot: index\nchapters:\n- file: 00_first\n- file: 01_second\n"
    (source / "_toc.yml").write_text(toc, encoding="utf-8")

    process = build.start_sphinx("en", source, tmp_path / "html")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert 'id="eq-a"' in (tmp_path / "html/en/00_first.html").read_text(encoding="utf-8")
    page = (tmp_path / "html/en/01_second.html").read_text(encoding="utf-8")
    assert re.search(r'href="00_first.html#eq-a"[^>]*>(<[^>]*>)*\(00.1\)', page)
    assert re.search(r'href="00_first.html"[^>]*>(<[^>]*>)*the first', page)

    bad = notebook(prose("# Second"), prose("By [(00.2)](00_first.ipynb#eq-none)."))
    nbformat.write(build.edition(bad, "en", tmp_path), source / "01_second.ipynb")
    process = build.start_sphinx("en", source, tmp_path / "html")
    said, _ = process.communicate(timeout=120)
    assert process.returncode and "eq-none" in said


def test_both_languages_in_plain_text():
    assert choose("图 · a picture", "zh") == "图" and choose("图 · a picture", "en") == "a picture"
    assert choose("one", "zh") == "one" and choose("图 · a picture", None) == "图 · a picture"
    text = Text("答案", "Answer")
    html = f'<details><summary>{text}</summary><img alt="{text}">A · B</details>'
    assert keep(html, "en") == '<details><summary>Answer</summary><img alt="Answer">A · B</details>'


def test_contents_list_what_there_is():
    toc = {"parts": [{"caption": "课程 · Lessons", "chapters": [{"glob": "[0-9][0-9]_*"}, {"file": "glossary"}]}]}
    made = build.contents(toc, ["00_a", "01_b", "glossary", "index"], {"01_b": "01 B"}, "en")["parts"]
    chapters = [{"file": "00_a"}, {"file": "01_b", "title": "01 B"}, {"file": "glossary"}]
    assert made == [{"caption": "Lessons", "chapters": chapters}]


def test_every_word_of_the_frame_is_in_both_languages():
    for key, words in build.WORDS.items():
        assert words.keys() == {"zh", "en"}, key
        assert key == "other_language" or bool(CHINESE.search(words["zh"])) > bool(CHINESE.search(words["en"])), key
    used = set(re.findall(r'word\("(\w+)"\)', "".join(p.read_text("utf-8") for p in (BOOK / "_templates").iterdir())))
    assert used and used <= build.WORDS.keys()


def test_glossary_is_complete():
    terms = tomllib.loads((BOOK / "glossary.toml").read_text(encoding="utf-8"))["term"]
    assert len({term["zh"] for term in terms}) == len({term["en"] for term in terms}) == len(terms)
    executed = {path.stem: nbformat.read(path, 4) for path in build.cli.lessons().values()}
    for lang in ("zh", "en"):
        page = build.glossary(lang, executed)
        for term in terms:
            assert {"zh", "en", "zh_is", "en_is", "avoid"} <= term.keys(), term["en"]
            assert f"| **{term[lang]}** |" in page and term[f"{lang}_is"] in page
    assert "| **momentum** | 动量 |" in build.glossary("en", executed)


def word(lang):
    return lambda key: build.word(key, lang)


def test_the_reference_has_every_optimizer_and_schedule():
    found = reference.pages()
    zh, en = (reference.page("optimlab.optim", found, lang, word(lang)) for lang in ("zh", "en"))
    names = [
        name for name, thing in vars(optim).items() if isinstance(thing, type) and issubclass(thing, optim.Optimizer)
    ]
    assert "SGD" in names
    for name in names:
        assert all(page.count(f"{{py:class}} optimlab.optim.{name}(") == 1 for page in (zh, en)), name
    schedules = reference.page("optimlab.optim.lr_scheduler", found, "zh", word("zh"))
    for name, thing in vars(optim.lr_scheduler).items():
        kind = isinstance(thing, type) and issubclass(thing, optim.lr_scheduler.LRScheduler)
        if kind and not name.startswith("_"):
            assert f"{{py:class}} optimlab.optim.lr_scheduler.{name}(" in schedules
    everywhere = [name for names in found.values() for name, _ in names]
    assert len(everywhere) == len(set(everywhere))  # each on one page
    assert [name for name, _ in found["optimlab.tensor"]] == ["optimlab.Tensor"]


def test_the_reference_speaks_the_language_of_its_page():
    found = reference.pages()
    zh, en = (reference.page("optimlab.optim", found, lang, word(lang)) for lang in ("zh", "en"))
    assert not CHINESE.search(en)
    sgd = zh[zh.index("{py:class} optimlab.optim.SGD(") :]
    chinese, english = "沿负梯度走一步；有动量时，沿着由过去的梯度积累成的速度走。", "Step against the gradient"
    assert sgd.index(chinese) < 300 and english not in zh and english in en
    for page in (zh, en):  # the formula is the rule's own, and stands as a formula
        assert f"$$\n{optim.SGD.rule.latex(**optim.SGD.shown)}\n$$" in page
        assert "`lr`\n: learning rate η" in page and "```pycon\n>>> from optimlab import optim" in page


def test_signatures_are_names_and_defaults():
    def step(self, x: int, /, lr: float = 0.1, *rest, key=len, how=lambda: 1, dtype=None, **options) -> None: ...

    assert reference.signature(step, bound=True) == "(x, /, lr=0.1, *rest, key=len, how=..., dtype=None, **options)"
    assert reference.signature(optim.SGD).startswith("(params, lr=0.001, momentum=0, ")


def test_docstrings_become_markdown():
    text = "Halve ``x_1``; see `y`. Costs 5 * 3 [a] <b> $2 #1. 减半 ``x_1``。 Raises ValueError."
    assert reference.languages(text) == (
        "减半 ``x_1``。",
        "Halve ``x_1``; see `y`. Costs 5 * 3 [a] <b> $2 #1. Raises ValueError.",
    )
    assert reference._prose(text, "en", word("en")) == [
        r"Halve `x_1`; see `y`. Costs 5 \* 3 \[a\] \<b\> \$2 \#1. Raises ValueError."
    ]
    zh = reference._prose(text, "zh", word("zh"))
    assert zh[0] == "减半 `x_1`。" and "Raises ValueError." in zh[1] and "in-english" in zh[1] and "Halve" not in zh[1]
    assert reference._block("Update (with decay):", word("zh")) == "**更新公式** (with decay)"
    assert reference._block("Update:", word("en")) == "**Update**"
    arguments = "Arguments:\n    lr: rate,\n        >= 0.\n    a, b: two."
    assert reference._block("    lr(t) = 2 * t", word("zh")) == "```text\nlr(t) = 2 * t\n```"
    assert reference._block(arguments, word("zh")) == "**参数**\n\n`lr`\n: rate, \\>= 0.\n\n`a, b`\n: two."


def test_search_text():
    """What the search looks through: formulas as they are read, no frames of players."""
    assert searching.formula(r"\eta_t \le \frac{2}{\lambda}") == "η_t 2λ"
    assert searching.formula(r"\mu\,v_{t-1}\;+\!g \\ p") == "μ v_t-1 + g p"
    html = '<div class="lab-player"><b>η</b> &lt;1<div class="lab-frames" hidden><div data-picture="AAAA">x</div></div></div>'
    assert " ".join(searching.texts(nodes.raw("", html, format="html"))).split() == ["η", "<1"]
    paragraph = nodes.paragraph("", "", nodes.Text("若 "), nodes.math("", r"\mu<1"), nodes.Text("，则"))
    assert list(searching.texts(paragraph)) == ["若 μ<1，则"]


def test_the_workflow_is_pinned_and_limited():
    """Every action by its commit, every step with a limit of time."""
    jobs = yaml.safe_load((BOOK.parent / ".github/workflows/book.yml").read_text(encoding="utf-8"))["jobs"]
    for job in jobs.values():
        for step in job["steps"]:
            assert 0 < step["timeout-minutes"] <= job["timeout-minutes"] and ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step.get("uses", "actions/x@" + "0" * 40))
    assert set(jobs["publish"]["needs"]) == {"test", "build"}
    uploads = [job for job in jobs.values() if any("upload-pages" in step.get("uses", "") for step in job["steps"])]
    assert len(uploads) == 1 and "container" not in uploads[0]  # there it does not find the file that it made


def test_stricter_page(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LAB", tmp_path)
    assert build.stricter("zh") is None
    entry = '[nan]\nzh = "`lr` 不能是 `nan`|`inf`。"\nen = "`lr` must be finite."\ntorch = "accepts `nan`_"\n'
    (tmp_path / "stricter.toml").write_text(entry, encoding="utf-8")
    assert "| `lr` 不能是 `nan`\\|`inf`。 | accepts `nan`\\_ |\n" in build.stricter("zh")
    assert "| `lr` must be finite. |" in build.stricter("en")
    with (tmp_path / "stricter.toml").open("a", encoding="utf-8") as file:
        file.write('torch_zh = "照样接受"\n')
    assert "| 照样接受 |\n" in build.stricter("zh") and "accepts" in build.stricter("en")
    assert "| `SGD([leaf()], lr=nan)` | ValueError | 照常运行 |" in build.stricter("zh")
    assert "### Hyper-parameters" in build.stricter("en") and "| ValueError | runs |" in build.stricter("en")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_names_in_the_front_picture_are_in_the_language_of_the_page(lang):
    shown = picture.named("valley.png", lang)
    ElementTree.fromstring(shown)
    names = re.findall(r"<text [^>]*>([^<]*)</text>", shown)
    assert names == [getattr(name, lang) for name in picture.RUNNERS]
    assert bool(CHINESE.search(shown)) == (lang == "zh") and getattr(picture.ALT, lang) in shown
