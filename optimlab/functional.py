"""Every operation on arrays, beside its derivative.

The table ``OPERATIONS`` is the whole of differentiation: a row holds how an operation computes its value, and for each
input how the gradient flows back to it. ``g`` is the gradient of the loss by the result, ``y`` the result; then come the
inputs. The chain rule itself is in ``tensor.py``, and what broadcasting stretched is summed up again there (`unbroadcast`).

每个运算与它的导数并排写在一张表里：``g`` 是损失对结果的梯度，``y`` 是结果，其后是各个输入。
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any  # np.ndarray, or a Python number where an operand is one


class TensorError(ValueError, RuntimeError):
    """Tensors that do not fit together. A ValueError by nature; a RuntimeError too, because torch raises that."""


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum ``g`` over the axes that broadcasting added or stretched, so that it has ``shape`` again.

    把广播扩展出来的轴加回去。
    """
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def _spread(g: Array, a: Array, dim: Any, keepdim: bool) -> Array:
    """Give each element of ``a`` the gradient of the sum that it went into."""
    if dim is not None and not keepdim:
        g = np.expand_dims(g, dim)
    return np.broadcast_to(g, a.shape)


def _swap(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def _matmul_by_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:
        return g[..., None] * b
    return (b @ g[..., None])[..., 0] if a.ndim == 1 else g @ _swap(b)


def _matmul_by_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim == 1:
        return a * g if b.ndim == 1 else a[:, None] * g[..., None, :]
    return (_swap(a) @ g[..., None])[..., 0] if b.ndim == 1 else _swap(a) @ g


def _rows(a: Array) -> Array:
    """All leading axes as one: (..., n) becomes (rows, n)."""
    return a.reshape(-1, a.shape[-1])


def _linear(x: Array, w: Array, b: Array | None = None) -> Array:
    return x @ w.T if b is None else x @ w.T + b


def _log_softmax(a: Array, dim: int) -> Array:
    shifted = a - a.max(axis=dim, keepdims=True)  # exp of the largest is 1: nothing overflows
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def _scatter(g: Array, a: Array, index: Any) -> Array:
    """Zeros like ``a`` with ``g`` added at ``index``; an index that occurs twice collects twice."""
    out = np.zeros_like(a)
    if any(isinstance(i, (np.ndarray, list)) for i in (index if isinstance(index, tuple) else (index,))):
        np.add.at(out, index, g)
    else:  # ints and slices take each element once
        out[index] = g
    return out


def _target(a: Array, index: Array) -> tuple[Array, Array]:
    return np.arange(len(index)), index


def _nll_by_a(g: Array, y: Array, a: Array, i: Array, reduction: str) -> Array:
    out = np.zeros_like(a)
    out[_target(a, i)] = -_unreduce(g, i, reduction)
    return out


REDUCE: dict[str, Callable[[Array], Array]] = {"mean": np.mean, "sum": np.sum, "none": lambda a: a}


def _unreduce(g: Array, a: Array, reduction: str) -> Array:
    """The gradient that reaches each of the losses that were averaged or summed."""
    return g / a.size if reduction == "mean" else g


def _slope(a: Array, b: Array) -> Array:
    """d max(a, b) / da: one where a is larger, one half where both are equal (as torch has it)."""
    return np.where(a == b, 0.5, a > b)


def _pow_by_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    zero = b == 0  # a**0 is 1 everywhere: no slope, at a = 0 either
    return g * np.where(zero, 0, b * a ** np.where(zero, 1, b - 1))


def _pow_by_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    zero = (a == 0) & (b >= 0)  # 0**b stays 0 as b moves
    return g * np.where(zero, 0, y * np.log(np.where(zero, 1, a)))


OPERATIONS: dict[str, tuple] = {
    # name        value                             gradient for the first input, for the second, ...
    "add": (np.add, lambda g, y, a, b: g, lambda g, y, a, b: g),
    "sub": (np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g),
    "mul": (np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    "div": (np.true_divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    "pow": (np.power, _pow_by_a, _pow_by_b),
    "neg": (np.negative, lambda g, y, a: -g),
    "abs": (np.abs, lambda g, y, a: g * np.sign(a)),
    "square": (np.square, lambda g, y, a: g * 2 * a),
    "clone": (np.copy, lambda g, y, a: g),
    "sqrt": (np.sqrt, lambda g, y, a: g / (2 * y)),
    "exp": (np.exp, lambda g, y, a: g * y),
    "log": (np.log, lambda g, y, a: g / a),
    "sin": (np.sin, lambda g, y, a: g * np.cos(a)),
    "cos": (np.cos, lambda g, y, a: -g * np.sin(a)),
    "tanh": (np.tanh, lambda g, y, a: g * (1 - y * y)),
    "relu": (lambda a: np.maximum(a, 0), lambda g, y, a: g * (a > 0)),
    "maximum": (np.maximum, lambda g, y, a, b: g * _slope(a, b), lambda g, y, a, b: g * _slope(b, a)),
    "minimum": (np.minimum, lambda g, y, a, b: g * _slope(b, a), lambda g, y, a, b: g * _slope(a, b)),
    "where": (np.where, None, lambda g, y, c, a, b: np.where(c, g, 0), lambda g, y, c, a, b: np.where(c, 0, g)),
    "matmul": (np.matmul, _matmul_by_a, _matmul_by_b),
    "linear": (
        _linear,
        lambda g, y, x, w, b=None: g @ w,
        lambda g, y, x, w, b=None: _rows(g).T @ _rows(x),
        lambda g, y, x, w, b: g,
    ),
    "sum": (
        lambda a, dim, keepdim: a.sum(axis=dim, keepdims=keepdim),
        lambda g, y, a, dim, keepdim: _spread(g, a, dim, keepdim),
    ),
    "mean": (
        lambda a, dim, keepdim: a.mean(axis=dim, keepdims=keepdim),
        lambda g, y, a, dim, keepdim: _spread(g, a, dim, keepdim) * (y.size / a.size),
    ),
    "log_softmax": (_log_softmax, lambda g, y, a, dim: g - np.exp(y) * g.sum(axis=dim, keepdims=True)),
    "nll_loss": (
        lambda a, i, reduction: REDUCE[reduction](-a[_target(a, i)]),
        _nll_by_a,
    ),
    "mse_loss": (
        lambda a, b, reduction: REDUCE[reduction]((a - b) ** 2),
        lambda g, y, a, b, reduction: 2 * _unreduce(g, a - b, reduction) * (a - b),
        lambda g, y, a, b, reduction: 2 * _unreduce(g, a - b, reduction) * (b - a),
    ),
    "getitem": (lambda a, index: np.asarray(a[index]), lambda g, y, a, index: _scatter(g, a, index)),
    "reshape": (lambda a, shape: a.reshape(shape), lambda g, y, a, shape: g.reshape(a.shape)),
    "expand": (lambda a, shape: np.broadcast_to(a, shape), lambda g, y, a, shape: g),
    "permute": (lambda a, dims: a.transpose(dims), lambda g, y, a, dims: g.transpose(np.argsort(dims))),
    "to": (lambda a, dtype: a.astype(dtype, copy=False), lambda g, y, a, dtype: g.astype(a.dtype)),
    # no gradient flows through what follows: its results are integers and bools
    "argmax": (lambda a, dim: a.argmax(axis=dim),),
    "all": (np.all,),
    "any": (np.any,),
    "eq": (np.equal,),
    "ne": (np.not_equal,),
    "lt": (np.less,),
    "le": (np.less_equal,),
    "gt": (np.greater,),
    "ge": (np.greater_equal,),
}
