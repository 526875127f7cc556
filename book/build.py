"""Build the book: python book/build.py

Every lesson is executed once; a cell that fails ends the build. Its outputs are then cut into a Chinese and an English
edition, which Sphinx sets in _build/html/zh and _build/html/en; _build/html/index.html chooses between them, and
404.html answers where there is no page.
"""

import argparse
import base64
import copy
import hashlib
import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

import optimlab.lab
import picture
import reference
from optimlab import cli
from optimlab.lab import explorers
from optimlab.lab.bilingual import LANGUAGES, choose, keep

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests" / "reliability"))
import bad_input  # noqa: E402 - the catalogue of wrong input, which the tests own

LAB = Path(optimlab.lab.__file__).parent
WORDS = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))
SPHINX = {"zh": "zh_CN", "en": "en"}
CELL_SECONDS = 60
MARK = ".nojekyll"  # GitHub Pages would leave out folders with an underscore; and how a book is known
# what MathJax needs for TeX input and HTML output, of its 15 MB
MATHJAX = ["startup.js", "core.js", "input/tex.js", "output/chtml.js", "output/chtml/fonts", "a11y/assistive-mml.js"]


class Failure(Exception):
    """What stops the build, in words for its author."""


def word(key: str, lang: str) -> str:
    """A word of the frame; a key that has none stands for itself."""
    return WORDS[key][lang] if key in WORDS else key


# ---- lessons


def execute(path: Path, progress: Any = None) -> Any:
    """A lesson with fresh outputs, explorers as static players."""
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    running = [0]

    def started(cell: Any, cell_index: int) -> None:
        running[0] = cell_index
        if progress is not None and cell.cell_type == "code":
            progress.update()

    client = NotebookClient(nb, timeout=CELL_SECONDS, resources={"metadata": {"path": str(path.parent)}})
    client.on_cell_start, client.extra_arguments = started, ["--log-level=ERROR"]
    try:
        client.execute()
    except (CellExecutionError, TimeoutError) as error:
        source = nb.cells[running[0]].source
        raise Failure(f"{path.name}, cell {running[0]}:\n{source}\n\n{error}") from error
    return nb


def execute_all(lessons: dict[str, Path]) -> dict[str, Any]:
    """Every lesson with fresh outputs, as many at a time as there are processors."""
    cells = sum(cell.cell_type == "code" for path in lessons.values() for cell in nbformat.read(path, 4).cells)
    os.environ |= {"OPTIMLAB_BOOK": "1", "OMP_NUM_THREADS": "1"}  # kernels inherit them
    os.environ.pop("OPTIMLAB_LANG", None)
    with tqdm(total=cells, desc="lessons", unit="cell") as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {name: pool.submit(execute, path, progress) for name, path in lessons.items()}
        return {name: run.result() for name, run in runs.items()}


def title(nb: Any, lang: str) -> str:
    """A lesson's heading in one language."""
    cells = [c for c in nb.cells if f"lang-{lang}" in c.metadata.get("tags", [])]
    return next(m[1] for c in cells if (m := re.search(r"(?m)^# (.+)$", c.source)))


def edition(nb: Any, lang: str, figures: Path) -> Any:
    """An executed lesson in one language, in MyST: formulas become targets, pictures files in ``figures``."""
    other = {f"lang-{x}" for x in LANGUAGES if x != lang}
    nb = copy.deepcopy(nb)
    nb.metadata = nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "", "language": "python"}})
    nb.cells = [c for c in nb.cells if not other & set(c.metadata.get("tags", []))]
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "markdown":
            cell.source = markdown(keep(cell.source, lang))
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data, output.metadata = shown(output, lang, figures), {}
    return nb


def markdown(source: str) -> str:
    """A cell's Markdown as MyST: labels of formulas become targets that any page can link to."""
    source = re.sub(
        r"(?ms)^\$\$(.*?)\\label\{([\w.-]+)\}(.*?)\$\$", lambda m: f"({m[2]})=\n$$\n{(m[1] + m[3]).strip()}\n$$", source
    )
    return re.sub(r"\]\([\w./-]+\.ipynb#(eq-[\w.-]+)\)", r"](#\1)", source)


def shown(output: Any, lang: str, figures: Path) -> dict[str, str]:
    """What the page shows of an output: one kind, in one language."""
    data = output.data
    if "text/html" in data:
        return {"text/html": as_files(keep(data["text/html"], lang), figures)}
    if "image/png" in data:
        told = output.metadata.get("image/png", {})
        size = (told["width"], told["height"]) if "width" in told else None
        png = base64.b64decode(data["image/png"])
        return {"text/html": figure(png, choose(told.get("alt", ""), lang), figures, size)}
    return {kind: data[kind] for kind in ("text/latex", "text/plain") if kind in data}


def figure(png: bytes, alt: str, figures: Path, size: tuple[int, int] | None = None) -> str:
    """The HTML that shows a picture, by default a pixel for a pixel."""
    width, height = size or struct.unpack(">II", png[16:24])
    source = stored(png, figures)
    return (
        f'<img class="lab-picture" src="{source}" width="{width}" height="{height}" alt="{escape(alt)}" loading="lazy">'
    )


