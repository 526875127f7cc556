"""What a tensor can be asked about many elements at once: sums, extremes, order, products of matrices.

归约与矩阵运算：求和、极值、排序、矩阵乘法。
"""

import math
import operator
from collections import namedtuple
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.arrays import TensorError
from optimlab.dtype import get_default_dtype
from optimlab.operators import Base, shape_of

if TYPE_CHECKING:
    from optimlab.tensor import Tensor

Dim = int | Sequence[int] | None


def axis_of(dim: Any, ndim: int) -> int:
    """An axis counted from the front; a tensor of one element without axes is taken as one with one."""
    try:
        if isinstance(dim, (bool, np.bool_)):
            raise TypeError
        dim = operator.index(dim)
    except TypeError:
        raise TypeError(f"Invalid dim: {dim!r}; dim must be an int, not {type(dim).__name__}") from None
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], but got {dim}); "
            f"dim={dim} is no axis of {ndim}"
        )
    return dim % max(ndim, 1)


def axes_of(dim: Dim, ndim: int) -> Any:
    """``dim`` as NumPy wants an axis: None for all, an int or a tuple."""
    if dim is None:
        return None
    if isinstance(dim, (tuple, list)):
        found = tuple([axis_of(d, ndim) for d in dim])
        if len(set(found)) < len(found):
            raise TensorError(f"dim {dim} names an axis twice; each axis can be named once")
        return found if found and ndim else None  # () means all axes, as None does
    return axis_of(dim, ndim) if ndim else axis_of(dim, ndim) or None


class _Pair:
    """Printed as torch prints values with their indices."""

    def __repr__(self: Any) -> str:
        parts = (f"{name}={x!r}" for name, x in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n" + ",\n".join(parts) + ")"


def _pair(name: str) -> Any:
    return type(name, (_Pair, namedtuple(name, ["values", "indices"])), {"__module__": __name__, "__slots__": ()})


MAX, MIN, SORT, TOPK, MEDIAN = map(_pair, ("max", "min", "sort", "topk", "median"))


