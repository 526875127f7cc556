"""The package reads no code out of files: nothing in it unpickles, evaluates, or opens connections."""

import ast
from pathlib import Path

import optimlab

PACKAGE = Path(optimlab.__file__).parent
MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "code", "codeop", "runpy", "imp", "ctypes", "subprocess"}
MODULES |= {"multiprocessing", "socket", "socketserver", "ssl", "http", "urllib", "ftplib", "smtplib", "xmlrpc"}
MODULES |= {"asyncio", "requests", "webbrowser"}
CALLS = {"eval", "exec", "compile", "__import__", "import_module", "system", "popen", "spec_from_file_location"}
ALLOWED = {
    "optim/kernel.py": {"exec", "compile"},  # the text that the module itself has made of a rule, nothing a file says
    "lab/bench.py": {"subprocess"},  # this same module, with another number of threads
}


def found(tree):
    """The names of what must not be there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name.partition(".")[0] for a in node.names if a.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            harmless = name in ("eval", "compile") and isinstance(
                node.func, ast.Attribute
            )  # model.eval(), re.compile()
            harmless |= name == "import_module" and isinstance(node.args[0], ast.Constant)  # as an import statement
            if name in CALLS and not harmless:
                yield name
            if any(k.arg == "allow_pickle" for k in node.keywords):
                yield "allow_pickle"


def test_no_module_runs_what_it_reads():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        bad = set(found(ast.parse(path.read_text(encoding="utf-8")))) - ALLOWED.get(name, set())
        assert not bad, f"{name}: {bad}"


def test_the_check_finds_what_it_looks_for():
    bad = "import pickle\nimport_module(name)\nfrom urllib.request import urlopen\nimport os\nos.system('')\neval('1')"
    bad += "\nnp.load(f, allow_pickle=True)"
    assert set(found(ast.parse(bad))) == {"pickle", "urllib", "system", "eval", "allow_pickle", "import_module"}
    assert not set(found(ast.parse("net.eval()\nre.compile('x')\nimport_module('numba')\nimport pickletools_of_ours")))
