"""The course's commands: ``optimlab open | doctor | check | bench``.

One file, though long: each command is a function and its arguments, and who looks for one looks for all.

课程命令：打开课程、检查环境、核对输出、测速。
"""

import argparse
import contextlib
import hashlib
import importlib.metadata
import io
import locale
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from optimlab import __version__
from optimlab.lab.bilingual import choose, keep, plain

COPIES = "optimlab-lessons"


class Refusal(Exception):
    """What a command cannot do, in words for the reader."""


# ---- lessons


def folder() -> Path:
    """Where the lessons are: in the package, or beside it in a checkout."""
    for place in (Path(__file__).parent / "notebooks", Path(__file__).parents[1] / "notebooks"):
        if place.is_dir():
            return place
    raise Refusal("找不到课程文件，请重新安装 optimlab。 The lessons are missing: install optimlab again.")


def lessons() -> dict[str, Path]:
    """Every lesson by its name, such as ``00_start_here``."""
    return {path.stem: path for path in sorted(folder().glob("[0-9][0-9]_*.ipynb"))}


def titles() -> str:
    """The lessons with their titles, a line each."""
    lines = []
    for name, path in lessons().items():
        headings = [re.search(r"(?m)^# (.+)$", cell.source) for cell in _read(path).cells[:2]]
        lines.append(f"  {name}   {'   '.join(h[1] for h in headings if h)}")
    return "\n".join(lines)


def find(name: str) -> Path:
    """The lesson of a full name, of a number (``0``, ``00``) or of a part of a name that only one has."""
    known = lessons()
    number = name.zfill(2) if name.isdigit() else None
    found = [
        path for stem, path in known.items() if stem == name or (number or name) in (stem[:2], stem.partition("_")[2])
    ]
    found = found or [path for stem, path in known.items() if name and name in stem]
    if len(found) > 1:
        raise Refusal(
            f"{name!r} 对应不止一课，请写全名。 {name!r} matches several lessons, give the full name:\n{titles()}"
        )
    if not found:
        raise Refusal(f"没有名为 {name!r} 的课。 There is no lesson {name!r}. 现有 · There are:\n{titles()}")
    return found[0]


def _read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


# ---- open


def locale_language() -> str:
    """zh where the computer speaks Chinese, en elsewhere."""
    names = [os.environ.get(key, "") for key in ("LC_ALL", "LC_MESSAGES", "LANG")] + [locale.getlocale()[0] or ""]
    first = next((name for name in names if name), "")
    return "zh" if first.lower().startswith(("zh", "chinese")) else "en"


def digest(nb: Any) -> str:
    """A fingerprint of what the reader may edit: the cells, not their outputs."""
    text = "\0".join(f"{cell.cell_type}\0{cell.source}" for cell in nb.cells)
    return hashlib.sha256(text.encode()).hexdigest()


def localized(path: Path, lang: str) -> Any:
    """A lesson in one language (``both`` keeps all), marked with what it was made from."""
    nb = _read(path)
    if lang != "both":
        other = {"zh": "lang-en", "en": "lang-zh"}[lang]
        nb.cells = [cell for cell in nb.cells if other not in cell.metadata.get("tags", [])]
        for cell in nb.cells:
            cell.source = re.sub(r"\]\((\d\d_\w+)\.ipynb", rf"](\1.{lang}.ipynb", cell.source)
            if cell.cell_type == "markdown":
                cell.source = keep(cell.source, lang)
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                for shown in output.get("metadata", {}).values():
                    if isinstance(shown, dict) and "alt" in shown:
                        shown["alt"] = choose(shown["alt"], lang)
                if 'lang="' in data.get("text/html", ""):
                    data["text/html"] = keep(data["text/html"], lang)
                    data["text/plain"] = plain(data["text/html"])
    nb.metadata["optimlab"] = {"lesson": path.stem, "lang": lang, "sources": digest(nb)}
    return nb


