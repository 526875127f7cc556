"""Running a NumPy program block after block, so that what a block needs stays in the cache.

A commit runs no Python, so blocks are not cut in a loop: the rows of a matrix are. ``map`` walks over the rows of an
instruction's arrays, ``zip`` takes one call of every instruction in turn.

一块接一块地运行 NumPy 程序，让一块所需的数据都留在缓存里。
"""

import functools
import math
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from optimlab.optim.program import KEYWORDS, SCRATCH, arrange
from optimlab.optim.tape import Tape

drain = deque[Any](maxlen=0).extend  # runs an iterator to its end and keeps nothing


class _Memory(threading.local):
    def __init__(self) -> None:
        self.bytes = np.empty(SCRATCH, np.uint8)


_memory = _Memory()


def renew() -> None:
    """Make this thread's scratch another array: what was prepared before holds no longer."""
    _memory.bytes = np.empty(SCRATCH, np.uint8)


def scratch() -> np.ndarray:
    """This thread's scratch: bytes, the same array at every call."""
    return _memory.bytes


def cut(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of at most ``block`` elements that fill ``shape``: whole rows where they fit."""
    size = math.prod(shape)
    if size <= block:
        yield (slice(None),) * len(shape)
        return
    inner = size // shape[0]
    rows = max(1, block // inner)
    for start in range(0, shape[0], rows):
        ahead = slice(start, start + rows)
        for rest in cut(shape[1:], block) if inner > block else [(slice(None),) * (len(shape) - 1)]:
            yield (ahead, *rest)


class _Blocks:
    """How one parameter's arrays are cut. Long flat ones become matrices: their rows come to be only when they are used."""

    def __init__(self, array: np.ndarray, flat: bool, block: int) -> None:
        self.block, self.size = block, array.size
        self.boxes = None if flat else list(cut(array.shape, block))
        self.shapes = [array[box].shape for box in self.boxes or ()]

    def rows(self, array: np.ndarray) -> list[Iterable]:
        """The blocks of an array like the parameter, in pieces to be chained."""
        if self.boxes is not None:
            return [[array[box] for box in self.boxes]]
        line = array.reshape(-1)
        if self.size <= self.block:
            return [(line,)]
        whole = self.size // self.block * self.block
        rows: list[Iterable] = [line[:whole].reshape(-1, self.block)]
        return rows if whole == self.size else [*rows, (line[whole:],)]

    def alike(self, make: Callable[[tuple[int, ...]], Any]) -> list[Iterable]:
        """The same thing for all blocks of one shape, made by ``make(shape)``; in pieces to be chained."""
        if self.boxes is not None:
            return [[make(shape) for shape in self.shapes]]
        if self.size <= self.block:
            return [(make((self.size,)),)]
        whole, rest = divmod(self.size, self.block)
        return [[make((self.block,))] * whole, *([(make((rest,)),)] if rest else [])]


def _front(line: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The first elements of ``line``, in a shape."""
    return line[: math.prod(shape)].reshape(shape)


Stream = Callable[[], Iterable]  # starts anew at every call


def _stream(pieces: Iterable[list[Iterable]]) -> Stream:
    """The blocks of all parameters, one after the other."""
    chained = [piece for of_one in pieces for piece in of_one]
    if all(type(piece) is tuple for piece in chained):  # short parameters: nothing to make on the way
        return [x for piece in chained for x in piece].__iter__
    return functools.partial(chain.from_iterable, chained)


class NumPyRun:
    """A program tied to the arrays of some parameters. 绑定到一批参数的 NumPy 程序。

    arrays: by letter, an array for each parameter; flat: whether they are all C-contiguous.
    """

    def __init__(self, tape: Tape, arrays: dict[str, list[np.ndarray]], flat: bool) -> None:
        program, dtype, memory = arrange(tape), arrays["p"][0].dtype, scratch()
        block = program.block(dtype.itemsize)
        self._blocks = [_Blocks(p, flat, block) for p in arrays["p"]]
        self._constants = np.empty(tape.constants, dtype)
        self._integers = np.dtype(f"i{dtype.itemsize}")
        self._used = {place for _, operands, out in program.instructions for place in (*operands, out)}
        self._streams: dict[Any, Stream] = {}
        for letter, group in arrays.items():
            self._streams |= self._rows(letter, group)
        for k in range(tape.constants):
            self._streams[~k] = functools.partial(repeat, self._constants[k, ...])
            self._streams["bits", ~k] = functools.partial(repeat, self._constants.view(self._integers)[k, ...])
        lines, start = {}, 0
        for kind, count, item in (("float", program.floats, dtype), ("mask", program.masks, np.dtype(bool))):
            for i in range(count):
                line = lines[kind, i] = memory[start : (start := start + block * item.itemsize)].view(item)
                self._streams[kind, i] = self._alike(functools.partial(_front, line))
                line = line.view(self._integers if kind == "float" else np.int8)
                self._streams["bits", (kind, i)] = self._alike(functools.partial(_front, line))
        self._instructions: list[tuple[Callable, tuple]] = []
        for name, operands, out in program.instructions:
            if name in KEYWORDS:
                self._streams[name, out] = self._alike(functools.partial(_with_out, getattr(np, name), lines[out]))
                self._instructions.append((operator.call, ((name, out), *operands)))
            else:
                self._instructions.append((getattr(np, name), (*operands, out)))

    def _rows(self, letter: str, arrays: list[np.ndarray]) -> dict[Any, Stream]:
        """The blocks of a letter's arrays, as numbers and as bits, where the program uses them."""
        views = {letter: None, ("bits", letter): self._integers}
        return {
            place: _stream(
                blocks.rows(a.view(kind) if kind else a) for blocks, a in zip(self._blocks, arrays, strict=True)
            )
            for place, kind in views.items()
            if place in self._used
        }

    def _alike(self, make: Callable[[tuple[int, ...]], Any]) -> Stream:
        return _stream(blocks.alike(make) for blocks in self._blocks)

    def calls(self, gradients: list[np.ndarray], constants: Sequence[float], fresh: bool = True) -> list[tuple]:
        """What to commit for one step."""
        self._constants[...] = constants
        streams = self._streams | self._rows("g", gradients)
        # zip takes one call of every instruction in turn: all of a block, then the next block
        return [
            (drain, zip(*[map(f, *(streams[x]() for x in places)) for f, places in self._instructions], strict=False))
        ]


def _with_out(ufunc: np.ufunc, line: np.ndarray, shape: tuple[int, ...]) -> Callable:
    return functools.partial(ufunc, out=_front(line, shape))
