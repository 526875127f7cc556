"""Every operation on arrays, beside its derivative.

The table ``OPERATIONS`` is the whole of differentiation. A row holds how an operation computes its value, and for each input
how the gradient flows back to it. ``g`` is the gradient of the loss by the result. Whatever else a derivative needs it names:
``y``, the result; ``a``, ``b``, ``c``, the inputs; ``shape``, that of its own input; or an option. Nothing else is kept for
it. The chain rule is in ``autograd.py``; what broadcasting stretched is summed up again there (`unbroadcast`).

每个运算与它的导数并排写在一张表里：``g`` 是损失对结果的梯度；导数还需要什么，就在参数里写出来：结果 ``y``、输入 ``a``、
``b``、``c``、自己那个输入的形状 ``shape``，或某个选项。
"""

import math
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
    new = g.ndim - len(shape)
    stretched = tuple([new + i for i, n in enumerate(shape) if n == 1 != g.shape[new + i]])
    return g.sum(axis=(*range(new), *stretched)).reshape(shape)


def _spread(g: Array, shape: tuple[int, ...], dim: Any, keepdim: bool) -> Array:
    """Give each element the gradient of the sum that it went into."""
    if dim is not None and not keepdim:
        g = np.expand_dims(g, dim)
    return np.broadcast_to(g, shape)


def _sum(a: Array, dim: Any, keepdim: bool) -> Array:
    return a.sum(axis=dim, keepdims=keepdim, dtype=None if a.dtype.kind == "f" else np.int64)


def _mean(a: Array, dim: Any, keepdim: bool) -> Array:
    total = a.sum(axis=dim, keepdims=keepdim)
    return total / np.asarray(a.size / max(total.size, 1), a.dtype)  # of nothing it is 0/0, nan


