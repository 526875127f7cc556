"""Reverse-mode differentiation: a record of operations, and the chain rule that walks it from last to first.

反向模式自动微分：记录运算，再从后往前用链式法则。
"""

import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from optimlab.functional import OPERATIONS, unbroadcast


class _Mode(threading.local):
    recording = True
    anomaly = False  # whether backward stops where nan appears


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations are recorded for ``backward``. 当前是否记录运算。"""
    return _mode.recording


class _Quiet(threading.local):
    """A context in which NumPy is silent: log(0) is -inf and no warning, as in torch.

    Running a function in a context that is kept takes a tenth of the time of ``with np.errstate(...)``.
    """

    running = False

    def __init__(self) -> None:
        with np.errstate(all="ignore"):
            self.run = contextvars.copy_context().run


_quiet = _Quiet()


def quiet(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)`` without floating-point warnings."""
    if _quiet.running:  # a context cannot be entered twice, and need not
        return function(*args, **kwargs)
    _quiet.running = True
    try:
        return _quiet.run(function, *args, **kwargs)
    finally:
        _quiet.running = False


class _GradSwitch:
    """Switches recording inside a ``with`` block, a decorated function, or each step of a decorated generator."""

    wanted = True

    def __new__(cls, *args: Any) -> Any:  # @no_grad without brackets decorates too
        return cls()(args[0]) if args and callable(args[0]) else super().__new__(cls)

    def __enter__(self) -> None:
        self._before, _mode.recording = _mode.recording, self.wanted

    def __exit__(self, *error: object) -> None:
        _mode.recording = self._before

    def _again(self) -> "_GradSwitch":
        return type(self)()  # each call of a decorated function remembers for itself what to restore

    def __call__(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function):  # the switch is on while its body runs, not while its caller's does

            @functools.wraps(function)
            def steps(*args: Any, **kwargs: Any) -> Any:
                generator = function(*args, **kwargs)
                resume: Callable[[], Any] = functools.partial(next, generator)
                try:
                    while True:
                        with self._again():
                            value = resume()
                        try:
                            resume = functools.partial(generator.send, (yield value))
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            resume = functools.partial(generator.throw, error)
                except StopIteration as end:
                    return end.value
                finally:
                    generator.close()

            return steps

        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            before = _mode.recording
            try:
                _mode.recording = self.wanted
                return function(*args, **kwargs)
            finally:
                _mode.recording = before

        return switched


class no_grad(_GradSwitch):
    """Inside, operations are not recorded: ``with no_grad(): ...`` or ``@no_grad()``. 不记录运算。"""

    wanted = False


class enable_grad(_GradSwitch):
    """Inside, operations are recorded again, as in a closure that ``no_grad`` surrounds. 重新记录运算。"""


class inference_mode(no_grad):
    """Inside, operations are not recorded; torch's stricter `no_grad`. 不记录运算。"""


class set_grad_enabled(_GradSwitch):
    """Switches recording on or off at once, and back where a ``with`` block ends. 开关运算记录。"""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"enabled must be a bool (got {type(mode).__name__}); pass True or False")
        self.wanted = mode
        self._before, _mode.recording = _mode.recording, mode

    def __enter__(self) -> None:
        _mode.recording = self.wanted

    def __call__(self, function: Any) -> Any:
        _mode.recording = self._before  # it decorates: nothing is switched until the function is called
        return super().__call__(function)

    def _again(self) -> "_GradSwitch":
        return set_grad_enabled(self.wanted)


