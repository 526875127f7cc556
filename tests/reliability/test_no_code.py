"""The package reads no code out of files: nothing in it unpickles, evaluates, or opens connections."""

import ast
from pathlib import Path

import optimlab

PACKAGE = Path(optimlab.__file__).parent
MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "code", "codeop", "runpy", "imp", "ctypes", "subprocess"}
MODULES |= {"multiprocessing", "socket", "socketserver", "ssl", "http", "urllib", "ftplib", "smtplib", "xmlrpc"}
MODULES |= {
    "asyncio",
    "requests",
    "webbrowser",
    "httpx",
    "aiohttp",
    "websockets",
    "telnetlib",
    "nntplib",
    "imaplib",
    "poplib",
}
MODULES |= {"_pickle", "cPickle", "cloudpickle", "concurrent", "cffi", "zipimport", "pty", "builtins", "yaml"}
BUILTINS = {"eval", "exec", "compile", "__import__", "__builtins__"}  # by these names, called or not
CALLS = {
    "import_module",
    "system",
    "popen",
    "fork",
    "forkpty",
    "posix_spawn",
    "posix_spawnp",
    "startfile",
    "FunctionType",
}
CALLS |= {"spec_from_file_location", "exec_module", "load_module", "SourceFileLoader", "read_pickle"}
CALLS |= {f"{kind}{how}" for kind in ("exec", "spawn") for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")}
ALLOWED = {
    # the text that the module itself has made of a rule, nothing a file says; ctypes tells where arrays lie, and calls nothing
    "optim/kernel.py": {"exec", "compile", "ctypes"},
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
            if name == "import_module" and isinstance(node.args[0], ast.Constant):  # as an import statement
                yield from {node.args[0].value.partition(".")[0]} & MODULES
            elif name in CALLS:
                yield name
            if any(k.arg == "allow_pickle" for k in node.keywords):
                yield "allow_pickle"
        elif isinstance(node, ast.Name) and node.id in BUILTINS:  # model.eval() and re.compile() are attributes
            yield node.id


def test_no_module_runs_what_it_reads():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        bad = set(found(ast.parse(path.read_text(encoding="utf-8")))) - ALLOWED.get(name, set())
        assert not bad, f"{name}: {bad}"


BAD = [
    "import pickle", "from pickle import loads", "import os.path, marshal", "from urllib.request import urlopen", "import socket",
    "import _pickle", "import concurrent.futures", "import builtins; builtins.eval('1')", "os.system('')", "os.popen('')",
    "os.execv('a', [])", "os.spawnl(0, 'a')", "os.fork()", "os.posix_spawn('a', [], {})", "eval('1')", "exec('1')", "e = eval",
    "compile('1', '', 'eval')", "__import__('os')", "getattr(__builtins__, 'eval')('1')", "import_module(name)",
    "import_module('pickle')", "np.load(f, allow_pickle=True)", "loader.exec_module(m)", "SourceFileLoader('a', 'b')",
    "types.FunctionType(code, {})",
]  # fmt: skip
GOOD = ["net.eval()", "re.compile('x')", "import_module('numba')", "import pickletools_of_ours", "np.load(f)"]


def test_the_check_finds_what_it_looks_for():
    assert [code for code in BAD if not set(found(ast.parse(code)))] == []
    assert [code for code in GOOD if set(found(ast.parse(code)))] == []
