"""From outputs back to leaves: what ``Tensor.backward`` and ``autograd.grad`` share, and the hooks on the way.

从输出传回叶子：``backward`` 与 ``grad`` 共用的部分，以及途中的钩子。
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.arrays import TensorError
from optimlab.graph import _mode, gradients, quiet, set_grad_enabled
from optimlab.operators import shape_of

if TYPE_CHECKING:
    from optimlab.tensor import Tensor


def _seed(output: "Tensor", gradient: "Tensor | None", number: int, create_graph: bool) -> tuple[Any, Any]:
    """Where backward begins, and the gradient it begins with: an array, or a tensor if its history is wanted."""
    edge = output._edge()
    if edge is None:
        raise RuntimeError(
            f"element {number} of tensors does not require grad and does not have a grad_fn; "
            "set requires_grad=True on a leaf before computing from it"
        )
    if gradient is None:
        if output._array.size != 1:
            raise TensorError(
                f"grad can be implicitly created only for scalar outputs; this tensor has shape {shape_of(output)}: "
                "reduce it by .sum() or .mean(), or pass gradient="
            )
        ones = np.ones(output._array.shape, output._array.dtype)
        return edge, output._wrap(ones) if create_graph else ones
    if not hasattr(gradient, "_edge"):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
    if gradient._array.shape != output._array.shape:
        raise TensorError(
            f"Mismatch in shape: grad_output[{number}] has a shape of {gradient.shape} and output[{number}] has a shape of "
            f"{output.shape}; gradient is {shape_of(gradient)}, it must be {shape_of(output)} as its tensor"
        )
    return edge, gradient.to(output.dtype) if create_graph else gradient._array.astype(output._array.dtype, copy=False)


def differentiate(
    outputs: Sequence["Tensor"],
    grad_outputs: Sequence["Tensor | None"],
    retain_graph: bool | None,
    create_graph: bool,
    wanted: Sequence[Any] | None,
) -> dict[int, tuple[Any, Any, bool]]:
    """The gradients of ``outputs``, as `graph.gradients` gives them."""
    seeds = [_seed(y, g, i, create_graph) for i, (y, g) in enumerate(zip(outputs, grad_outputs, strict=True))]
    keep = create_graph if retain_graph is None else retain_graph
    before, _mode.recording = _mode.recording, create_graph
    try:
        return gradients(seeds, wanted, keep) if create_graph else quiet(gradients, seeds, wanted, keep)
    finally:
        _mode.recording = before


def as_grad(like: "Tensor", g: Any, shared: bool) -> "Tensor":
    """A gradient as a tensor of its own."""
    if hasattr(g, "_wrap"):
        return g
    return like._wrap(g.copy() if shared else np.asarray(g) if isinstance(g, np.generic) else g)


def accumulate(
    outputs: Sequence["Tensor"],
    grad_outputs: Sequence["Tensor | None"],
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``outputs`` to the ``grad`` of the leaves, or of the tensors ``inputs``."""
    edges = None
    if inputs is not None:
        inputs = [inputs] if hasattr(inputs, "_edge") else list(inputs)
        if not inputs:
            raise TensorError(
                "`inputs` argument to `backward()` cannot be empty; pass the tensors whose grad is wanted"
            )
        edges = [x._edge() for x in inputs]
        if None in edges:
            raise TensorError("One of the differentiated Tensors does not require grad; set requires_grad=True on it")
    found = differentiate(outputs, grad_outputs, retain_graph, create_graph, edges)
    if edges is None:
        arrived = list(found.values())
    else:
        arrived = [(x, *found[id(edge)][1:]) for x, edge in zip(inputs, edges, strict=True) if id(edge) in found]
    for leaf, g, _ in arrived:
        if leaf._grad is not None and leaf._grad._array.shape != g.shape:
            raise TensorError(f"a leaf's grad is {shape_of(leaf._grad)}, its data {tuple(g.shape)}; set grad to None")
    for leaf, g, shared in arrived:
        add_grad(leaf, g, shared)
    for leaf, _, _ in arrived:
        for hook in list(leaf._post_hooks.values()) if leaf._post_hooks else ():
            hook(leaf)


def add_grad(x: "Tensor", g: Any, shared: bool) -> None:
    """Add one gradient to ``x.grad``: in place, unless a history is on it."""
    old = x._grad
    if old is None:
        x._grad = as_grad(x, g, shared).clone() if hasattr(g, "_wrap") and shared else as_grad(x, g, shared)
    elif hasattr(g, "_wrap") or old.requires_grad:
        with set_grad_enabled(hasattr(g, "_wrap")):
            x._grad = old + as_grad(x, g, True)
    else:
        with np.errstate(all="ignore"):
            old._array += g
        old._version[0] += 1


def on_arrays(x: "Tensor", hook: Callable[["Tensor"], Any]) -> Callable[[Any], Any]:
    """The hook as the chain rule calls it: with an array, or with a tensor that has a history."""

    def call(g: Any) -> Any:
        given = g if hasattr(g, "_wrap") else x._wrap(np.asarray(g) if isinstance(g, np.generic) else g)
        found = hook(given)
        if found is None:
            return g
        if not hasattr(found, "_edge"):
            raise TypeError(f"a hook must return a Tensor or None, not {type(found).__name__}")
        if found._array.shape != given._array.shape or found._array.dtype != given._array.dtype:
            raise TensorError(
                f"hook has changed the size or type of value: it returned {shape_of(found)} {found.dtype}; "
                f"it must be {shape_of(given)} {given.dtype}"
            )
        return found if hasattr(g, "_wrap") else found._array

    return call
