"""torch.autograd.functional: whole Jacobians and Hessians, and their products with vectors. 雅可比与海森矩阵。"""

import sys
from collections.abc import Callable
from typing import Any

from optimlab import autograd
from optimlab.autograd import grad
from optimlab.functions import stack
from optimlab.graph import enable_grad
from optimlab.tensor import Tensor

Inputs = Tensor | tuple[Tensor, ...]


def _fresh(inputs: Inputs, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as tensors to differentiate by: copies, with their history only where the result is to have one."""
    several = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    return tuple(x.view(x.shape) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in several)


def _like(inputs: Inputs, results: Any) -> Any:
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _gradients(y: Tensor, sources: tuple[Tensor, ...], v: Tensor | None, create_graph: bool) -> list[Tensor]:
    if not y.requires_grad:
        return [x.detach() * 0 for x in sources]
    found = grad(y, sources, v, retain_graph=True, create_graph=create_graph, allow_unused=True, materialize_grads=True)
    return [g for g in found if g is not None]


@enable_grad()
def jacobian(func: Callable[..., Tensor], inputs: Inputs, create_graph: bool = False, **_: Any) -> Any:
    """d func / d input, of the shape of the result and then of the input: one for each input. 雅可比矩阵。"""
    sources = _fresh(inputs, create_graph)
    y = func(*sources)
    rows = [_gradients(part, sources, None, create_graph) for part in y.reshape(-1)]
    whole = [stack([row[i] for row in rows]).reshape(*y.shape, *x.shape) for i, x in enumerate(sources)]
    return _like(inputs, whole if create_graph else [w.detach() for w in whole])


@enable_grad()
def hessian(func: Callable[..., Tensor], inputs: Inputs, create_graph: bool = False, **_: Any) -> Any:
    """The second derivatives of a ``func`` that gives one number: an input's shape twice; a table for several. 海森矩阵。"""
    sources = _fresh(inputs, create_graph)

    def gradient(*values: Tensor) -> Tensor:
        return _gradients(func(*values), values, None, True)[row]

    rows = []
    for row in range(len(sources)):  # noqa: B007 - `gradient` reads it
        found = jacobian(gradient, sources, create_graph)
        rows.append(_like(inputs, found))
    return _like(inputs, rows)


@enable_grad()
def vjp(func: Callable[..., Tensor], inputs: Inputs, v: Tensor | None = None, create_graph: bool = False) -> Any:
    """The result, and v times the Jacobian: what backward computes. 向量乘雅可比。"""
    sources = _fresh(inputs, create_graph)
    y = func(*sources)
    found = _gradients(y, sources, v, create_graph)
    return (y if create_graph else y.detach()), _like(inputs, found)


@enable_grad()
def hvp(func: Callable[..., Tensor], inputs: Inputs, v: Any = None, create_graph: bool = False) -> Any:
    """The value of a ``func`` that gives one number, and its Hessian times v, by two passes back. 海森乘向量。"""
    sources = _fresh(inputs, create_graph)
    vectors = (v,) if isinstance(v, Tensor) else tuple(v or [Tensor._wrap(x._array * 0 + 1) for x in sources])
    y = func(*sources)
    slopes = _gradients(y, sources, None, True)
    along = sum(((g * u).sum() for g, u in zip(slopes, vectors, strict=True)), start=Tensor(0.0, dtype=y.dtype))
    found = _gradients(along, sources, None, create_graph)
    return (y if create_graph else y.detach()), _like(inputs, found)


vhp = hvp  # the Hessian is its own transpose

# torch's name for this module
autograd.functional = sys.modules["optimlab.autograd.functional"] = sys.modules[__name__]  # type: ignore[attr-defined]