class Reductions(Base):
    """The methods of `Tensor` that make one number of several."""

    # ---- sums: over the axes ``dim``, or over all; axis and keepdims are NumPy's names for dim and keepdim

    def sum(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool = False
    ) -> "Tensor":
        """The sum over the axes ``dim``; bools and integers add up to int64."""
        x = self if dtype is None else self.to(dtype)
        dim = axes_of(dim if axis is None else axis, self._array.ndim)
        return x._apply("sum", dim=dim, keepdim=keepdim or keepdims)

    def mean(
        self, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool = False
    ) -> "Tensor":
        """The mean over the axes ``dim``; floats only."""
        x = self if dtype is None else self.to(dtype)
        if x._array.dtype.kind != "f":
            raise TensorError(
                f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
                f"Got: {x.dtype}; call .float() first"
            )
        dim = axes_of(dim if axis is None else axis, self._array.ndim)
        return x._apply("mean", dim=dim, keepdim=keepdim or keepdims)

    def var(self, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None) -> "Tensor":
        """The variance over the axes ``dim``: squared distances from the mean over (their number - correction).

        correction: 1 by default; unbiased=False is correction=0.
        """
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        dim = axes_of(dim, self._array.ndim)
        taken = range(self._array.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
        n = math.prod(self._array.shape[i] for i in taken)
        total = ((self - self.mean(dim, True)) ** 2).sum(dim, keepdim)
        less = int(unbiased) if correction is None else correction
        return (total / max(n - less, 0))._called("Var")

    def std(self, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = None) -> "Tensor":
        """The standard deviation over the axes ``dim``: the root of `var`."""
        return self.var(dim, unbiased, keepdim, correction=correction)._root(2)._called("Std")

    def _root(self, p: float) -> Any:
        """``self ** (1 / p)`` for p > 0, where self is a sum of powers: where all are 0 its gradient counts as 0, as in torch."""
        zero = self == 0
        return self._where(zero, 0.0, self._where(zero, 1.0, self) ** (1 / p))

    def norm(self, p: Any = "fro", dim: Dim = None, keepdim: bool = False) -> "Tensor":
        """The p-norm over the axes ``dim``; p is 2 ("fro"), another number, or inf."""
        if p not in ("fro", None) and (isinstance(p, (str, bool)) or not isinstance(p, (int, float))):
            raise TensorError(f"norm: p must be a number, inf or 'fro', not {p!r}")
        if not self.is_floating_point():
            raise TensorError(
                "linalg.vector_norm: Expected a floating point or complex tensor as input; "
                f"this one is {self.dtype}: convert it by .float()"
            )
        axes = axes_of(dim, self._array.ndim)
        if p in ("fro", None, 2):
            return self._apply("norm", dim=axes, keepdim=keepdim)
        size = self.abs()
        if p == 0:
            found = (size != 0).to(self.dtype).sum(axes, keepdim)
        elif abs(p) == math.inf:
            found = size._apply("amax" if p > 0 else "amin", dim=axes, keepdim=keepdim)
        elif p == 1:
            found = size.sum(axes, keepdim)
        else:
            total = (size**p).sum(axes, keepdim)
            found = total._root(p) if p > 0 else total ** (1 / p)
        return found._called("LinalgVectorNorm")

    def prod(self, dim: int | None = None, keepdim: bool = False) -> "Tensor":
        """The product along ``dim``, or of all elements: pairs, then pairs of pairs, so that gradients hold at zeros too."""
        kind = self._array.dtype.kind
        x: Any = self if kind == "f" else self.long()
        axis = 0 if dim is None else axis_of(dim, self._array.ndim)
        x = x.reshape(-1) if dim is None or not self._array.ndim else x
        if not x.shape[axis]:
            shape = [n for i, n in enumerate(x.shape) if i != axis]
            x = self._wrap(np.ones([*shape[:axis], 1, *shape[axis:]], x._array.dtype))
        while (n := x.shape[axis]) > 1:
            half = n // 2
            pairs = x.narrow(axis, 0, half) * x.narrow(axis, half, half)
            x = pairs._record("cat", pairs, x.narrow(axis, n - 1, 1), dim=axis) if n % 2 else pairs
        return (x if keepdim and dim is not None else x.squeeze(axis))._called("Prod", int(dim is not None))

    def cumsum(self, dim: int) -> "Tensor":
        """The sums of the first 1, 2, … elements along ``dim``."""
        axis = axis_of(dim, self._array.ndim)
        return self._apply("cumsum", dim=axis) if self._array.ndim else self.clone()

    def cumprod(self, dim: int) -> "Tensor":
        """The products of the first 1, 2, … elements along ``dim``."""
        axis = axis_of(dim, self._array.ndim)
        x: Any = self if self._array.dtype.kind == "f" else self.long()
        products = list(x.split(1, axis)) if x.ndim and x.numel() else []
        for i in range(1, len(products)):
            products[i] = products[i - 1] * products[i]
        return x._record("cat", *products, dim=axis)._called("Cumprod") if products else x.clone()

    def diff(self, n: int = 1, dim: int = -1) -> "Tensor":
        """Each element along ``dim`` less the one before; n times over."""
        x: Any = self
        for _ in range(n):
            later = max(x.shape[dim] - 1, 0)
            x = x.narrow(dim, min(1, x.shape[dim]), later) - x.narrow(dim, 0, later)
        return x

    def dist(self, other: "Tensor", p: Any = 2) -> "Tensor":
        """The p-norm of the difference."""
        return (self - other).norm(p)._called("Dist")

    def logsumexp(self, dim: Dim, keepdim: bool = False) -> "Tensor":
        """The logarithm of the sum of exponentials, without overflow."""
        axes = axes_of(dim, self._array.ndim)
        x = self if self.is_floating_point() else self.to(get_default_dtype())
        top = x._array.max(axis=axes, keepdims=True, initial=-np.inf)
        top = x._wrap(np.where(np.isfinite(top), top, 0).astype(x._array.dtype))
        total = (x - top).exp().sum(axes, True).log() + top
        gone = axes if axes is not None else tuple(range(self._array.ndim))
        return (total if keepdim else total.squeeze(gone))._called("Logsumexp")

    def softmax(self, dim: int, dtype: Any = None) -> "Tensor":
        """Exponentials that sum to 1 along ``dim``."""
        x = self if dtype is None else self.to(dtype)
        axis = axis_of(dim, x.ndim)
        return x._apply("softmax", dim=axis) if x.ndim else x._apply("fill", value=1)

    def log_softmax(self, dim: int, dtype: Any = None) -> "Tensor":
        """The logarithm of softmax along ``dim``."""
        x = self if dtype is None else self.to(dtype)
        axis = axis_of(dim, x.ndim)
        return x._apply("log_softmax", dim=axis) if x.ndim else x._apply("fill", value=0)

    # ---- whether, where

    def all(self, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool = False) -> "Tensor":
        """Whether every element is true."""
        dim = axes_of(dim if axis is None else axis, self._array.ndim)
        return self._apply("all", dim=dim, keepdim=keepdim or keepdims)

    def any(self, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool = False) -> "Tensor":
        """Whether some element is true."""
        dim = axes_of(dim if axis is None else axis, self._array.ndim)
        return self._apply("any", dim=dim, keepdim=keepdim or keepdims)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> "Tensor":
        """Where the largest element is: its position along ``dim``, or in the flattened tensor."""
        return self._apply("argmax", dim=axes_of(dim, self._array.ndim), keepdim=keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> "Tensor":
        """Where the smallest element is: its position along ``dim``, or in the flattened tensor."""
        return self._apply("argmin", dim=axes_of(dim, self._array.ndim), keepdim=keepdim)

    def count_nonzero(self, dim: Dim = None) -> "Tensor":
        """How many elements are not 0."""
        return self.ne(0).sum(dim)

    # ---- extremes and order

    def max(self, dim: Any = None, keepdim: bool = False) -> Any:
        """The largest element; with ``dim`` the largest along it and their places, (values, indices).

        With a tensor instead of dim the larger of each two elements.
        """
        return self._extreme("max", dim, keepdim)

    def min(self, dim: Any = None, keepdim: bool = False) -> Any:
        """The smallest element; with ``dim`` the smallest along it and their places, (values, indices).

        With a tensor instead of dim the smaller of each two elements.
        """
        return self._extreme("min", dim, keepdim)

    def _extreme(self, name: str, dim: Any, keepdim: bool) -> Any:
        if isinstance(dim, Reductions):
            return getattr(self, f"{name}imum")(dim)
        if not self._array.size and dim is None:
            raise TensorError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
                "the 'dim' argument."
            )
        if dim is None:
            return self._apply(f"a{name}", dim=None, keepdim=False)._called(name.capitalize(), 1)
        pair = MAX if name == "max" else MIN
        if not self._array.ndim:
            axis_of(dim, 0)
            return pair(self.clone(), self._wrap(np.zeros((), np.int64)))
        found = self._apply(f"arg{name}", dim=axis_of(dim, self._array.ndim), keepdim=True)
        values = self.gather(dim, found)
        values, found = (values, found) if keepdim else (values.squeeze(dim), found.squeeze(dim))
        return pair(values._called(name.capitalize()), found)

    def amax(self, dim: Dim = (), keepdim: bool = False) -> "Tensor":
        """The largest element over the axes ``dim``; equal ones share the gradient."""
        return self._apply("amax", dim=axes_of(dim, self._array.ndim), keepdim=keepdim)

    def amin(self, dim: Dim = (), keepdim: bool = False) -> "Tensor":
        """The smallest element over the axes ``dim``; equal ones share the gradient."""
        return self._apply("amin", dim=axes_of(dim, self._array.ndim), keepdim=keepdim)

    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = False) -> "Tensor":
        """The places of the elements in order along ``dim``; equal ones keep theirs."""
        a, axis = self._array, axis_of(dim, self._array.ndim)
        if not a.ndim:
            return self._wrap(np.zeros((), np.int64))
        if not descending:
            return self._wrap(a.argsort(axis, kind="stable"))
        backwards = np.flip(a, axis).argsort(axis, kind="stable")
        return self._wrap(np.flip(a.shape[axis] - 1 - backwards, axis))

    def sort(self, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
        """The elements in order along ``dim``, and where they were: (values, indices)."""
        order = self.argsort(dim, descending)
        return SORT(self.gather(dim, order)._called("Sort"), order)

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
        """The k largest (or smallest) elements along ``dim``, and where they are: (values, indices)."""
        n = self.shape[dim] if self.ndim else 1
        if not 0 <= k <= n:
            raise TensorError(f"selected index k out of range; k is {k}, it must be in [0, {n}]")
        order = self.argsort(dim, largest).narrow(dim, 0, k) if self.ndim else self.argsort(dim)
        return TOPK(self.gather(dim, order)._called("Topk"), order)

    def median(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The middle element, the lower of two; with ``dim`` those along it and their places, (values, indices).

        Where there is a nan it is nan. The gradient of the middle of all goes in equal parts to all elements that equal it.
        """
        if dim is None:
            flat = self.reshape(-1)
            if not len(flat):
                return self._wrap(np.full((), np.nan, self._array.dtype))
            middle, _ = flat.detach().median(0)
            chosen = (flat == middle) | ((flat != flat) & (middle != middle))
            return flat[chosen]._apply("amax", dim=None, keepdim=False)._called("Median")
        n, nans = self.shape[dim] if self._array.ndim else 1, self.isnan().sum(dim, True)
        order = self.argsort(dim).gather(dim, self._where(nans > 0, n - nans, (n - 1) // 2))  # nan stands last
        values = self.gather(dim, order)
        if not keepdim:
            values, order = values.squeeze(dim), order.squeeze(dim)
        return MEDIAN(values._called("Median", 1), order)

    def unique(self, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:
        """The elements that occur, in order; on request each element's place among them, and how often they occur."""
        options: dict[str, Any] = {"return_inverse": return_inverse, "return_counts": return_counts}
        found = np.unique(self._array, **options)
        return tuple(map(self._wrap, found)) if isinstance(found, tuple) else self._wrap(found)

    # ---- products of matrices

    def matmul(self, other: Any) -> "Tensor":
        """The matrix product ``self @ other``."""
        array = getattr(other, "_array", other)
        if not isinstance(array, np.ndarray):
            raise TypeError(f"matmul(): argument 'other' must be Tensor, not {type(other).__name__}")
        if array.dtype != self._array.dtype:
            names = {"float32": "float", "float64": "double", "int64": "long int"}
            ours, theirs = (names.get(d.name, d.name) for d in (self._array.dtype, array.dtype))
            raise TensorError(
                f"expected m1 and m2 to have the same dtype, but got: {ours} != {theirs}; "
                f"they are {self._array.dtype} and {array.dtype}: use .to()"
            )
        try:
            return self._apply("matmul", other)
        except ValueError:
            raise TensorError(
                f"mat1 and mat2 shapes cannot be multiplied: {shape_of(self)} @ {shape_of(other)}; "
                "the last axis of the first must be as long as the second's last axis but one"
            ) from None

    def __matmul__(self, other: Any) -> "Tensor":
        return self.matmul(other) if hasattr(other, "__array__") else NotImplemented

    def __rmatmul__(self, other: Any) -> "Tensor":
        return self._wrap(other).matmul(self) if isinstance(other, np.ndarray) else NotImplemented

    def _product(self, name: str, other: "Tensor", ranks: tuple[int, int]) -> "Tensor":
        if (self.ndim, other.ndim) != ranks:
            raise TensorError(
                f"{name}: expected tensors of {ranks[0]} and {ranks[1]} axes, but got {self.ndim}D and {other.ndim}D "
                "tensors; use matmul for others"
            )
        return self.matmul(other)

    def dot(self, tensor: "Tensor") -> "Tensor":
        """The sum of the products of two vectors' elements."""
        if self.ndim == tensor.ndim == 1 and self.shape != tensor.shape:
            raise TensorError(
                f"inconsistent tensor size, expected tensor {list(self.shape)} and src {list(tensor.shape)} to have the "
                "same number of elements"
            )
        return self._product("dot", tensor, (1, 1))

    inner = dot

    def mv(self, vec: "Tensor") -> "Tensor":
        """A matrix times a vector."""
        return self._product("mv", vec, (2, 1))

    def mm(self, mat2: "Tensor") -> "Tensor":
        """A matrix times a matrix."""
        return self._product("mm", mat2, (2, 2))

    def bmm(self, mat2: "Tensor") -> "Tensor":
        """A batch of matrices times another."""
        return self._product("bmm", mat2, (3, 3))

    def outer(self, vec2: "Tensor") -> "Tensor":
        """Every element of a vector times every element of another."""
        return self.reshape(-1, 1) * vec2

    ger = outer

    def addmm(self, mat1: "Tensor", mat2: "Tensor", *, beta: Any = 1, alpha: Any = 1) -> "Tensor":
        """beta * self + alpha * (mat1 @ mat2)."""
        product = mat1.mm(mat2) if alpha == 1 else alpha * mat1.mm(mat2)
        return (self if beta == 1 else beta * self) + product

    def trace(self) -> "Tensor":
        """The sum of a matrix's diagonal."""
        return self.diagonal().sum()
