"""What the table of operations needs beyond NumPy's own functions: values on arrays, derivatives on arrays and tensors alike.

运算表里用到的、NumPy 没有现成的函数。
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optimlab.memory import keep_freed_memory

Array = Any  # np.ndarray, or a Python number where an operand is one; in a derivative a tensor too
Shape = tuple[int, ...]


class TensorError(ValueError, RuntimeError):
    """Tensors that do not fit together. A ValueError by nature; a RuntimeError too, because torch raises that."""


keep_freed_memory()
OPERATIONS: dict[str, tuple] = {}  # the table; functional.py fills it


def perform(name: str, *inputs: Any, **options: Any) -> Any:
    """One operation of the table: on arrays its value, on tensors its value on record.

    For derivatives that no NumPy expression writes; with it they can be differentiated once more.
    """
    for x in inputs:
        if hasattr(x, "_record"):
            return x._record(name, *inputs, **options)
    return OPERATIONS[name][0](*inputs, **options)


# ---- sums and what stretches a gradient back


def unbroadcast(g: Array, shape: Shape) -> Array:
    """Sum ``g`` over the axes that broadcasting added or stretched, so that it has ``shape`` again.

    把广播扩展出来的轴加回去。
    """
    if g.shape == shape:
        return g
    new = g.ndim - len(shape)
    stretched = tuple([new + i for i, n in enumerate(shape) if n == 1 != g.shape[new + i]])
    return g.sum(axis=(*range(new), *stretched)).reshape(shape)


def spread(g: Array, shape: Shape, dim: Any, keepdim: bool) -> Array:
    """Give each element the gradient of the sum that it went into."""
    if dim is not None and not keepdim and shape:
        g = np.expand_dims(g, dim)
    return np.broadcast_to(g, shape)


def sum_over(a: Array, dim: Any, keepdim: bool) -> Array:
    """The sum over axes; integers and bools add up to int64."""
    return a.sum(axis=dim, keepdims=keepdim, dtype=None if a.dtype.kind == "f" else np.int64)


def mean_over(a: Array, dim: Any, keepdim: bool) -> Array:
    """The mean over axes; of nothing it is 0/0, nan."""
    total = a.sum(axis=dim, keepdims=keepdim)
    return total / np.asarray(a.size / max(total.size, 1), a.dtype)


def mean_by_a(g: Array, shape: Shape, dim: Any, keepdim: bool) -> Array:
    """Each element's share in its mean."""
    return spread(g * (math.prod(g.shape) / max(math.prod(shape), 1)), shape, dim, keepdim)


def extremum_by_a(g: Array, a: Array, y: Array, shape: Shape, dim: Any, keepdim: bool) -> Array:
    """The gradient of the largest or smallest element, in equal parts to those that are it."""
    y = spread(y, shape, dim, keepdim)
    chosen = (a == y) | ((a != a) & (y != y))
    return np.where(chosen, spread(g, shape, dim, keepdim) / chosen.sum(axis=dim, keepdims=True), 0)


def norm_by_a(g: Array, a: Array, y: Array, shape: Shape, dim: Any, keepdim: bool) -> Array:
    """The unit vector; at the origin, where there is no slope, 0."""
    y = spread(y, shape, dim, keepdim)
    zero = y == 0
    return spread(g, shape, dim, keepdim) * np.where(zero, 0, a / np.where(zero, 1, y))


def flip_sum(g: Array, dim: int) -> Array:
    """Each element reaches all cumulated sums from its own on."""
    return perform("flip", perform("cumsum", perform("flip", g, dims=(dim,)), dim=dim), dims=(dim,))


# ---- matrix products


def swap(a: Array) -> Array:
    """The last two axes exchanged."""
    return np.swapaxes(a, -1, -2)


def matmul_by_a(g: Array, a: Array, b: Array) -> Array:
    """The gradient for the left factor, vectors included."""
    if b.ndim == 1:
        return g[..., None] * b
    return (b @ g[..., None])[..., 0] if a.ndim == 1 else g @ swap(b)


def matmul_by_b(g: Array, a: Array, b: Array) -> Array:
    """The gradient for the right factor, vectors included."""
    if a.ndim == 1:
        return a * g if b.ndim == 1 else a[:, None] * g[..., None, :]
    return (swap(a) @ g[..., None])[..., 0] if b.ndim == 1 else swap(a) @ g


def rows(a: Array) -> Array:
    """All leading axes as one: (..., n) becomes (rows, n)."""
    return a if a.ndim == 2 else a.reshape((math.prod(a.shape[:-1]), a.shape[-1]))


def sum_of_rows(g: Array) -> Array:
    """All leading axes summed up, as a product with ones: a third of the time of NumPy's sum over rows."""
    g = rows(g)
    like: Any = getattr(g, "_array", g)
    return np.ones(len(like), like.dtype) @ g


def linear(x: Array, w: Array, bias: Array | None = None) -> Array:
    """``x @ w.T + bias``."""
    if bias is None:
        return x @ w.T
    y = x @ w.T
    return np.add(y, bias, out=y) if isinstance(y, np.ndarray) else y + bias


def einsum_by(g: Array, other: Array, shape: Shape, subscripts: str, wanted: int) -> Array:
    """The gradient of a product of two for one of them: the product of the result's with the other.

    An index that the operand alone had was summed over, so the gradient is the same along it.
    """
    ins, out = subscripts.split("->")
    pair = ins.split(",")
    mine, others = pair[wanted], pair[1 - wanted] if len(pair) > 1 else ""
    reached = "".join(i for i in mine if i in out or i in others)
    if len(pair) > 1:
        g = perform("einsum", g, other, subscripts=f"{out},{others}->{reached}")
    else:
        g = perform("einsum", g, subscripts=f"{out}->{reached}")
    kept = tuple(n if i in reached else 1 for i, n in zip(mine, shape, strict=True))
    return np.broadcast_to(g.reshape(kept), shape)


