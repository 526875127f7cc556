"""Every operation on arrays, beside its derivative.

The table ``OPERATIONS`` is the whole of differentiation. A row holds how an operation computes its value, and for each input
how the gradient flows back to it. ``g`` is the gradient of the loss by the result. Whatever else a derivative needs it names:
``y``, the result; ``a``, ``b``, ``c``, the inputs; ``shape``, that of its own input; or an option. Where there may be any number
of inputs the row ends in dots: the last derivative serves them all, and may name ``position``, which of them it is, and
``shapes``. Nothing else is kept for it. The chain rule is in ``graph.py``; what broadcasting stretched is summed up again there.

A derivative is written with operators, NumPy's functions and `perform`, which tensors take part in as arrays do. So the same
derivative, run on tensors, leaves a record of its own and can be differentiated again. ``arrays.py`` holds the longer ones.

每个运算与它的导数并排写在一张表里：``g`` 是损失对结果的梯度；导数还需要什么，就在参数里写出来：结果 ``y``、输入 ``a``、
``b``、``c``、自己那个输入的形状 ``shape``，或某个选项。导数既能在数组上算，也能在张量上算；后者留下记录，于是可以再求导。
"""

import math

import numpy as np

from optimlab.arrays import (
    OPERATIONS,
    REDUCE,
    TensorError,
    along,
    einsum_by,
    extremum_by_a,
    flip_sum,
    getitem,
    inside,
    is_view,
    keep,
    larger,
    linear,
    log_softmax,
    matmul_by_a,
    matmul_by_b,
    mean_by_a,
    mean_over,
    norm_by_a,
    paste,
    perform,
    piece,
    pow_by_a,
    pow_by_b,
    put,
    rows,
    scatter,
    setitem,
    sigmoid,
    softmax,
    spread,
    sum_of_rows,
    sum_over,
    turn,
    unbroadcast,
    unreduce,
    whole,
)

__all__ = [
    "FLOAT_ONLY",
    "OPERATIONS",
    "REDUCE",
    "VIEWS",
    "TensorError",
    "is_view",
    "perform",
    "register",
    "unbroadcast",
]


def register(operations: dict[str, tuple]) -> None:
    """Add operations to the table: each name with its value and its derivatives."""
    for name, row in operations.items():
        if name in OPERATIONS:
            raise ValueError(f"an operation {name!r} is in the table already; choose another name")
        OPERATIONS[name] = row


