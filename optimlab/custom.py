"""torch.autograd.Function: an operation of your own, its value and its derivative side by side.

自定义运算：值与导数写在一起。
"""

from typing import Any

import numpy as np

from optimlab.graph import Node, _mode, no_grad, set_grad_enabled
from optimlab.operators import shape_of
from optimlab.tensor import Tensor


class Context:
    """What ``forward`` leaves for ``backward``: saved tensors, and any attribute that is set on it. 传递信息的上下文。"""

    needs_input_grad: tuple[bool, ...] = ()
    _saved: tuple | None = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or the result for ``backward``, which finds them as ``saved_tensors``."""
        self._saved = tensors
        self._versions = [x._version[0] if isinstance(x, Tensor) else None for x in tensors]

    @property
    def saved_tensors(self) -> tuple:
        """What was saved. Raises RuntimeError where it was freed, or changed in place since."""
        if self._saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time: what it had saved was freed by the first; "
                "call backward(retain_graph=True) the first time"
            )
        for x, version in zip(self._saved, self._versions if self._saved else (), strict=True):
            if version is not None and x._version[0] != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"a saved tensor is at version {x._version[0]}; expected version {version} instead"
                )
        return self._saved


class _CustomNode(Node):
    """The record of one call of a `Function`."""

    __slots__ = ("context", "function")

    def __init__(self, function: type, context: Context, inputs: tuple, edges: list, output: Tensor) -> None:
        self.function, self.context = function, context
        self.operation, self.label, self.static, self.edges = (
            function.__name__,
            f"{function.__name__}Backward",
            {},
            edges,
        )
        self.order, self.dtype, self._hooks = next(self._orders), output._array.dtype, None
        self.shapes = [shape_of(x) for x in inputs]
        self._saves, self._steps, self._versions, self.saved = [], [], [], {}

    def flow(self, g: Any, needed: set[int] | None) -> list[tuple[Any, Any]]:
        recorded = isinstance(g, Tensor)
        with set_grad_enabled(recorded):
            found = self.function.backward(self.context, g if recorded else Tensor._wrap(np.asarray(g)))  # type: ignore[attr-defined]
        gradients = found if isinstance(found, tuple) else (found,)
        if len(gradients) != len(self.edges):
            raise RuntimeError(
                f"function {self.label} returned an incorrect number of gradients (expected {len(self.edges)}, "
                f"got {len(gradients)}); return one for each input of forward, None for what has none"
            )
        flows = []
        for i, (edge, shape, local) in enumerate(zip(self.edges, self.shapes, gradients, strict=True)):
            if edge is None or local is None or (needed is not None and id(edge) not in needed):
                continue
            if shape_of(local) != shape:
                raise RuntimeError(
                    f"Function {self.label} returned an invalid gradient at index {i} - got {list(shape_of(local))} but "
                    f"expected shape compatible with {list(shape)}"
                )
            # a view, which is copied before anything is added to it: backward may return one tensor twice, or one it saved
            view = local if local.is_sparse else local.reshape(shape)
            flows.append((edge, view if recorded else view._array))
        return flows

    def free(self) -> None:
        self.context._saved = None if self.context._saved else self.context._saved


class Function:
    """The base of operations with a derivative of your own. 自定义运算的基类。

    A subclass gives the static methods ``forward(ctx, *inputs)``, which computes one tensor, and ``backward(ctx, g)``, which
    returns a gradient for each input (None for what has none); ``MyFunction.apply(*inputs)`` runs it on record. What backward
    computes from ``g`` and ``ctx.saved_tensors`` can be differentiated again.
    """

    @staticmethod
    def forward(ctx: Context, *args: Any) -> Tensor:
        """Compute the result; every subclass defines it."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Context, *grad_outputs: Tensor) -> Any:
        """The gradient of each input from that of the result; every subclass defines it."""
        raise NotImplementedError("You must implement the backward function for custom autograd.Function.")

    @classmethod
    def apply(cls, *args: Any) -> Tensor:
        """Run ``forward`` and leave a record for ``backward``."""
        context = Context()
        edges = [x._edge() if isinstance(x, Tensor) else None for x in args]
        context.needs_input_grad = tuple(edge is not None for edge in edges)
        with no_grad():
            result = cls.forward(context, *args)
        if not isinstance(result, Tensor):
            raise TypeError(f"{cls.__name__}.forward must return one Tensor, not {type(result).__name__}")
        if _mode.recording and any(context.needs_input_grad):
            if any(result is x for x in args):
                result = result.detach()
            result._node = _CustomNode(cls, context, args, edges, result)
        return result
