"""Reverse-mode differentiation: a record of operations, and the chain rule that walks it from last to first.

反向模式自动微分：记录运算，再从后往前用链式法则。
"""

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


class Node:
    """One recorded operation: its inputs and, for each of them, where the gradient goes on to. 一次被记录的运算。

    An edge is the `Node` that made the input, the leaf tensor itself, or None for a constant.
    """

    _orders = count()

    def __init__(self, name: str, inputs: list, edges: list, output: np.ndarray, static: dict) -> None:
        self.name, self.inputs, self.edges, self.output, self.static = name, inputs, edges, output, static
        self.order = next(self._orders)  # an operation is younger than all its inputs

    @property
    def label(self) -> str:
        """torch's name for the operation, such as ``MulBackward0``."""
        if self.name == "matmul":
            name = {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm"}.get(tuple(x.ndim for x in self.inputs), "Bmm")
        else:
            name = LABELS.get(self.name, self.name.capitalize())
        overload = int(self.name in ("sum", "mean") and self.static["dim"] is not None)
        return f"{name}Backward{overload}"

    def __repr__(self) -> str:
        return f"<{self.label}>"

    def flow(self, g: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
        """The chain rule for one operation: each edge with the gradient that flows along it."""
        if self.inputs is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what it had saved was freed by the first; "
                "call backward(retain_graph=True) the first time, or compute the loss anew"
            )
        for edge, derivative, x in zip(self.edges, OPERATIONS[self.name][1:], self.inputs, strict=False):
            if edge is not None:
                local = derivative(g, self.output, *self.inputs, **self.static)
                yield edge, unbroadcast(local, x.shape).astype(x.dtype, copy=False)

    def free(self) -> None:
        """Let go of what was saved for the gradient."""
        self.inputs = self.output = None  # type: ignore[assignment]


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
            collected[key] = collected[key] + g if key in collected else g
            if not isinstance(edge, Node):
                leaves[key] = edge
    if not retain_graph:
        for node in nodes:
            node.free()
    return [(leaf, collected[key]) for key, leaf in leaves.items()]