register({
    # name        value                  gradient for input a, for input b, for input c
    "add": (np.add, lambda g: g, lambda g: g),
    "sub": (np.subtract, lambda g: g, lambda g: -g),
    "mul": (np.multiply, lambda g, b: g * b, lambda g, a: g * a),
    "div": (np.true_divide, lambda g, b: g / b, lambda g, b, y: -g * y / b),
    "pow": (lambda a, b: a**b, pow_by_a, pow_by_b),
    "fmod": (whole(np.fmod), lambda g: g, lambda g, a, b: -g * np.trunc(a / b)),
    "remainder": (whole(np.remainder), lambda g: g, lambda g, a, b: -g * np.floor(a / b)),
    "floor_divide": (whole(np.floor_divide), lambda g: 0 * g, lambda g: 0 * g),
    "atan2": (np.arctan2, lambda g, a, b: g * turn(b, a, b), lambda g, a, b: -g * turn(a, a, b)),
    "maximum": (np.maximum, lambda g, a, b: g * larger(a, b), lambda g, a, b: g * larger(b, a)),
    "minimum": (np.minimum, lambda g, a, b: g * larger(b, a), lambda g, a, b: g * larger(a, b)),
    "where": (np.where, None, lambda g, a: np.where(a, g, 0), lambda g, a: np.where(a, 0, g)),
    # one input, element by element
    "neg": (np.negative, lambda g: -g),
    "abs": (np.abs, lambda g, a: g * np.sign(a)),
    "sign": (np.sign, lambda g: 0 * g),
    "square": (np.square, lambda g, a: g * 2 * a),
    "clone": (np.copy, lambda g: g),
    "contiguous": (lambda a: a.copy(), lambda g: g),
    "sqrt": (np.sqrt, lambda g, y: g / (2 * y)),
    "rsqrt": (lambda a: 1 / np.sqrt(a), lambda g, y: -0.5 * g * y**3),
    "reciprocal": (lambda a: 1 / a, lambda g, y: -g * y * y),
    "exp": (np.exp, lambda g, y: g * y),
    "expm1": (np.expm1, lambda g, y: g * (y + 1)),
    "log": (np.log, lambda g, a: g / a),
    "log1p": (np.log1p, lambda g, a: g / (1 + a)),
    "log2": (np.log2, lambda g, a: g / (a * math.log(2))),
    "log10": (np.log10, lambda g, a: g / (a * math.log(10))),
    "sin": (np.sin, lambda g, a: g * np.cos(a)),
    "cos": (np.cos, lambda g, a: -g * np.sin(a)),
    "tan": (np.tan, lambda g, y: g * (1 + y * y)),
    "asin": (np.arcsin, lambda g, a: g / np.sqrt(1 - a * a)),
    "acos": (np.arccos, lambda g, a: -g / np.sqrt(1 - a * a)),
    "atan": (np.arctan, lambda g, a: g / (1 + a * a)),
    "sinh": (np.sinh, lambda g, a: g * np.cosh(a)),
    "cosh": (np.cosh, lambda g, a: g * np.sinh(a)),
    "tanh": (np.tanh, lambda g, y: g * (1 - y * y)),
    "sigmoid": (sigmoid, lambda g, y: g * (1 - y) * y),
    "relu": (lambda a: np.maximum(a, 0), lambda g, y: keep(g, y != 0)),
    "clamp": (lambda a, low, high: np.clip(a, low, high), inside),
    "floor": (np.floor, lambda g: 0 * g),
    "ceil": (np.ceil, lambda g: 0 * g),
    "round": (lambda a, decimals: np.round(a, decimals), lambda g: 0 * g),
    "trunc": (np.trunc, lambda g: 0 * g),
    # sums and their like, over axes
    "sum": (sum_over, spread),
    "mean": (mean_over, mean_by_a),
    "amax": (lambda a, dim, keepdim: a.max(axis=dim, keepdims=keepdim), extremum_by_a),
    "amin": (lambda a, dim, keepdim: a.min(axis=dim, keepdims=keepdim), extremum_by_a),
    "norm": (lambda a, dim, keepdim: np.sqrt((a * a).sum(axis=dim, keepdims=keepdim)), norm_by_a),
    "cumsum": (lambda a, dim: a.cumsum(dim, None if a.dtype.kind == "f" else np.int64), flip_sum),
    "softmax": (softmax, lambda g, y, dim: y * (g - (g * y).sum(axis=dim, keepdims=True))),
    "log_softmax": (log_softmax, lambda g, y, dim: g - np.exp(y) * g.sum(axis=dim, keepdims=True)),
    # products of matrices
    "matmul": (np.matmul, matmul_by_a, matmul_by_b),
    "linear": (linear, lambda g, b: g @ b, lambda g, a: rows(g).T @ rows(a), sum_of_rows),
    "einsum": (
        lambda a, b, subscripts: np.einsum(subscripts, a, b, optimize=True),
        lambda g, b, shape, subscripts: einsum_by(g, b, shape, subscripts, 0),
        lambda g, a, shape, subscripts: einsum_by(g, a, shape, subscripts, 1),
    ),
    # losses
    "nll_loss": (
        lambda a, b, reduction: REDUCE[reduction](-a[np.arange(len(b)), b]),
        lambda g, b, shape, reduction: perform(
            "scatter",
            np.broadcast_to(-unreduce(g, len(b), reduction), b.shape),
            into=shape,
            index=(np.arange(len(b)), b),
        ),
    ),
    "mse_loss": (
        lambda a, b, reduction: REDUCE[reduction]((a - b) ** 2),
        lambda g, a, b, reduction: 2 * unreduce(g, math.prod((a - b).shape), reduction) * (a - b),
        lambda g, a, b, reduction: 2 * unreduce(g, math.prod((a - b).shape), reduction) * (b - a),
    ),
    # the same elements elsewhere, or some of them
    "getitem": (getitem, lambda g, shape, index: perform("scatter", g, into=shape, index=index)),
    "scatter": (scatter, lambda g, index: g[index]),
    "setitem": (setitem, lambda g, index: perform("setitem", g, 0, index=index), lambda g, index: g[index]),
    "gather": (
        lambda a, index, dim: a[along(index, dim)],
        lambda g, shape, index, dim: perform("put", g, into=shape, index=index, dim=dim),
    ),
    "put": (put, lambda g, index, dim: perform("gather", g, index=index, dim=dim)),
    "paste": (
        paste,
        lambda g, view: perform("paste", g, 0, view=view),
        lambda g, view: perform(view[0], g, **view[1]),
    ),
    "cat": (lambda *arrays, dim: np.concatenate(arrays, dim), piece, ...),
    "reshape": (lambda a, wanted: a.reshape(wanted), lambda g, shape: g.reshape(shape)),
    "expand": (lambda a, wanted: np.broadcast_to(a, wanted), lambda g: g),
    "permute": (np.transpose, lambda g, axes: np.transpose(g, np.argsort(axes))),
    "flip": (lambda a, dims: np.flip(a, dims), lambda g, dims: perform("flip", g, dims=dims)),
    "fill": (lambda a, value: np.full_like(a, value), lambda g: 0 * g),
    "copy": (lambda a, b: np.broadcast_to(b, a.shape).astype(a.dtype), lambda g: 0 * g, lambda g: g),
    "to": (lambda a, dtype: a.astype(dtype), lambda g: g),
    # no gradient flows through what follows: its results are integers and bools
    "argmax": (lambda a, dim, keepdim: a.argmax(axis=dim, keepdims=keepdim),),
    "argmin": (lambda a, dim, keepdim: a.argmin(axis=dim, keepdims=keepdim),),
    "all": (lambda a, dim, keepdim: a.all(axis=dim, keepdims=keepdim),),
    "any": (lambda a, dim, keepdim: a.any(axis=dim, keepdims=keepdim),),
    "isnan": (np.isnan,),
    "isinf": (np.isinf,),
    "isfinite": (np.isfinite,),
    "logical_not": (np.logical_not,),
    "logical_and": (np.logical_and,),
    "logical_or": (np.logical_or,),
    "logical_xor": (np.logical_xor,),
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
})  # fmt: skip
TABLE = frozenset(OPERATIONS)  # the rows that stand here; other modules register more
FLOAT_ONLY = {  # of integers these are floats, in the default dtype
    *("div", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan"),
    *("asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "sigmoid"),
}
VIEWS = {"getitem", "reshape", "expand", "permute"}  # their results may share their input's memory