LABELS = {  # torch's names, where they are not the operation's own
    "linear": "Addmm",
    "conv2d": "Convolution",
    "max_pool2d": "MaxPool2DWithIndices",
    "cross_entropy": "NllLoss",
    "reshape": "View",
    "getitem": "Index",
    "log_softmax": "LogSoftmax",
    "nll_loss": "NllLoss",
    "mse_loss": "MseLoss",
    "to": "ToCopy",
    "log1p": "Log1P",
    "square": "Pow",
    "norm": "LinalgVectorNorm",
}
GETITEM: dict[type, str] = {int: "Select", slice: "Slice", type(None): "Unsqueeze"}  # by the last index
MATMUL: dict[tuple[int, ...], str] = {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm"}  # by the axes of both operands
OVERLOADED = {"sum", "mean"}  # with an axis these are a function of their own in torch

INPUTS = "abc"  # how derivatives call the inputs, in order


@functools.cache
def _plan(row: tuple, recorded: tuple[bool, ...]) -> tuple[list, list]:
    """How to go back through an operation whose inputs marked in ``recorded`` want gradients.

    What to save, each key with its input (-1: the result); and for each such input its derivative, with the keys it asks for,
    and whether all of them are saved values.
    """
    steps = []
    for position, marked in enumerate(recorded):
        # a row that ends in dots has one derivative for all further inputs
        at = min(position + 1, len(row) - 2) if row[-1] is ... else position + 1
        if marked and at < len(row) and row[at] is not None:
            code = row[at].__code__
            keys = code.co_varnames[1 : code.co_argcount]
            steps.append((position, row[at], keys, set(keys) <= {*INPUTS, "y"}))
    wanted = {key for _, _, keys, _ in steps for key in keys}
    return [(key, INPUTS.find(key)) for key in (*INPUTS[: len(recorded)], "y") if key in wanted], steps


class Node:
    """One recorded operation: where the gradient goes on to, and what its derivatives need. 一次被记录的运算。

    An edge is the `Node` that made an input, the leaf tensor itself, or None for a constant. ``inputs`` and ``output`` are
    tensors, arrays or numbers; the version of each that is saved is remembered, so that a change in place is noticed.
    """

    __slots__ = (
        "_hooks",
        "_saves",
        "_steps",
        "_versions",
        "dtype",
        "edges",
        "label",
        "operation",
        "order",
        "saved",
        "shapes",
        "static",
    )
    _orders = count()

    def __init__(self, name: str, inputs: Sequence, arrays: list, edges: list, output: Any, static: dict) -> None:
        self.operation, self.edges, self.static = name, edges, static
        self.label: str | None = None  # a method that is made of several operations may name the last
        self.order = next(self._orders)  # an operation is younger than all its inputs
        self.dtype = output._array.dtype
        self.shapes = [x.shape if type(x) is np.ndarray else getattr(x, "shape", ()) for x in arrays]
        self._hooks = None  # each takes the gradient of the result and may give another
        self._saves, self._steps = _plan(OPERATIONS[name], tuple([edge is not None for edge in edges]))
        self._versions: list[tuple] = []
        self.saved: dict[str, Any] | None = {}
        for key, position in self._saves:
            x = inputs[position] if position >= 0 else output
            if hasattr(x, "_version"):
                self._versions.append((key, x._version, x._version[0]))
                x = x._array
            self.saved[key] = x

    def name(self) -> str:
        """torch's name for the operation, such as ``MulBackward0``."""
        if self.label is not None:  # what a method that is made of others is called
            return self.label
        label = LABELS.get(self.operation, "".join(word.capitalize() for word in self.operation.split("_")))
        overload = int(self.operation in OVERLOADED and self.static["dim"] is not None)
        if self.operation == "matmul":
            label = MATMUL.get(tuple(map(len, self.shapes)), "Bmm")
        elif self.operation == "getitem":
            index = self.static["index"]
            parts = index if isinstance(index, tuple) else (index,)
            used = [i for i in parts if i is not ... and not (isinstance(i, slice) and i == slice(None))]
            label = GETITEM.get(type(used[-1]), "Index") if used else "Slice"
        elif self.operation == "pow":
            overload = 2 if self.edges[0] is None else int(self.edges[1] is not None)
        return f"{label}Backward{overload}"

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    @property
    def next_functions(self) -> tuple:
        """Where gradients go on to: for each input its operation, or for a leaf an `AccumulateGrad`; None for constants."""
        return tuple(
            (edge if edge is None or isinstance(edge, Node) else AccumulateGrad(edge), 0) for edge in self.edges
        )

    def flow(self, g: Any, needed: set[int] | None) -> list[tuple[Any, Any]]:
        """The chain rule for one operation: each edge (of those needed) with the gradient that flows along it.

        ``g`` is an array, or a tensor; then what was saved takes part as tensors too, and the gradients have a history.
        """
        saved = self.saved
        if saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what it had saved was freed by the first; "
                "call backward(retain_graph=True) the first time, or compute the loss anew"
            )
        for key, counter, version in self._versions:
            if counter[0] != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"operand {key!r} of {self.operation!r} is at version {counter[0]}; expected version {version} instead; "
                    "call backward before changing it, or change a clone()"
                )
        if type(g) is not np.ndarray and hasattr(g, "_wrap"):
            saved = {key: self._revive(g, key, position) for key, position in self._saves}
        found = []
        for position, derivative, keys, plain in self._steps:
            edge, shape = self.edges[position], self.shapes[position]
            if needed is None or id(edge) in needed:
                known = saved
                if not plain:
                    known = {**self.static, **saved, "shapes": self.shapes, "shape": shape, "position": position}
                local = derivative(g, *[known[key] for key in keys])
                found.append((edge, local if local.shape == shape else unbroadcast(local, shape)))
        return found

    def _revive(self, g: Any, key: str, position: int) -> Any:
        """What was saved, as a tensor with its history where it has one."""
        assert self.saved is not None
        edge = self if position < 0 else self.edges[position]
        if isinstance(edge, Node):
            return g._wrap(self.saved[key], edge)
        return self.saved[key] if edge is None else edge

    def before_change(self, array: Any) -> None:
        """Its result will be written into ``array``: where that is its own first input, keep the old numbers as a copy."""
        saved = self.saved or {}
        if "a" in saved and saved["a"] is array:
            saved["a"] = array.copy()
            self._versions = [entry for entry in self._versions if entry[0] != "a"]

    def moved(self, output: Any) -> None:
        """Its result was written into the memory of ``output``: what it saved of it is there, and may be changed there."""
        if self.saved and "y" in self.saved and output._array.dtype == self.dtype:
            self.saved["y"] = output._array
            self._versions = [entry for entry in self._versions if entry[0] != "y"]
            self._versions.append(("y", output._version, output._version[0]))

    def free(self) -> None:
        """Let go of what was saved; an operation that saved nothing can be gone through again."""
        if self._saves:
            self.saved = None