def _swap(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def _matmul_by_a(g: Array, a: Array, b: Array) -> Array:
    if b.ndim == 1:
        return g[..., None] * b
    return (b @ g[..., None])[..., 0] if a.ndim == 1 else g @ _swap(b)


def _matmul_by_b(g: Array, a: Array, b: Array) -> Array:
    if a.ndim == 1:
        return a * g if b.ndim == 1 else a[:, None] * g[..., None, :]
    return (_swap(a) @ g[..., None])[..., 0] if b.ndim == 1 else _swap(a) @ g


def _rows(a: Array) -> Array:
    """All leading axes as one: (..., n) becomes (rows, n)."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def _linear(x: Array, w: Array, bias: Array | None = None) -> Array:
    return x @ w.T if bias is None else x @ w.T + bias


def _log_softmax(a: Array, dim: int) -> Array:
    shifted = a - a.max(axis=dim, keepdims=True, initial=-np.inf)  # exp of the largest is 1: nothing overflows
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def is_view(index: Any) -> bool:
    """Whether an index of ints and slices, which takes each element once and shares memory, or one with arrays."""
    parts = index if isinstance(index, tuple) else (index,)
    return not any(isinstance(i, (np.ndarray, list, bool, np.bool_)) for i in parts)


def _getitem(a: Array, index: Any) -> Array:
    if not is_view(index):
        return a[index]
    index = index if isinstance(index, tuple) else (index,)
    return a[index if ... in index else (*index, ...)]  # the dots keep a single element an array that shares memory


def _scatter(a: Array, into: tuple[int, ...], index: Any) -> Array:
    """Zeros of the shape ``into`` with ``a`` added at ``index``; an index that occurs twice collects twice."""
    out = np.zeros(into, a.dtype)
    if is_view(index):
        out[index] = a
    else:
        np.add.at(out, index, a)
    return out


def _setitem(a: Array, b: Array, index: Any) -> Array:
    out = a.copy()
    out[index] = b
    return out


def perform(name: str, *inputs: Any, **options: Any) -> Any:
    """One operation of the table: on arrays its value, on tensors its value on record.

    For derivatives that no NumPy expression writes; with it they can be differentiated once more.
    """
    for x in inputs:
        if hasattr(x, "_record"):
            return x._record(name, *inputs, **options)
    return OPERATIONS[name][0](*inputs, **options)


def register(rows: dict[str, tuple]) -> None:
    """Add operations to the table: each name with its value and its derivatives."""
    for name, row in rows.items():
        if name in OPERATIONS:
            raise ValueError(f"an operation {name!r} is in the table already; choose another name")
        OPERATIONS[name] = row


REDUCE: dict[str, Callable[[Array], Array]] = {
    "mean": lambda a: _mean(a, None, False),
    "sum": np.sum,
    "none": lambda a: a,
}


def _unreduce(g: Array, n: int, reduction: str) -> Array:
    """The gradient that reaches each of the n losses that were averaged or summed."""
    return g / n if reduction == "mean" else g


def _nll(a: Array, b: Array, reduction: str) -> Array:
    return REDUCE[reduction](-a[np.arange(len(b)), b])


def _nll_by_a(g: Array, b: Array, shape: tuple[int, ...], reduction: str) -> Array:
    each = np.broadcast_to(-_unreduce(g, len(b), reduction), b.shape)
    return perform("scatter", each, into=shape, index=(np.arange(len(b)), b))


def _larger(a: Array, b: Array) -> Array:
    """d max(a, b) / da: one where a is larger, one half where both are equal; one where either is nan, as torch has it."""
    return np.where(a == b, 0.5, np.where(a < b, 0.0, 1.0))


def _pow_by_a(g: Array, a: Array, b: Array) -> Array:
    if isinstance(b, (int, float)):
        return g * (b * a ** (b - 1)) if b else 0 * g  # a**0 is 1 everywhere: no slope, at a = 0 either
    zero = b == 0
    return g * np.where(zero, 0, b * a ** np.where(zero, 1, b - 1))


def _pow_by_b(g: Array, a: Array, b: Array, y: Array) -> Array:
    zero = (a == 0) & (b >= 0)  # 0**b stays 0 as b moves
    return g * np.where(zero, 0, y * np.log(np.where(zero, 1, a)))


OPERATIONS: dict[str, tuple] = {
    # name        value                  gradient for input a, for input b, for input c
    "add": (np.add, lambda g: g, lambda g: g),
    "sub": (np.subtract, lambda g: g, lambda g: -g),
    "mul": (np.multiply, lambda g, b: g * b, lambda g, a: g * a),
    "div": (np.true_divide, lambda g, b: g / b, lambda g, b, y: -g * y / b),
    "pow": (np.power, _pow_by_a, _pow_by_b),
    "neg": (np.negative, lambda g: -g),
    "abs": (np.abs, lambda g, a: g * np.sign(a)),
    "square": (np.square, lambda g, a: g * 2 * a),
    "clone": (np.copy, lambda g: g),
    "sqrt": (np.sqrt, lambda g, y: g / (2 * y)),
    "exp": (np.exp, lambda g, y: g * y),
    "log": (np.log, lambda g, a: g / a),
    "sin": (np.sin, lambda g, a: g * np.cos(a)),
    "cos": (np.cos, lambda g, a: -g * np.sin(a)),
    "tanh": (np.tanh, lambda g, y: g * (1 - y * y)),
    "sign": (np.sign, lambda g: 0 * g),
    "relu": (lambda a: np.maximum(a, 0), lambda g, y: np.where(y <= 0, 0, g)),
    "maximum": (np.maximum, lambda g, a, b: g * _larger(a, b), lambda g, a, b: g * _larger(b, a)),
    "minimum": (np.minimum, lambda g, a, b: g * _larger(b, a), lambda g, a, b: g * _larger(a, b)),
    "where": (np.where, None, lambda g, a: np.where(a, g, 0), lambda g, a: np.where(a, 0, g)),
    "matmul": (np.matmul, _matmul_by_a, _matmul_by_b),
    "linear": (_linear, lambda g, b: g @ b, lambda g, a: _rows(g).T @ _rows(a), lambda g: g),
    "sum": (_sum, _spread),
    "mean": (
        _mean,
        lambda g, shape, dim, keepdim: (
            _spread(g, shape, dim, keepdim) * (math.prod(g.shape) / max(math.prod(shape), 1))
        ),
    ),
    "log_softmax": (_log_softmax, lambda g, y, dim: g - np.exp(y) * g.sum(axis=dim, keepdims=True)),
    "nll_loss": (_nll, _nll_by_a),
    "mse_loss": (
        lambda a, b, reduction: REDUCE[reduction]((a - b) ** 2),
        lambda g, a, b, reduction: (
            2 * _unreduce(g, math.prod(np.broadcast_shapes(a.shape, b.shape)), reduction) * (a - b)
        ),
        lambda g, a, b, reduction: (
            2 * _unreduce(g, math.prod(np.broadcast_shapes(a.shape, b.shape)), reduction) * (b - a)
        ),
    ),
    "getitem": (_getitem, lambda g, shape, index: perform("scatter", g, into=shape, index=index)),
    "scatter": (_scatter, lambda g, index: g[index]),
    "setitem": (_setitem, lambda g, index: perform("setitem", g, 0, index=index), lambda g, index: g[index]),
    "reshape": (lambda a, wanted: a.reshape(wanted), lambda g, shape: g.reshape(shape)),
    "expand": (lambda a, wanted: np.broadcast_to(a, wanted), lambda g: g),
    "permute": (np.transpose, lambda g, axes: np.transpose(g, np.argsort(axes))),
    "to": (lambda a, dtype: a.astype(dtype, copy=False), lambda g: g),
    # no gradient flows through what follows: its results are integers and bools
    "argmax": (lambda a, dim: a.argmax(axis=dim),),
    "all": (np.all,),
    "any": (np.any,),
    "bitwise_and": (np.bitwise_and,),
    "bitwise_or": (np.bitwise_or,),
    "bitwise_xor": (np.bitwise_xor,),
    "bitwise_not": (np.invert,),
    "eq": (np.equal,),
    "ne": (np.not_equal,),
    "lt": (np.less,),
    "le": (np.less_equal,),
    "gt": (np.greater,),
    "ge": (np.greater_equal,),
}
FLOAT_ONLY = {"sqrt", "exp", "log", "sin", "cos", "tanh", "div"}  # of integers these are floats, in the default dtype
VIEWS = {"getitem", "reshape", "expand", "permute", "to"}  # their results may share their input's memory
