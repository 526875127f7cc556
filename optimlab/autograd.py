"""Reverse-mode differentiation: a record of operations, and the chain rule that walks it from last to first.

反向模式自动微分：记录运算，再从后往前用链式法则。
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from itertools import count
from typing import Any

import numpy as np

from optimlab.functional import OPERATIONS, unbroadcast


class _Mode(threading.local):
    recording = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations are recorded for ``backward``. 当前是否记录运算。"""
    return _mode.recording


class _GradSwitch(ContextDecorator):
    """Switches recording inside a ``with`` block or a decorated function."""

    wanted = True

    def __new__(cls, func: Callable | None = None) -> Any:  # @no_grad without brackets decorates too
        return super().__new__(cls) if func is None else cls()(func)

    def _recreate_cm(self) -> "_GradSwitch":
        return type(self)()  # each call of a decorated function remembers for itself what to restore

    def __enter__(self) -> "_GradSwitch":
        self._before, _mode.recording = _mode.recording, self.wanted
        return self

    def __exit__(self, *error: object) -> None:
        _mode.recording = self._before


class no_grad(_GradSwitch):
    """Inside, operations are not recorded: ``with no_grad(): ...`` or ``@no_grad()``. 不记录运算。"""

    wanted = False


class enable_grad(_GradSwitch):
    """Inside, operations are recorded again, as in a closure that ``no_grad`` surrounds. 重新记录运算。"""


LABELS = {  # torch's names, where they are not the operation's own
    "linear": "Addmm",
    "reshape": "View",
    "getitem": "Index",
    "log_softmax": "LogSoftmax",
    "nll_loss": "NllLoss",
    "mse_loss": "MseLoss",
    "to": "ToCopy",
}


INPUTS = "abc"  # how derivatives call the inputs, in order


@functools.cache
def _needs(name: str) -> list[tuple[str, ...]]:
    """What each derivative of an operation names beside g."""
    return [d.__code__.co_varnames[1 : d.__code__.co_argcount] if d else () for d in OPERATIONS[name][1:]]


@functools.cache
def _saves(name: str, recorded: tuple[bool, ...]) -> list[tuple[str, int]]:
    """What is saved for the gradients of the inputs marked in ``recorded``: each name with its input, -1 for the result."""
    wanted = {key for marked, needs in zip(recorded, _needs(name), strict=False) if marked for key in needs}
    return [(key, INPUTS.find(key)) for key in (*INPUTS[: len(recorded)], "y") if key in wanted]


class Node:
    """One recorded operation: where the gradient goes on to, and what its derivatives need. 一次被记录的运算。

    An edge is the `Node` that made an input, the leaf tensor itself, or None for a constant. ``inputs`` and ``output`` are
    tensors or numbers; the version of each that is needed is remembered, so that a change in place is noticed.
    """

    _orders = count()

    def __init__(self, name: str, inputs: list, edges: list, output: Any, static: dict[str, Any]) -> None:
        self.name, self.edges, self.static = name, edges, static
        self.order = next(self._orders)  # an operation is younger than all its inputs
        self.shapes = [x._array.shape if edge is not None else () for x, edge in zip(inputs, edges, strict=True)]
        self.dtype = output._array.dtype
        self._label = self._matmul_label(inputs) if name == "matmul" else LABELS.get(name, name.capitalize())
        self.saved: dict[str, Any] | None = {}
        self._versions: list[tuple[list[int], int]] = []
        for key, position in _saves(name, tuple(edge is not None for edge in edges)):
            x = inputs[position] if position >= 0 else output
            if hasattr(x, "_version"):
                self._versions.append((x._version, x._version[0]))
                x = x._array
            self.saved[key] = x

    @staticmethod
    def _matmul_label(inputs: list) -> str:
        return {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm"}.get(tuple(x._array.ndim for x in inputs), "Bmm")

    @property
    def label(self) -> str:
        """torch's name for the operation, such as ``MulBackward0``."""
        overload = int(self.name in ("sum", "mean") and self.static["dim"] is not None)
        return f"{self._label}Backward{overload}"

    def __repr__(self) -> str:
        return f"<{self.label}>"

    def flow(self, g: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
        """The chain rule for one operation: each edge with the gradient that flows along it."""
        if self.saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what it had saved was freed by the first; "
                "call backward(retain_graph=True) the first time, or compute the loss anew"
            )
        if any(counter[0] != version for counter, version in self._versions):
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"an operand of {self.name!r} was changed after it was used; call backward before changing it"
            )
        known = self.saved | self.static if self.static else self.saved
        for edge, derivative, needs, shape in zip(
            self.edges, OPERATIONS[self.name][1:], _needs(self.name), self.shapes, strict=False
        ):
            if edge is not None:
                local = derivative(g, **{key: shape if key == "shape" else known[key] for key in needs})
                yield edge, unbroadcast(local, shape)

    def free(self) -> None:
        """Let go of what was saved; an operation that saved nothing can be gone through again."""
        if self.saved:
            self.saved = None


def _ancestry(root: Node) -> list[Node]:
    """All operations that ``root`` rests on, youngest first: each comes before its inputs."""
    seen, waiting = {id(root): root}, [root]
    while waiting:  # a loop, not a recursion: a chain may be 20,000 operations long
        for edge in waiting.pop().edges:
            if isinstance(edge, Node) and id(edge) not in seen:
                seen[id(edge)] = edge
                waiting.append(edge)
    return sorted(seen.values(), key=lambda node: -node.order)


def gradients(root: Any, seed: np.ndarray, retain_graph: bool) -> list[tuple[Any, np.ndarray]]:
    """Each leaf below ``root`` (a `Node` or a leaf) with its gradient; nothing is written to any leaf yet."""
    collected = {id(root): seed}
    leaves = {} if isinstance(root, Node) else {id(root): root}
    nodes = _ancestry(root) if isinstance(root, Node) else []
    for node in nodes:
        for edge, g in node.flow(collected.pop(id(node))):
            key = id(edge)
            wanted = edge.dtype if isinstance(edge, Node) else edge._array.dtype
            g = g if g.dtype == wanted else g.astype(wanted)
            collected[key] = collected[key] + g if key in collected else g
            if not isinstance(edge, Node):
                leaves[key] = edge
    if not retain_graph:
        for node in nodes:
            node.free()
    return [(leaf, collected[key]) for key, leaf in leaves.items()]