def working_copy(path: Path, lang: str, into: Path, fresh: bool = False) -> tuple[Path, bool]:
    """The reader's own copy of a lesson, and whether it was made now. An edited copy is never touched."""
    import nbformat

    suffix = "" if lang == "both" else f".{lang}"
    copy = into / f"{path.stem}{suffix}.ipynb"
    number = 2
    while fresh and copy.exists():
        copy, number = into / f"{path.stem}{suffix}.{number}.ipynb", number + 1
    nb = localized(path, lang)
    if copy.exists():
        theirs = _read(copy)
        made_from = theirs.metadata.get("optimlab", {}).get("sources")
        edited = digest(theirs) != made_from
        if edited or made_from == nb.metadata["optimlab"]["sources"]:
            return copy, False
    into.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, copy)
    return copy, True


def open_lesson(options: argparse.Namespace) -> int:
    """Make working copies of all lessons, so that links between them work, and show one in JupyterLab."""
    wanted = find(options.lesson)
    lang = options.lang or locale_language()
    into = Path(options.folder)
    for path in lessons().values():
        copy, made = working_copy(path, lang, into, fresh=options.fresh and path == wanted)
        if path == wanted:
            opened = copy
            print(f"{'新副本 · new copy' if made else '你的副本 · your copy'}: {copy}")
    os.environ["OPTIMLAB_LANG"] = lang  # kernels inherit it: helpers speak the copy's language
    if options.no_lab:
        return 0
    from jupyterlab.labapp import main as jupyterlab

    # loopback only, with the token that Jupyter makes; JupyterLab does not ask whether to fetch news in mid-lecture
    options_for_lab = ["--ServerApp.ip=127.0.0.1"]
    if not (Path(sys.prefix) / "share/jupyter/lab/settings/overrides.json").exists():  # a school's own settings win
        options_for_lab.append(f"--LabApp.app_settings_dir={Path(__file__).parent / 'lab' / 'jupyterlab'}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # as in a container, where Jupyter would refuse to start
        options_for_lab.append("--allow-root")
    sys.argv = ["jupyter-lab", str(opened), *options_for_lab, *options.jupyter]
    jupyterlab()
    return 0


# ---- doctor


def packages() -> Iterator[tuple[str, str, bool]]:
    """Each package that lessons need: its name, what was found against what is wanted, and whether that will do."""
    from packaging.requirements import Requirement

    for text in importlib.metadata.requires("optimlab") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "lab"}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield requirement.name, f"— ({requirement.specifier})", False
        else:
            yield (
                requirement.name,
                f"{version} ({requirement.specifier})",
                requirement.specifier.contains(version, True),
            )


def kernel() -> str:
    """The Python that notebooks run with; an error if it is another one."""
    from jupyter_client.kernelspec import KernelSpecManager

    python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    resolved = sys.executable if python in ("python", "python3") else python
    if Path(resolved).resolve() != Path(sys.executable).resolve():
        raise Refusal(f"{resolved} ≠ {sys.executable}")
    return resolved


def writable() -> str:
    """The current folder, if a file can be made in it."""
    with tempfile.TemporaryFile(dir="."):
        return str(Path.cwd())


def doctor(options: argparse.Namespace) -> int:
    """Check Python, packages, kernel, lessons and write access, and say what to do."""
    sick = []

    def report(what: str, found: str, well: bool, advice: str) -> None:
        print(f"{'✓' if well else '✗'} {what}: {found}")
        if not well:
            sick.append(what)
            print(f"    → {advice}")

    def attempt(what: str, check: Callable[[], str], advice: str) -> None:
        try:
            report(what, check(), True, advice)
        except Exception as error:  # whatever is wrong is what the reader came to hear
            report(what, f"{type(error).__name__}: {error}", False, advice)

    python = ".".join(map(str, sys.version_info[:3]))
    report("Python", python, sys.version_info >= (3, 11), "安装 Python 3.11 或更高版本 · install Python 3.11 or newer")
    report("optimlab", __version__, True, "")
    install = f'{sys.executable} -m pip install "optimlab[lab]"'
    attempt("packaging", lambda: importlib.metadata.version("packaging"), install)
    with contextlib.suppress(ImportError):  # reported on the line before
        for name, found, well in packages():
            report(name, found, well, install)
    attempt("kernel", kernel, f"{sys.executable} -m ipykernel install --user")
    attempt("课程 · lessons", lambda: f"{len(lessons())} ({folder()})", f"{install} --force-reinstall --no-deps")
    attempt("可写 · writable", writable, "换一个可写的文件夹 · change to a folder you may write to")
    print("一切就绪。 All is well." if not sick else f"有问题 · trouble: {', '.join(sick)}")
    return 1 if sick else 0