def stored(png: bytes, figures: Path) -> str:
    """Keep a picture as a file that both editions share; gives its address on a page."""
    name = f"{hashlib.sha256(png).hexdigest()[:16]}.png"
    figures.mkdir(parents=True, exist_ok=True)
    (figures / name).write_bytes(png)
    return f"../figures/{name}"


def as_files(html: str, figures: Path) -> str:
    """HTML whose pictures are files: a page is there at once, and the frames of a player when they are wanted."""
    return re.sub(r"data:image/png;base64,([^\"]*)", lambda m: stored(base64.b64decode(m[1]), figures), html)


# ---- other pages


def front(lang: str, executed: dict[str, Any], drawn: bytes, player: str, figures: Path) -> str:
    """The front page: its text, the picture, a player and the list of lessons."""
    text = (HERE / f"index.{lang}.md").read_text(encoding="utf-8")
    lessons = "\n".join(f"- [**{name[:2]}** {title(nb, lang)}]({name}.ipynb)" for name, nb in executed.items())
    parts = {
        "picture": picture.named(stored(drawn, figures), lang),
        "lessons": f":::{{container}} book-lessons\n{lessons}\n:::",
        "player": as_files(keep(player, lang), figures),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], text)


def glossary(lang: str, executed: dict[str, Any]) -> str:
    """The terms from glossary.toml, each with the lesson that first uses it."""
    terms = tomllib.loads((HERE / "glossary.toml").read_text(encoding="utf-8"))["term"]
    other = "en" if lang == "zh" else "zh"
    rows = []
    for term in sorted(terms, key=lambda term: term["en"].lower()):
        first = next((name for name, nb in executed.items() if _uses(nb, term, lang)), None)
        link = f"[{first[:2]} {_short(title(executed[first], lang))}]({first}.ipynb)" if first else ""
        rows.append([f"**{term[lang]}**", term[other], term.get(f"{lang}_is", ""), link])
    table = _boxed("book-glossary", _table(word("glossary_head", lang), rows))
    return f"# {word('glossary', lang)}\n\n{word('glossary_lead', lang)}\n\n{table}"


def _uses(nb: Any, term: dict[str, Any], lang: str) -> bool:
    prose = (c.source for c in nb.cells if f"lang-{lang}" in c.metadata.get("tags", []))
    wanted = term["zh"] if lang == "zh" else rf"\b{re.escape(term['en'])}"
    return any(re.search(wanted, re.sub(r"\s+", " ", text), re.I) for text in prose)


def stricter(lang: str) -> str | None:
    """Where torch accepts what makes no sense and this library does not; None while nothing is recorded."""
    path = LAB / "stricter.toml"
    if not path.exists():
        return None
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    theirs = {"zh": "torch_zh", "en": "torch"}[lang]
    rows = [[_cell(entry[lang]), _cell(entry.get(theirs, entry["torch"]))] for entry in entries.values()]
    table = _boxed("book-prose", _table(word("stricter_head", lang), rows))
    parts = [f"# {word('stricter', lang)}", word("stricter_lead", lang), table]
    return "\n\n".join([*parts, f"## {word('catalogue', lang)}", word("catalogue_lead", lang), *_catalogue(lang)])


def _catalogue(lang: str) -> Iterator[str]:
    """The rows of bad input in which torch and this library differ, block by block, as the tests run them on both."""
    recorded = json.loads(bad_input.RECORDED.read_text(encoding="utf-8"))
    here = {"ok": word("accepted", lang), "nan": word("accepted", lang)}
    for block, cases in bad_input.CASES.items():
        rows = [
            [
                f"`{_one_line(code)}`".replace("|", r"\|"),
                here.get(wanted, wanted),
                here.get(recorded[code], recorded[code]),
            ]
            for code, wanted, _ in cases
            if wanted != recorded[code]
        ]
        heading = dict(zip(LANGUAGES, bad_input.BLOCKS[block], strict=True))[lang]
        yield f"### {heading}\n\n{_boxed('book-programs', _table(word('catalogue_head', lang), rows))}"


def _one_line(code: str) -> str:
    """A row's code as it stands in a table; ``;;`` only tells the tests what prepares from what is to fail."""
    return re.sub(r":;", ":", "; ".join(filter(None, (line.strip(" ;") for line in re.split(r";;|\n", code)))))


def _cell(text: str) -> str:
    """Text with code in backticks, for a cell of a table."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    plain = (re.sub(r"([\\*_\[\]<>$])", r"\\\1", part) if not part.startswith("`") else part for part in parts)
    return "".join(plain).replace("|", r"\|")


def _short(heading: str) -> str:
    """A lesson's name: its heading up to the colon."""
    return re.split("[：:]", heading)[0].strip()


def _boxed(kind: str, markdown: str) -> str:
    return f":::{{container}} {kind}\n\n{markdown}\n:::"


