"""Running a NumPy program block after block, so that what a block needs stays in the cache.

A commit runs no Python, so blocks are not cut in a loop: they are all cut beforehand. ``map`` walks over the blocks of an
instruction's arrays, ``zip`` takes one call of every instruction in turn.

一块接一块地运行 NumPy 程序，让一块所需的数据都留在缓存里。
"""

import functools
import math
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
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


def cut(shape: tuple[int, ...], block: int) -> Iterator[tuple]:
    """Boxes of at most ``block`` elements that fill ``shape``, of equal size where that can be: whole rows where they fit."""
    size = math.prod(shape)
    if size <= block:
        yield (...,)
        return
    inner = size // shape[0]
    rows = max(1, block // inner)
    rows = -(-shape[0] // -(-shape[0] // rows))
    for start in range(0, shape[0], rows):
        ahead = slice(start, start + rows)
        for rest in cut(shape[1:], block) if inner > block else [(...,)]:
            yield (ahead, *rest)


Stream = Callable[[], Iterator]  # what an operand is in each call, from the start


class NumPyRun:
    """A program tied to the arrays of some parameters. 绑定到一批参数的 NumPy 程序。

    arrays: by letter, an array for each parameter; flat: whether they are all C-contiguous.
    """

    def __init__(self, tape: Tape, arrays: dict[str, list[np.ndarray]], flat: bool) -> None:
        program, dtype, memory = arrange(tape), arrays["p"][0].dtype, scratch()
        block = program.block(dtype.itemsize)
        self._flat, self._boxes = flat, [list(cut((p.size,) if flat else p.shape, block)) for p in arrays["p"]]
        self._integers = np.dtype(f"i{dtype.itemsize}")
        self._used = {place for _, operands, out in program.instructions for place in (*operands, out)}
        self._streams: dict[Any, Stream] = {}
        for letter, group in arrays.items():
            self._streams |= self._rows(letter, group)
        self._constants = np.empty(tape.constants, dtype)
        # the same memory: it takes a list faster than NumPy does, and 1e300 as float32 without a warning
        self._numbers: Any = np.ctypeslib.as_ctypes(self._constants)
        for k in range(tape.constants):
            self._streams[~k] = functools.partial(repeat, self._constants[k, ...])
            self._streams["bits", ~k] = functools.partial(repeat, self._constants.view(self._integers)[k, ...])
        shapes, start = [row.shape for row in self._streams["p"]()], 0
        for kind, count, item in (("float", program.floats, dtype), ("mask", program.masks, np.dtype(bool))):
            for i in range(count):
                line = memory[start : (start := start + block * item.itemsize)].view(item)
                for place, view in (((kind, i), item), (("bits", (kind, i)), f"i{item.itemsize}")):
                    fronts = {shape: line.view(view)[: math.prod(shape)].reshape(shape) for shape in {*shapes}}
                    self._streams[place] = [fronts[shape] for shape in shapes].__iter__
        self._instructions: list[tuple[Callable, tuple]] = []
        for name, operands, out in program.instructions:
            if name in KEYWORDS:
                ways = [functools.partial(getattr(np, name), out=row) for row in self._streams[out]()]
                self._streams[name, out] = ways.__iter__
                self._instructions.append((operator.call, ((name, out), *operands)))
            else:
                self._instructions.append((getattr(np, name), (*operands, out)))

    def _rows(self, letter: str, arrays: list[np.ndarray]) -> dict[Any, Stream]:
        """The blocks of a letter's arrays, one parameter after the other; as numbers and as bits, where these are used."""
        rows = []
        for a, boxes in zip(arrays, self._boxes, strict=True):
            if len(boxes) == 1:  # a gradient is only read, so it serves as it is
                rows.append(a if letter == "g" else a[...])
            else:
                rows += map((a.reshape(-1) if self._flat else a).__getitem__, boxes)
        streams: dict[Any, Stream] = {letter: rows.__iter__}
        if ("bits", letter) in self._used:
            streams["bits", letter] = [row.view(self._integers) for row in rows].__iter__
        return streams

    def calls(self, gradients: list[np.ndarray], constants: Sequence[float], fresh: bool = True) -> list[tuple]:
        """What to commit for one step."""
        self._numbers[:] = constants
        streams = self._streams | self._rows("g", gradients)
        # zip takes one call of every instruction in turn: all of a block, then the next block
        return [
            (drain, zip(*[map(f, *(streams[x]() for x in places)) for f, places in self._instructions], strict=False))
        ]