# ---- check


class _Cells:
    """A pytest plugin that gathers the cells which fail."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []
        self.errors: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" and report.passed:
            self.passed += 1
        elif report.failed or (report.when == "call" and report.skipped):  # after a dead kernel nbval skips the rest
            cell = report.nodeid.rpartition("::")[2]
            lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(report.longrepr).splitlines()]
            reason = next(
                (line for line in lines if re.search(r"Error|differ|dissimilar|Timeout|dead|Unexpected|Missing", line)),
                "",
            )
            self.failed.append(f"{cell}: {reason[:100]}")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr).splitlines()[-1])


def check(options: argparse.Namespace) -> int:
    """Run lessons again and compare every text output with the stored one: a line for each cell that differs."""
    import pytest
    from tqdm import tqdm

    files = [Path(name) if name.endswith(".ipynb") else find(name) for name in options.lessons] or list(
        lessons().values()
    )
    if missing := [str(file) for file in files if not file.is_file()]:
        raise Refusal(f"没有这个文件 · no such file: {', '.join(missing)}")
    bad = 0
    for file in tqdm(files, unit="lesson", disable=len(files) == 1):
        lang = _read(file).metadata.get("optimlab", {}).get("lang", "both")
        cells, output = _Cells(), io.StringIO()
        before = os.environ.get("OPTIMLAB_LANG")
        os.environ["OPTIMLAB_LANG"] = lang  # a copy in one language was stored in one language
        settings = [
            "-o",
            "addopts=",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--rootdir",
            str(file.resolve().parent),
        ]
        nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "30"]
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                pytest.main([*settings, *nbval, str(file.resolve())], plugins=[cells])
        finally:
            os.environ.pop("OPTIMLAB_LANG") if before is None else os.environ.update(OPTIMLAB_LANG=before)
        for line in [*cells.failed, *cells.errors]:
            tqdm.write(f"✗ {file.name} {line}")
        unrun = sum(cell.cell_type == "code" and cell.execution_count is None for cell in _read(file).cells)
        if unrun:  # nbval passes what was never run
            tqdm.write(f"✗ {file.name}: {unrun} 个单元格没有运行过 · {unrun} cells never run")
        bad += bool(cells.failed or cells.errors or unrun or not cells.passed)
        tqdm.write(
            f"{'✗' if cells.failed or cells.errors or unrun else '✓'} {file.name}: {cells.passed} ✓, {len(cells.failed)} ✗"
        )
    return 1 if bad else 0


# ---- bench


def bench(options: argparse.Namespace) -> int:
    """Time a step of every optimizer with every engine, beside torch where it is installed."""
    from tqdm import tqdm

    from optimlab.lab import bench as timing

    chosen: dict[str, list[str]] = {}
    known: dict[str, Any] = {"optimizers": timing.RULES, "workloads": timing.WORKLOADS, "engines": timing.ENGINES}
    for what, names in known.items():
        chosen[what] = [name.strip() for name in getattr(options, what).split(",")]
        if unknown := [name for name in chosen[what] if name not in names]:
            raise Refusal(f"没有 · unknown: {', '.join(unknown)}. 可选 · choose from: {', '.join(names)}")
    if "numba" in chosen["engines"] and not timing.has("numba"):
        chosen["engines"].remove("numba")
        print("没有安装 Numba · Numba is not installed")
    if not chosen["engines"]:
        raise Refusal("没有可测的引擎 · no engine to time")
    try:
        threads = [int(n) for n in options.threads.split(",")]
    except ValueError:
        threads = []
    if not threads or min(threads) < 1 or not options.seconds > 0:
        raise Refusal("--threads 要形如 1,2；--seconds 要大于 0。 --threads must be like 1,2 and --seconds above 0.")
    if options.picture:  # to learn that after an hour of measuring would be late
        place = Path(options.picture)
        if place.suffix not in (".png", ".svg", ".pdf") or place.is_dir() or not os.access(place.parent, os.W_OK):
            raise Refusal(
                "--picture 要是可写文件夹里的 .png、.svg 或 .pdf 文件。 "
                f"--picture must be a .png, .svg or .pdf file in a folder that can be written to, not {place}"
            )
    cells = timing.bench(chosen["optimizers"], chosen["workloads"], chosen["engines"], threads, options.seconds)
    total = len(threads) * len(chosen["optimizers"]) * len(chosen["workloads"])
    done, trouble = list[timing.Cell](), ""
    try:
        for cell in tqdm(cells, total=total, unit="cell", leave=False):
            done.append(cell)
    except KeyboardInterrupt:
        trouble = "测量被中断。 Measuring was interrupted."
    except RuntimeError as error:
        trouble = f"测量没有做完；如果内存不够，请选小一些的 --workloads。 {error}; if memory is short choose smaller --workloads"
    if done:
        print(timing.table(done))
    if done and options.picture:
        timing.picture(done, options.picture)
        print(options.picture)
    if trouble:
        raise Refusal(trouble)
    return 0


# ---- the command line


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    main = argparse.ArgumentParser(prog="optimlab", description="optimlab 课程 · the optimlab course")
    main.add_argument("--version", action="version", version=__version__)
    commands = main.add_subparsers(dest="command", required=True, metavar="open | doctor | check | bench")

    one = commands.add_parser(
        "open",
        help="打开一课 · open a lesson in JupyterLab",
        description=f"为每一课建一份副本，并打开其中一课。 {open_lesson.__doc__}",
    )
    one.add_argument("lesson", nargs="?", default="00", help="课的编号或名字 · a lesson's number or name (00)")
    one.add_argument(
        "--lang", choices=["zh", "en", "both"], help="语言，默认随系统 · language, by default the system's"
    )
    one.add_argument("--fresh", action="store_true", help="另建一份新副本 · make another copy beside yours")
    one.add_argument("--folder", default=COPIES, help=f"副本放在哪里 · where copies go ({COPIES})")
    one.add_argument(
        "--no-lab", action="store_true", help="只建副本，不打开 JupyterLab · make the copies, do not open JupyterLab"
    )
    one.epilog = "-- 之后的参数交给 JupyterLab · arguments after -- go to JupyterLab"
    one.set_defaults(run=open_lesson)

    two = commands.add_parser(
        "doctor",
        help="检查环境 · check the installation",
        description=f"检查 Python、依赖包、内核、课程文件和写入权限，并说明怎么办。 {doctor.__doc__}",
    )
    two.set_defaults(run=doctor)

    three = commands.add_parser(
        "check",
        help="核对输出 · compare outputs with the stored ones",
        description=f"重新运行课程，与存下的文字输出比较。 {check.__doc__}",
    )
    three.add_argument("lessons", nargs="*", metavar="LESSON|FILE", help="课或 .ipynb 文件，默认全部 · all by default")
    three.set_defaults(run=check)

    four = commands.add_parser(
        "bench",
        help="测速 · time the optimizers",
        description=f"测每种优化器用每种引擎走一步的时间，装有 torch 时一并对比。 {bench.__doc__}",
    )
    from optimlab.lab import bench as timing

    for what, known, default in (
        ("optimizers", timing.RULES, timing.RULES),
        ("workloads", timing.WORKLOADS, timing.MIXED),
        ("engines", timing.ENGINES, ("numpy", "numba")),
    ):
        four.add_argument(
            f"--{what}", default=",".join(default), metavar="A,B", help=f"{', '.join(known)} ({', '.join(default)})"
        )
    four.add_argument("--threads", default="1,2", metavar="1,2", help="线程数 · numbers of threads (1,2)")
    four.add_argument("--seconds", type=float, default=1.0, help="每格测多久 · time for a cell (1)")
    four.add_argument("--picture", metavar="FILE", help="存成图 · save a picture")
    four.set_defaults(run=bench)
    return main


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 well, 1 trouble found, 2 refused."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that has no ✓ shows ? and goes on
    arguments = sys.argv[1:] if arguments is None else arguments
    mine = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser().parse_args(arguments[:mine])
    options.jupyter = arguments[mine + 1 :]
    try:
        return options.run(options)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 2
