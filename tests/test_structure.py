"""The shape of the project: layers, imports, types, style, and the README's code."""

import ast
import contextlib
import importlib
import importlib.metadata
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import optimlab

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "optimlab"
# a module may import what stands before it, and its own folder; lab and cli see everything, nothing sees them
LAYERS = [
    *[
        "checks",
        "commit",
        "memory",
        "arrays",
        "dtype",
        "hooks",
        "functional",
        "printing",
        "sparse",
        "normals",
        "random",
        "graph",
        "operators",
        "reductions",
        "shapes",
        "conversions",
        "sampling",
        "protocols",
        "backward",
        "history",
        "tensor",
        "custom",
        "autograd",
        "creation",
        "functions",
        "foreach",
        "linalg",
        "jacobians",
        "nn",
        "func",
        "amp",
        "utils",
        "files",
        "checkpoint",
    ],
    *[
        "optim.rule",
        "optim.scalars",
        "optim.tape",
        "optim.program",
        "optim.blocks",
        "optim.kernel",
        "optim.engine",
        "optim.stepping",
        "optim.groups",
        "optim.optimizer",
        "optim._stateless",
        "optim.rows",
        "optim.plan",
        "optim.elementwise",
        "optim.sgd",
        "optim.adaptive",
        "optim.adam",
        "optim.matrix",
        "optim._functional",
        "optim.linesearch",
        "optim.walk",
        "optim.curvature",
        "optim.lr_scheduler",
        "optim.swa_utils",
    ],
    *[
        "optim",
        "testing",
        "cuda",
        "accelerator",
        "serialization",
        "backends",
        "lending",
        "missing",
        "",
        "lab",
        "cli",
        "__main__",
    ],
]


def layer(module):
    """The place of a module: the longest entry of LAYERS that it lies in."""
    return LAYERS.index(max((x for x in LAYERS if f"{module}.".startswith(f"{x}.") or not x), key=len))


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree, top_only=False):
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ([f"{node.module}.{a.name}" for a in node.names] if node.module == "optimlab" else [node.module])
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)


def test_imports_run_one_way():
    for name, tree in modules():
        # what a type checker alone reads is no import
        tree.body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
        for imported in imports(tree):
            if imported.startswith("optimlab"):
                below = imported.removeprefix("optimlab").lstrip(".")
                assert layer(below) <= layer(name), f"{name} imports {imported}"


def test_only_the_lab_needs_more_than_numpy():
    for name, tree in modules():
        outside = {i.partition(".")[0] for i in imports(tree)} - set(sys.stdlib_module_names) - {"optimlab", "numpy"}
        outside -= {"numba"} if name == "optim.kernel" else set()
        assert not outside or name.startswith(("lab", "cli", "__main__")), (name, outside)
        # even there the front page is quick: matplotlib and the like are imported where they are used
        top = {i.partition(".")[0] for i in imports(tree, top_only=True)}
        assert not top & {"matplotlib", "ipywidgets", "sklearn", "PIL", "tqdm", "numba"}, (name, top)


def test_import_brings_numpy_and_the_standard_library_alone():
    code = "import sys, numpy; before = set(sys.modules); import optimlab; print(*sorted(set(sys.modules) - before))"
    new = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in new} <= {"optimlab", "numpy", *sys.stdlib_module_names}
    assert not any(name.startswith(("optimlab.lab", "optimlab.cli")) for name in new)


def public():
    """Every public function, class and method of the library, by name."""
    for module in (
        "optimlab",
        "optimlab.nn",
        "optimlab.optim",
        "optimlab.optim.lr_scheduler",
        "optimlab.optim.swa_utils",
        "optimlab.autograd",
    ):
        for name, thing in vars(importlib.import_module(module)).items():
            if name.startswith("_") or not getattr(thing, "__module__", "").startswith(module):
                continue
            yield f"{module}.{name}", thing
            if inspect.isclass(thing):
                for key, member in vars(thing).items():
                    if not key.startswith("_") and inspect.isfunction(member):
                        yield f"{module}.{name}.{key}", member


def test_public_names_are_documented():
    for name, thing in public():
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), name


def test_public_functions_are_typed():
    for name, thing in public():
        if not inspect.isfunction(thing):
            continue
        signature = inspect.signature(thing)
        untyped = [
            p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name not in ("self", "cls")
        ]
        assert not untyped and signature.return_annotation is not signature.empty, (name, untyped)


def test_classes_say_it_in_chinese_too():
    for name, thing in public():
        method = hasattr(thing, "__wrapped__")  # a method of Tensor under torch's name; methods are in English alone
        if inspect.isclass(thing) or ("." not in name.removeprefix("optimlab.") and not method):
            assert re.search("[\u4e00-\u9fff]", inspect.getdoc(thing) or ""), name


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy"])
def test_style(command):
    done = subprocess.run([sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_version_stands_once():
    assert importlib.metadata.version("optimlab") == optimlab.__version__


def test_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.S).groups()
    assert code.count("\n") - code.count("\n\n") == 15
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert out.getvalue() == printed
    commands = re.findall(r"```bash\n(.*?)\n```", text, re.S)
    assert len(commands) == 2 and all("\n" not in c and "pip install" in c for c in commands)


def test_nothing_of_a_machine_is_named():
    """Paths of a machine and hosts of registries have no place in the project."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: the files of the project cannot be told from others")
    pattern = re.compile(rb"/(?:home|Users|root)/\w|https?://(?:registry|deb|files|pypi|mirrors?)\.")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix not in (".npz", ".png") and path.exists() and path != Path(__file__):
            assert not pattern.search(path.read_bytes()), name


def test_files_of_tests_have_names_of_their_own():
    """pytest imports them by name alone: two of one name, and nothing is collected."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