# ---- elements in and out of tensors


def is_view(index: Any) -> bool:
    """Whether an index of ints and slices, which takes each element once and shares memory, or one with arrays."""
    parts = index if isinstance(index, tuple) else (index,)
    return not any(isinstance(i, (np.ndarray, list, bool, np.bool_)) for i in parts)


def getitem(a: Array, index: Any) -> Array:
    """``a[index]``; an array that shares memory where the index is of ints and slices, of one element too."""
    if not is_view(index):
        return a[index]
    index = index if isinstance(index, tuple) else (index,)
    return a[index if any(i is ... for i in index) else (*index, ...)]  # the dots keep one element an array


def scatter(a: Array, into: Shape, index: Any) -> Array:
    """Zeros of the shape ``into`` with ``a`` added at ``index``; an index that occurs twice collects twice."""
    out = np.zeros(into, a.dtype)
    if is_view(index):
        out[index] = a
    else:
        np.add.at(out, index, a)
    return out


def setitem(a: Array, b: Array, index: Any) -> Array:
    """A copy of a with b at ``index``."""
    out = a.copy()
    out[index] = b
    return out


def put(a: Array, into: Shape, index: Array, dim: int) -> Array:
    """Zeros of the shape ``into`` with each element of ``a`` added at its ``index`` along ``dim``."""
    out = np.zeros(into, a.dtype)
    np.add.at(out, along(index, dim), a)
    return out


def along(index: Array, dim: int) -> tuple:
    """The index of all axes for ``index`` along one of them, for the rest its own place."""
    places = list(np.ogrid[tuple(map(slice, index.shape))]) if index.ndim else [0]
    places[dim] = index
    return tuple(places)


def paste(a: Array, b: Array, view: tuple[str, dict]) -> Array:
    """A copy of a with b in the part that a view of it shows."""
    name, static = view
    out = a.copy()  # in C order, where every reshape is a view
    OPERATIONS[name][0](out, **static)[...] = b
    return out


def piece(g: Array, shapes: list[Shape], position: int, dim: int) -> Array:
    """The part of a concatenation that came from one input."""
    start = sum(shape[dim] for shape in shapes[:position])
    at: list[Any] = [slice(None)] * len(shapes[0])
    at[dim] = slice(start, start + shapes[position][dim])
    return g[tuple(at)]


# ---- functions of each element, and losses


def whole(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """A division that whole numbers by 0 have no result of, as in torch; NumPy says 0."""

    def divide(a: Array, b: Array) -> Array:
        y = function(a, b)
        if y.dtype.kind in "iu" and not np.all(b):
            raise TensorError("ZeroDivisionError: integers cannot be divided by 0")
        return y

    return divide


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), whose exponential cannot overflow to a warning."""
    return 1 / (1 + np.exp(-a))


def shift(a: Array, dim: int) -> Array:
    """a less its largest element along ``dim``, so that no exponential overflows."""
    return a - a.max(axis=dim, keepdims=True, initial=-np.inf)


def softmax(a: Array, dim: int) -> Array:
    """Exponentials that sum to 1 along ``dim``."""
    e = np.exp(shift(a, dim))
    return e / e.sum(axis=dim, keepdims=True)


def log_softmax(a: Array, dim: int) -> Array:
    """The logarithm of softmax."""
    shifted = shift(a, dim)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def keep(g: Array, mask: Array) -> Array:
    """``np.where(mask, g, 0)``; of an array by its bits, in a tenth of the time where the mask is irregular: no branches."""
    if not isinstance(g, np.ndarray):
        return np.where(mask, g, 0)
    return (g.view(f"i{g.itemsize}") * mask).view(g.dtype)  # as floats, inf times 0 would be nan


def turn(x: Array, a: Array, b: Array) -> Array:
    """x / (a² + b²), how fast the angle of (b, a) turns; 0 at the origin, which has no angle."""
    square = a * a + b * b
    return np.where(square == 0, 0, x / np.where(square == 0, 1, square))


def inside(g: Array, a: Array, low: Any, high: Any) -> Array:
    """g where a is within the bounds that are given."""
    within = a == a
    if low is not None:
        within = within & (a >= low)
    if high is not None:
        within = within & (a <= high)
    return np.where(within, g, 0)


def larger(a: Array, b: Array) -> Array:
    """d max(a, b) / da: one where a is larger, one half where both are equal; one where either is nan, as torch has it."""
    return np.where(a == b, 0.5, np.where(a < b, 0.0, 1.0))


def pow_by_a(g: Array, a: Array, b: Array) -> Array:
    """b a^(b-1), and 0 for b = 0 even at a = 0, because a^0 is 1 everywhere."""
    if isinstance(b, (int, float)):
        return g * (b * a ** (b - 1)) if b else 0 * g
    zero = b == 0
    return g * np.where(zero, 0, b * a ** np.where(zero, 1, b - 1))


def pow_by_b(g: Array, a: Array, b: Array, y: Array) -> Array:
    """a^b log a, and 0 at a = 0, where 0^b stays 0 as b moves."""
    if isinstance(a, (int, float)) and a > 0:
        return g * (y * math.log(a))
    zero = (a == 0) & (b >= 0)
    return g * np.where(zero, 0, y * np.log(np.where(zero, 1, a)))


REDUCE: dict[str, Callable[[Array], Array]] = {
    "mean": lambda a: mean_over(a, None, False),
    "sum": np.sum,
    "none": lambda a: a,
}


def unreduce(g: Array, n: int, reduction: str) -> Array:
    """The gradient that reaches each of the n losses that were averaged or summed."""
    return g / n if reduction == "mean" else g