def _table(head: str, rows: list[list[str]]) -> str:
    lines = [f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


# ---- editions


def sources(lang: str, executed: dict[str, Any], first: str, into: Path, figures: Path) -> None:
    """Write all that Sphinx needs for one edition; ``first`` is its front page."""
    found = reference.pages()
    pages = {"index": first, "glossary": glossary(lang, executed), "stricter": stricter(lang)}
    pages |= {f"api/{name}": reference.page(name, found, lang, lambda key: word(key, lang)) for name in found}
    pages |= {name: nbformat.writes(edition(nb, lang, figures)) for name, nb in executed.items()}
    pages = {name: text for name, text in pages.items() if text}
    for name, text in pages.items():
        path = into / f"{name}{'.ipynb' if name in executed else '.md'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    names = [*sorted(name for name in pages if "/" not in name), *(f"api/{name}" for name in found)]
    titles = {name: f"{name[:2]}  {_short(title(nb, lang))}" for name, nb in executed.items()}
    titles |= {f"api/{name}": getattr(reference.AREAS[name], lang) for name in found}
    toc = yaml.safe_load((HERE / "_toc.yml").read_text(encoding="utf-8"))
    (into / "_toc.yml").write_text(
        yaml.safe_dump(contents(toc, names, titles, lang), allow_unicode=True), encoding="utf-8"
    )


def contents(toc: Any, names: list[str], titles: dict[str, str], lang: str) -> Any:
    """The table of contents of an edition: captions in its language, globs replaced by the pages they match."""

    def chapters(entries: list[dict[str, str]]) -> Iterator[dict[str, str]]:
        for entry in entries:
            matching = (
                [name for name in names if Path(name).match(entry["glob"])] if "glob" in entry else [entry["file"]]
            )
            yield from ({"file": name, **({"title": titles[name]} if name in titles else {})} for name in matching)

    parts = [
        {"caption": choose(part["caption"], lang), "chapters": list(chapters(part["chapters"]))}
        for part in toc["parts"]
    ]
    return {**toc, "parts": parts}


def start_sphinx(lang: str, source: Path, html: Path) -> subprocess.Popen[str]:
    """Begin to set one edition; a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-c", str(HERE)]
    options = ["-D", f"language={SPHINX[lang]}", "-d", str(source.parent / f"doctrees-{lang}")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, *options, str(source), str(html / lang)], env=env, **pipes)


def clean(folder: Path) -> None:
    """Drop what Sphinx and the theme bring and no page loads."""
    static = folder / "_static"
    for pattern in (
        "scripts",
        "vendor",
        "locales",
        "images",
        "**/*.map",
        "**/*.png",
        "*stemmer.js",
        "sbt-webpack-macros.html",
    ):
        for path in static.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    used = {path.name for path in (HERE / "_static").iterdir()} | {"player.js", "texts.js"}
    for path in static.glob("*.js"):
        if path.name not in used:
            path.unlink()
    for name in (".buildinfo", "objects.inv", "_sources", "_static/webpack-macros.html"):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def build(out: Path) -> None:
    """Build both editions into ``out``/html, from nothing; what was there stays until the new book is whole."""
    if out.exists() and any(out.iterdir()) and not (out / "html" / MARK).exists():
        raise Failure(f"{out} holds something else than a book; give --out a folder that is empty or new")
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f"{out.name}.", dir=out.parent))
    try:
        make(new)
        if out.exists():
            shutil.rmtree(out)
        new.rename(out)
        out.chmod(0o755)  # a temporary folder is its owner's alone
    finally:
        shutil.rmtree(new, ignore_errors=True)


def make(out: Path) -> None:
    """Both editions in an empty folder."""
    html = out / "html"
    html.mkdir()
    figures, executed = html / "figures", execute_all(cli.lessons())
    drawn, player = picture.draw(names=False), explorers.plane().player()
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        for lang in LANGUAGES:
            first = front(lang, executed, drawn, player, figures)
            sources(lang, executed, first, out / "src" / lang, figures)
            running[lang] = start_sphinx(lang, out / "src" / lang, html)
        for lang, process in tqdm(running.items(), desc="editions", unit="edition"):
            said, _ = process.communicate()
            if process.returncode:
                raise Failure(f"Sphinx, edition {lang}:\n{said}")
            clean(html / lang)
        shutil.rmtree(html / "jupyter_execute", ignore_errors=True)  # myst-nb's copies, made where there are lessons
    finally:
        for process in running.values():
            process.kill()  # after an error; one that has ended does not mind
            process.wait()
    for lang in LANGUAGES:
        (html / lang / "notebooks").mkdir()
        for name, path in cli.lessons().items():
            nbformat.write(cli.localized(path, lang), html / lang / "notebooks" / f"{name}.{lang}.ipynb")
    mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        source, target = mathjax / name, html / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, target)
    shutil.copytree(HERE / "start", html, dirs_exist_ok=True)
    (html / MARK).touch()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=HERE / "_build", help="folder, book/_build by default; a book there is replaced"
    )
    out = parser.parse_args().out
    try:
        build(out)
    except Failure as failure:
        print(f"✗ {failure}", file=sys.stderr)
        return 1
    print(f"✓ {out / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
