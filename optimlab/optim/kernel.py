"""A tape as a Numba kernel: one loop in which every element is read once, updated, and written once.

The kernel's source is printed into a file of the user's cache folder, named by its content, so that Numba can keep the
machine code beside it: 0.2 to 0.6 s the first time, a few ms in the next process. Nothing in that folder is trusted: where it
is not the user's own, or a file is not what was written, the kernel is compiled anew in memory.

把 tape 变成 Numba 内核：一个循环，每个元素读一次、算一次、写一次。
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optimlab.files import replacing
from optimlab.optim.blocks import renew
from optimlab.optim.tape import Tape

# Elements from which two threads pay. Starting them costs some 10 µs; and when they are done they wait a while with the
# processor in hand, while NumPy's own threads want it: on LeNet (62 k) the whole training step took 10 to 40 % longer.
PARALLEL = 500_000

# ---- printing

TEXTS = {  # each operation with NumPy's outcome for NaN, and for zeros of either sign
    "positive": "{0}",
    "negative": "-{0}",
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "square": "{0} * {0}",
    "sqrt": "np.sqrt({0})",
    "absolute": "np.abs({0})",
    "sign": "_one if {0} > _zero else (-_one if {0} < _zero else (_zero if {0} == _zero else {0}))",
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "where": "{1} if {0} else {2}",
}


def letters(tape: Tape) -> list[str]:
    """The arrays that a kernel takes, in order; the constants come last."""
    return list(dict.fromkeys(["p", "g", *tape.inputs, *(letter for letter, _ in tape.results)]))


def source(tape: Tape, parallel: bool) -> str:
    """The kernel of a tape, as Python. 内核的源代码。

    It goes over pieces of parameters; each thread takes a share of them. See `share`.
    """
    lines = ["def kernel(_addresses, _pieces, _shares, _c):"]
    lines += [f"    _c{k} = _c[{k}]" for k in range(tape.constants)]
    if any(name == "sign" for name, *_ in tape.operations):
        lines += ["    _one = _c.dtype.type(1)", "    _zero = _c.dtype.type(0)"]
    lines.append(f"    for _share in {'prange' if parallel else 'range'}(_shares.size - 1):")
    lines.append("        for _k in range(_shares[_share], _shares[_share + 1]):")
    body = ["_n, _start, _size = _pieces[_k]"]
    body += [f"{x} = carray(pointer(_addresses[{row}, _n] + _start), _size)" for row, x in enumerate(letters(tape))]
    body += ["for _i in range(_size):", "    narrow()"]
    body += [f"    _{i} = {letter}[_i]" for i, letter in enumerate(tape.inputs)]
    for value, (name, *operands) in enumerate(tape.operations, len(tape.inputs)):
        names = [f"_{x}" if x >= 0 else f"_c{~x}" for x in operands]
        body.append(f"    _{value} = {TEXTS[name].format(*names)}")
    body += [f"    {letter}[_i] = _{value}" for letter, value in tape.results]
    return "\n".join([*lines, *("            " + line for line in body), ""])


def share(sizes: Sequence[int], count: int, itemsize: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay parameters end to end and cut them into ``count`` shares of equal length. 把所有参数首尾相接，平分成若干份。

    Returns the pieces, rows (parameter, first byte, elements), and where in them each share begins and the last one ends. A
    parameter is cut on a multiple of 64 bytes, so that no two threads write to one line of the cache. Where there is no
    element at all, ``count`` is 1.
    """
    ends = np.cumsum(sizes)
    begins, whole = ends - sizes, ends[-1]
    cuts = whole * np.arange(1, count) // count
    cuts -= (cuts - begins[np.searchsorted(ends, cuts, "right")]) % (64 // itemsize)
    marks = np.unique([0, *cuts, *ends])
    owners = np.searchsorted(ends, marks[:-1], "right")
    pieces = np.stack([owners, (marks[:-1] - begins[owners]) * itemsize, np.diff(marks)], axis=1)
    return pieces.astype(np.intp), np.searchsorted(marks, [0, *cuts, whole]).astype(np.intp)


# ---- compiling


def _own(path: Path) -> bool:
    """Whether a folder or file is the user's own, and nobody else can write there."""
    found = path.lstat()
    mine = not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
    return mine and not stat.S_ISLNK(found.st_mode)


def folder() -> Path | None:
    """The folder where kernels are kept, made where it is missing; None if there can be none that is safe."""
    base = Path(os.environ.get("OPTIMLAB_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "optimlab"))
    try:
        path = base.expanduser() / "kernels"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path if _own(path) and os.access(path, os.W_OK) else None
    except (OSError, RuntimeError):  # no home, no space, no right: then without
        return None


def _write(path: Path, text: bytes) -> None:
    """Make a file that is there whole or not at all, unless that is what it says already."""
    if not (path.exists() and path.read_bytes() == text):
        with replacing(str(path)) as file:
            file.write(text)


def _seal(kept: Path) -> bytes:
    """The digest of the machine code that Numba keeps beside a source."""
    files = sorted(kept.glob("__pycache__/*"))
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).digest()


def _prepare(kept: Path, text: str) -> None:
    """Make ``kept`` the folder of this source; machine code in it that is not as it was left is removed.

    Raises OSError where it cannot be that.
    """
    code, seal = kept / "__pycache__", kept / "seal"
    kept.mkdir(mode=0o700, exist_ok=True)
    if not _own(kept):
        raise PermissionError(f"{kept} is not the user's own")
    code.mkdir(mode=0o700, exist_ok=True)
    _write(kept / "kernel.py", text.encode())
    if not (seal.exists() and seal.read_bytes() == _seal(kept)):
        for file in code.iterdir():
            file.unlink()
    tempfile.TemporaryFile(dir=code).close()  # where it cannot write, Numba would turn to a folder of its own


@functools.cache
def _pointer(dtype: np.dtype) -> Any:
    """What turns an address into a pointer, inside a kernel."""
    import numba
    from numba.extending import intrinsic

    @intrinsic
    def pointer(_: Any, address: Any) -> tuple:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return numba.types.CPointer(numba.from_dtype(dtype))(numba.types.intp), generate

    return pointer


@functools.cache
def _narrow() -> Any:
    """What makes the function around it use vectors of 256 bits, and no instruction of its own.

    A memory's bandwidth is all that SGD needs, and there 512 bits are slower: 4.7 against 3.8 ms for 11 million (Zen 4).
    """
    import numba
    from numba.extending import intrinsic

    @intrinsic
    def narrow(_: Any) -> tuple:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            set.add(
                builder.function.attributes, '"prefer-vector-width"="256"'
            )  # llvmlite's own add knows no such words
            return context.get_dummy_value()

        return numba.void(), generate

    return narrow


def _compile(text: str, dtype: np.dtype, parallel: bool, kept: Path | None) -> Callable:
    """The kernel of a source; with ``kept`` its machine code is looked for there, and left there."""
    import numba

    # what is kept names the module it is from
    names = {
        "prange": numba.prange,
        "carray": numba.carray,
        "pointer": _pointer(dtype),
        "narrow": _narrow(),
        "np": np,
        "__name__": __name__,
    }
    exec(compile(text, str(kept / "kernel.py") if kept else "<kernel>", "exec"), names)
    array = functools.partial(numba.types.Array, layout="C")
    integers = [array(numba.types.intp, dimensions) for dimensions in (2, 2, 1)]  # addresses, pieces, shares
    # the error model of Python would check every division, which stops vectorisation: 8 times slower
    options = {"error_model": "numpy", "parallel": parallel, "cache": kept is not None}
    return numba.njit(numba.void(*integers, array(numba.from_dtype(dtype), 1)), **options)(names["kernel"])


@functools.cache
def kernel(tape: Tape, dtype: np.dtype, parallel: bool) -> Callable:
    """The compiled kernel of a tape: ``kernel(addresses, pieces, shares, constants)``, the addresses by letter, in the order
    of `letters`, and parameter.

    编译好的内核。
    """
    import numba

    text = source(tape, parallel)
    elsewhere = numba.config.CACHE_DIR or getattr(numba.config, "CACHE_LOCATOR_CLASSES", "")
    here = None if elsewhere else folder()  # where Numba was told of another folder, it would look there
    compiled = None
    if here is not None:
        kept = here / hashlib.sha256(f"{dtype} {text}".encode()).hexdigest()[:32]
        with contextlib.suppress(OSError):  # a full disk, say: then without
            _prepare(kept, text)
            compiled = _compile(text, dtype, parallel, kept)
            _write(kept / "seal", _seal(kept))
    compiled = compiled or _compile(text, dtype, parallel, None)
    # what a first call sets up does not wait for a commit
    compiled(np.empty((0, 0), np.intp), *share([0], 1, 1), np.ones(max(1, tape.constants), dtype))
    return compiled


# ---- running

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True
    renew()  # plans of the parent may hold parallel kernels


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _openmp() -> bool:
    """Whether threads are OpenMP's. Numba's other layers end the process when two threads use them at a time."""
    import numba

    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return False
    with contextlib.suppress(ValueError):  # none is running yet
        return numba.threading_layer() == "omp"
    if numba.config.THREADING_LAYER == "default":
        numba.config.THREADING_LAYER = "omp"
    return numba.config.THREADING_LAYER == "omp"


def parallel() -> bool:
    """Whether a kernel may use several threads: on the main thread, and not after a fork, where a team of threads is lost."""
    import numba

    alone = (
        _forked or threading.current_thread() is not threading.main_thread() or os.environ.get("OMP_NUM_THREADS") == "1"
    )
    return not alone and numba.get_num_threads() > 1 and _openmp()


class NumbaRun:
    """A kernel tied to the arrays of some parameters. 绑定到一批参数的 Numba 内核。

    arrays: by letter, an array for each parameter; all C-contiguous, aligned and writeable.
    """

    def __init__(self, tape: Tape, arrays: dict[str, list[np.ndarray]]) -> None:
        import numba

        dtype, sizes = arrays["p"][0].dtype, [p.size for p in arrays["p"]]
        several = sum(sizes) >= PARALLEL and parallel()
        self._kernel = kernel(tape, dtype, several)
        self._shares = share(sizes, numba.get_num_threads() if several else 1, dtype.itemsize)
        self._constants = np.empty(tape.constants, dtype)
        self._numbers: Any = np.ctypeslib.as_ctypes(self._constants)  # as in NumPyRun
        order = letters(tape)
        self._addresses = np.array([addresses(arrays.get(x, arrays["p"])) for x in order], np.intp)
        self._gradients = self._addresses[order.index("g")]

    def calls(self, gradients: list[np.ndarray], constants: Sequence[float], fresh: bool = True) -> list[tuple]:
        """What to commit for one step."""
        self._numbers[:] = constants
        if fresh:
            self._gradients[...] = addresses(gradients)
        # the last call does nothing; it keeps the gradients alive
        return [(self._kernel, self._addresses, *self._shares, self._constants), (len, gradients)]


def addresses(arrays: Iterable[Any]) -> list[int]:
    """Where the memory of each array begins: a fifth of the time of NumPy's own way to ask."""
    return list(map(ctypes.addressof, map((ctypes.c_char * 0).from_buffer, arrays)))