class AccumulateGrad:
    """The end of a gradient's way: the leaf ``variable``, whose ``grad`` it is added to. 梯度的终点：叶子张量。"""

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


def _ancestry(roots: Iterable[Any]) -> list[Node]:
    """All operations that ``roots`` rest on, youngest first: each comes before its inputs."""
    seen = {id(root): root for root in roots if isinstance(root, Node)}
    waiting = list(seen.values())
    while waiting:  # a loop, not a recursion: a chain may be 20,000 operations long
        for edge in waiting.pop().edges:
            if isinstance(edge, Node) and id(edge) not in seen:
                seen[id(edge)] = edge
                waiting.append(edge)
    return sorted(seen.values(), key=attrgetter("order"), reverse=True)


def gradients(
    seeds: Sequence[tuple[Any, Any]], wanted: Sequence[Any] | None = None, retain_graph: bool = False
) -> dict[int, tuple[Any, Any, bool]]:
    """The gradients of ``seeds``, pairs of an edge (a `Node` or a leaf) and the gradient there, by the leaves below them.

    wanted: the edges to go to instead of all leaves. Gradients are arrays; or tensors with a history where the seeds are
    tensors. Returns (edge, gradient, shared) by the edge's id; what is shared must be copied before it is changed.
    Nothing is written to any leaf.
    """
    collected: dict[int, tuple[Any, Any, bool]] = {}
    nodes = _ancestry(edge for edge, _ in seeds)
    needed = None
    if wanted is not None:
        needed = {id(edge) for edge in wanted}
        for node in reversed(nodes):
            if any(id(edge) in needed for edge in node.edges):
                needed.add(id(node))
        nodes = [node for node in nodes if id(node) in needed]
    targets = set() if wanted is None else {id(edge) for edge in wanted}

    def collect(edge: Any, g: Any, shared: bool) -> None:
        """Add ``g`` to what has arrived at an edge."""
        arrived = collected.get(id(edge))
        if arrived is None:
            collected[id(edge)] = edge, g, shared
        elif arrived[2] or type(arrived[1]) is not np.ndarray:
            collected[id(edge)] = edge, arrived[1] + g, False
        else:
            np.add(arrived[1], g, out=arrived[1])

    for edge, g in seeds:
        collect(edge, g, True)
    watched = _mode.anomaly
    for node in nodes:
        arrived = collected.pop(id(node), None)
        if arrived is None:
            continue
        g = arrived[1] if node._hooks is None else _hooked(node, arrived[1])
        if id(node) in targets:
            collected[id(node)] = node, g, True
        for edge, local in node.flow(g, needed):
            array = local if type(local) is np.ndarray else getattr(local, "_array", local)
            if watched and np.isnan(getattr(array, "values", array)).any():
                place = next(i for i, x in enumerate(node.edges) if x is edge)
                raise RuntimeError(
                    f"Function '{node.name()}' returned nan values in its {place}th output: look at what is computed there"
                )
            dtype = edge.dtype if isinstance(edge, Node) else edge._array.dtype
            if array.dtype != dtype:
                local = local.astype(dtype) if local is array else local.to(dtype)
            collect(edge, local, local is g or getattr(array, "base", None) is not None)
    if not retain_graph:
        for node in nodes:
            node.free()
    for key, (edge, g, _) in collected.items():
        if edge._hooks and not isinstance(edge, Node):
            collected[key] = edge, _hooked(edge, g), True
    return {key: found for key, found in collected.items() if wanted is None or key in targets}


def _hooked(edge: Any, g: Any) -> Any:
    """The gradient after the hooks of its tensor have seen it."""
    for hook in list(edge._hooks.values()):
        g = hook(g)
    return g
