"""Gradients clipped, and all parameters as one vector.

梯度裁剪，以及把全部参数当作一个向量。
"""

import functools
import math
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.commit import commit
from optimlab.dtype import as_numpy
from optimlab.functional import TensorError
from optimlab.sparse import COO
from optimlab.tensor import Tensor, apply


def _grads(parameters: Iterable[Tensor] | Tensor) -> list[Tensor]:
    if not hasattr(parameters, "__iter__"):
        raise TypeError(f"parameters must be tensors, not {type(parameters).__name__}; pass model.parameters()")
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"parameters must be tensors, not {type(p).__name__}; pass model.parameters()")
    return [p.grad for p in parameters if p.grad is not None]


def _numbers(t: Tensor) -> np.ndarray:
    """The elements of a tensor; of a sparse one those that are kept."""
    return t._array.coalesce().values if isinstance(t._array, COO) else t._array


def _scaled(t: Tensor, factor: float) -> list[tuple]:
    """What to commit so that t is multiplied by ``factor``."""
    array = t._array
    if isinstance(array, COO):
        change: tuple = (setattr, array, "values", array.values * factor)
    else:
        change = (functools.partial(np.multiply, out=array), array, array.dtype.type(factor))
    return [change, (list.__setitem__, t._version, 0, t._version[0] + 1)]


def get_total_norm(
    tensors: Iterable[Tensor] | Tensor,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as one vector's: (Σ |x|^norm_type)^(1 / norm_type), or the largest |x| for inf. 总范数。

    Raises RuntimeError with error_if_nonfinite where it is not finite.
    """
    try:
        order = float(norm_type)
    except (TypeError, ValueError):
        raise ValueError(
            f"could not convert norm_type to float: {norm_type!r}; norm_type must be a number > 0"
        ) from None
    if not order > 0:
        raise ValueError(f"Invalid norm_type: {norm_type}; norm_type must be a number > 0, or inf")
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    arrays = [_numbers(t) for t in tensors]
    # relative to the largest element no power overflows, nor do all vanish; torch's norm of 1e30s in float32 is inf
    largest = max([float(np.abs(a).max()) for a in arrays if a.size], default=0.0)
    total = largest
    if 0 < largest < math.inf and order < math.inf:
        sums = [float(np.sum((np.abs(a, dtype=np.float64) / largest) ** order)) for a in arrays]
        total = largest * math.fsum(sums) ** (1 / order)
    elif any(np.isnan(a).any() for a in arrays):
        total = math.nan
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it cannot be clipped. "
            "To disable this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return Tensor._wrap(np.asarray(total, arrays[0].dtype if arrays else as_numpy(None)))


def _shrink(grads: list[Tensor], limit: float, norm: Tensor) -> None:
    total = float(norm)
    if not math.isfinite(total):
        warnings.warn(
            f"The total norm of the gradients is {total}: scaled by it they become 0 and nan; "
            "set error_if_nonfinite=True to stop here",
            stacklevel=3,
        )
    factor = limit / (total + 1e-6)
    if not factor >= 1:
        commit([call for g in grads for call in _scaled(g, factor)])


def _limit(max_norm: Any) -> float:
    if isinstance(max_norm, (int, float)) and max_norm == math.inf:
        return math.inf
    return Number("Invalid max_norm: {value}", 0)("max_norm", max_norm)


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """Shrink all gradients by one factor where their norm together is above max_norm; returns the norm before. 按范数裁剪梯度。

    max_norm: >= 0, inf only computes. norm_type: > 0, or inf. A norm that is not finite is an error with error_if_nonfinite;
    otherwise the gradients are scaled by it, as in torch, to 0 and nan, with a warning. All are changed, or none.
    """
    limit, grads = _limit(max_norm), _grads(parameters)
    norm = get_total_norm(grads, norm_type, error_if_nonfinite)
    _shrink(grads, limit, norm)
    return norm


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """The old name of `clip_grad_norm_`. 旧名称。"""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def clip_grads_with_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """`clip_grad_norm_` where the norm together is known already, from `get_total_norm`. 按已知的范数裁剪梯度。"""
    _shrink(_grads(parameters), _limit(max_norm), total_norm)


def clip_grad_value_(parameters: Iterable[Tensor] | Tensor, clip_value: float, foreach: bool | None = None) -> None:
    """Move every element of the gradients into [-clip_value, clip_value]. 按值裁剪梯度。"""
    limit = Number("Invalid clip_value: {value}", 0)("clip_value", clip_value)
    calls: list[tuple] = []
    for g in _grads(parameters):
        array = g._array
        if isinstance(array, COO):
            rows = array.coalesce()
            clipped = rows.with_values(np.clip(rows.values, -limit, limit))
            calls += [(setattr, array, name, getattr(clipped, name)) for name in ("indices", "values", "coalesced")]
        else:
            low, high = array.dtype.type(-limit), array.dtype.type(limit)
            calls.append((functools.partial(np.maximum, out=array), array, low))
            calls.append((functools.partial(np.minimum, out=array), array, high))
        calls.append((list.__setitem__, g._version, 0, g._version[0] + 1))
    commit(calls)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other, as one vector; gradients flow through it. 把参数连成一个向量。"""
    flat = [p.reshape(-1) for p in parameters]
    if not flat:
        raise ValueError("expected a non-empty list of Tensors; pass model.parameters()")
    return apply("cat", *flat, dim=0)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let the parameters be the pieces of ``vec``, a vector with as many elements; they share its memory. 把向量拆回参数。"""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}; pass a vector such as tensor([...])")
    parameters = list(parameters)
    count = sum(p.numel() for p in parameters)
    if vec.ndim != 1 or vec.numel() != count:
        raise TensorError(f"vec of shape {tuple(vec.shape)} is invalid for {count} parameters; it must be ({count},)")
    start = 0
    for p in parameters:
        piece: Any = vec.detach()[start : start + p.numel()]
        p.data = piece.reshape(p.shape)
        start += p.numel()


# torch has a module for each part, and programs import from them
clip_grad = convert_parameters = sys.modules[__name__]
for _name in ("clip_grad", "convert_parameters"):
    sys.modules[f"{__name__}.{_name}"] = sys.modules[__name__]
