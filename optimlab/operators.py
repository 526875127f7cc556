"""What a tensor can be asked to do: operators, functions and in-place methods, each a row of ``functional.OPERATIONS``.

张量的运算：每个方法都对应 ``functional.OPERATIONS`` 里的一行。
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.dtype import as_numpy, bool_, float32, float64, int64
from optimlab.functional import TensorError

if TYPE_CHECKING:
    from optimlab.tensor import Tensor

Dim = int | Sequence[int] | None


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a tensor or array as a plain tuple; () for a number."""
    return tuple(getattr(x, "shape", ()))


def _axes(dim: Dim, ndim: int) -> Any:
    """``dim`` as NumPy wants an axis: None, an int or a tuple, each in [-ndim, ndim - 1]."""
    for d in (dim,) if isinstance(dim, int) else dim or ():
        if not isinstance(d, int) or isinstance(d, bool):
            raise TypeError(f"Invalid dim: {dim!r}; dim must be an int, a tuple of ints or None")
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(
                f"Dimension out of range: dim={d}; expected to be in [{-max(ndim, 1)}, {max(ndim, 1) - 1}]"
            )
    return dim if isinstance(dim, int) else tuple(dim or ()) or None  # () means all axes, as None does


def _index(index: Any) -> Any:
    """An index with arrays where it has tensors."""
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    return index._array.copy() if isinstance(index, Operators) else index  # its owner may change it before backward


class Operators:
    """The methods of `Tensor` that compute."""

    _array: np.ndarray

    if TYPE_CHECKING:  # what `Tensor` provides

        def _apply(self, name: str, *others: Any, **static: Any) -> Tensor: ...
        def _binary(self, name: str, other: Any, reflected: bool = False) -> Any: ...
        def _become(self, new: Any) -> Tensor: ...

    # ---- arithmetic

    def __add__(self, other: Any) -> "Tensor":
        return self._binary("add", other)

    def __radd__(self, other: Any) -> "Tensor":
        return self._binary("add", other, reflected=True)

    def __sub__(self, other: Any) -> "Tensor":
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> "Tensor":
        return self._binary("sub", other, reflected=True)

    def __mul__(self, other: Any) -> "Tensor":
        return self._binary("mul", other)

    def __rmul__(self, other: Any) -> "Tensor":
        return self._binary("mul", other, reflected=True)

    def __truediv__(self, other: Any) -> "Tensor":
        return self._binary("div", other)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return self._binary("div", other, reflected=True)

    def __pow__(self, other: Any) -> "Tensor":
        return self._binary("pow", other)

    def __rpow__(self, other: Any) -> "Tensor":
        return self._binary("pow", other, reflected=True)

    def __matmul__(self, other: Any) -> "Tensor":
        return self._matmul(other)

    def __rmatmul__(self, other: Any) -> "Tensor":
        return self._matmul(other, reflected=True)

    def matmul(self, other: Any) -> "Tensor":
        """The matrix product ``self @ other``."""
        return self @ other

    def _matmul(self, other: Any, reflected: bool = False) -> Any:
        array = other._array if isinstance(other, Operators) else other
        if not isinstance(array, np.ndarray):
            return NotImplemented
        if array.dtype != self._array.dtype:
            raise TensorError(
                f"expected m1 and m2 to have the same dtype, but got: {array.dtype} and {self._array.dtype}; use .to()"
            )
        if reflected:  # array @ tensor
            return type(self)._wrap(array) @ self  # type: ignore[attr-defined]
        try:
            return self._apply("matmul", other)
        except ValueError:
            raise TensorError(
                f"mat1 and mat2 shapes cannot be multiplied: {shape_of(self)} @ {shape_of(other)}; "
                "the last axis of the first must be as long as the second's last axis but one"
            ) from None

    def __neg__(self) -> "Tensor":
        return self._apply("neg")

    def __abs__(self) -> "Tensor":
        return self._apply("abs")

    def __invert__(self) -> "Tensor":
        return self._apply("bitwise_not")

    def __and__(self, other: Any) -> "Tensor":
        return self._binary("bitwise_and", other)

    def __or__(self, other: Any) -> "Tensor":
        return self._binary("bitwise_or", other)

    def __xor__(self, other: Any) -> "Tensor":
        return self._binary("bitwise_xor", other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # ---- comparisons: tensors of bools, without history

    def __eq__(self, other: Any) -> Any:
        return self._binary("eq", other)

    def __ne__(self, other: Any) -> Any:
        return self._binary("ne", other)

    def __lt__(self, other: Any) -> Any:
        return self._binary("lt", other)

    def __le__(self, other: Any) -> Any:
        return self._binary("le", other)

    def __gt__(self, other: Any) -> Any:
        return self._binary("gt", other)

    def __ge__(self, other: Any) -> Any:
        return self._binary("ge", other)

    __hash__ = object.__hash__  # a tensor is a key by what it is, not by what it holds

    # ---- functions of each element

    def abs(self) -> "Tensor":
        """The absolute value of each element."""
        return self._apply("abs")

    def sqrt(self) -> "Tensor":
        """The square root of each element."""
        return self._apply("sqrt")

    def square(self) -> "Tensor":
        """The square of each element."""
        return self._apply("square")

    def exp(self) -> "Tensor":
        """e to the power of each element."""
        return self._apply("exp")

    def log(self) -> "Tensor":
        """The natural logarithm of each element: -inf at 0, nan below."""
        return self._apply("log")

    def sin(self) -> "Tensor":
        """The sine of each element, in radians."""
        return self._apply("sin")

    def cos(self) -> "Tensor":
        """The cosine of each element, in radians."""
        return self._apply("cos")

    def tanh(self) -> "Tensor":
        """The hyperbolic tangent of each element."""
        return self._apply("tanh")

    def relu(self) -> "Tensor":
        """Each element, or 0 where it is negative."""
        return self._apply("relu")

    def pow(self, exponent: Any) -> "Tensor":
        """Each element to the power ``exponent``."""
        return self**exponent

    def maximum(self, other: "Tensor") -> "Tensor":
        """The larger of each two elements."""
        return self._binary("maximum", other)

    def minimum(self, other: "Tensor") -> "Tensor":
        """The smaller of each two elements."""
        return self._binary("minimum", other)

    # ---- reductions: over the axes ``dim``, or over all

    def sign(self) -> "Tensor":
        """-1, 0 or 1 for each element."""
        return self._apply("sign")

    def sum(self, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool = False) -> "Tensor":
        """The sum over the axes ``dim``; bools and integers add up to int64."""
        dim, keepdim = dim if axis is None else axis, keepdim or keepdims  # NumPy's names
        return self._apply("sum", dim=_axes(dim, self._array.ndim), keepdim=keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> "Tensor":
        """The mean over the axes ``dim``; floats only."""
        if self._array.dtype.kind != "f":
            raise TensorError(
                f"mean(): could not infer output dtype; the tensor holds {self._array.dtype}: call .float() first"
            )
        return self._apply("mean", dim=_axes(dim, self._array.ndim), keepdim=keepdim)

    def argmax(self, dim: int | None = None) -> "Tensor":
        """Where the largest element is: its position along ``dim``, or in the flattened tensor."""
        return self._apply("argmax", dim=_axes(dim, self._array.ndim))

    def all(self) -> "Tensor":
        """Whether every element is true."""
        return self._apply("all")

    def any(self) -> "Tensor":
        """Whether some element is true."""
        return self._apply("any")

    # ---- shape and type

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements in another shape; one length may be -1."""
        wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
        try:
            return self._apply("reshape", wanted=wanted)
        except ValueError:
            raise TensorError(
                f"shape '{list(wanted)}' is invalid for input of size {self._array.size}; the lengths must multiply to that"
            ) from None

    view = reshape

    def expand(self, *shape: Any) -> "Tensor":
        """The tensor repeated along axes of length 1, or along new leading axes, to ``shape``."""
        try:
            return self._apply("expand", wanted=shape)
        except ValueError:
            raise TensorError(f"a tensor of shape {shape_of(self)} cannot be expanded to {shape}") from None

    def flatten(self, start_dim: int = 0) -> "Tensor":
        """All axes from ``start_dim`` on as one."""
        _axes(start_dim, self._array.ndim)
        shape = self._array.shape
        return self.reshape(*shape[:start_dim], math.prod(shape[start_dim:]))

    def transpose(self, dim0: int, dim1: int) -> "Tensor":
        """The axes ``dim0`` and ``dim1`` exchanged."""
        order = list(range(self._array.ndim))
        _axes((dim0, dim1), len(order))
        order[dim0], order[dim1] = order[dim1], order[dim0]
        return self._apply("permute", axes=tuple(order))

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order."""
        return self._apply("permute", axes=tuple(reversed(range(self._array.ndim))))

    def __getitem__(self, index: Any) -> "Tensor":
        return self._apply("getitem", index=_index(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._become(self._apply("setitem", value, index=_index(index)))

    def to(self, dtype: Any) -> "Tensor":
        """The tensor in another dtype; itself where it has that already."""
        wanted = as_numpy(dtype)
        return self if wanted == self._array.dtype else self._apply("to", dtype=wanted)  # type: ignore[return-value]

    def float(self) -> "Tensor":
        """In float32."""
        return self.to(float32)

    def double(self) -> "Tensor":
        """In float64."""
        return self.to(float64)

    def long(self) -> "Tensor":
        """In int64."""
        return self.to(int64)

    def bool(self) -> "Tensor":
        """In bool: whether each element is not 0."""
        return self.to(bool_)

    # ---- in place

    def add_(self, other: Any, alpha: Any = 1) -> "Tensor":
        """self += alpha * other."""
        return self._become(self + other if alpha == 1 else self + alpha * other)

    def sub_(self, other: Any, alpha: Any = 1) -> "Tensor":
        """self -= alpha * other."""
        return self._become(self - other if alpha == 1 else self - alpha * other)

    def mul_(self, other: Any) -> "Tensor":
        """self *= other."""
        return self._become(self * other)

    def div_(self, other: Any) -> "Tensor":
        """self /= other."""
        return self._become(self / other)

    def copy_(self, src: "Tensor") -> "Tensor":
        """Take over the numbers of ``src``, which may broadcast."""
        return self._become(src.expand(*shape_of(self)))

    def fill_(self, value: Any) -> "Tensor":
        """Set every element to ``value``."""
        return self._become(type(self)._wrap(np.full_like(self._array, value)))  # type: ignore[attr-defined]

    def zero_(self) -> "Tensor":
        """Set every element to 0."""
        return self._become(type(self)._wrap(np.zeros_like(self._array)))  # type: ignore[attr-defined]

    def __iadd__(self, other: Any) -> "Tensor":
        return self.add_(other)

    def __isub__(self, other: Any) -> "Tensor":
        return self.sub_(other)

    def __imul__(self, other: Any) -> "Tensor":
        return self.mul_(other)

    def __itruediv__(self, other: Any) -> "Tensor":
        return self.div_(other)

    # ---- NumPy's functions

    __array_priority__ = 1000  # in ``array + tensor`` the tensor decides

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions take tensors and record them: ``np.sqrt(t)``, ``array + t``."""
        name = UFUNCS.get(ufunc)
        if method != "__call__" or kwargs or name is None:
            return NotImplemented
        if len(inputs) == 1:
            return self._apply(name)
        a, b = inputs
        if isinstance(a, Operators):
            return a._matmul(b) if name == "matmul" else a._binary(name, b)
        return b._matmul(a, reflected=True) if name == "matmul" else b._binary(name, a, reflected=True)

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        """NumPy's functions that have a row of the table record; the others compute on the arrays."""
        recorded = FUNCTIONS.get(function)
        if recorded is not None:
            return recorded(*args, **kwargs)
        return function(*_plain(args), **_plain(kwargs))


def _plain(value: Any) -> Any:
    """The value with arrays where it has tensors."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(x) for key, x in value.items()}
    return np.asarray(value) if isinstance(value, Operators) else value


def _where(condition: Any, a: Any, b: Any) -> Any:
    x: Any = a if isinstance(a, Operators) else b if isinstance(b, Operators) else condition
    return x._where(condition, a, b)


def _permute(a: Any, axes: Any) -> Any:
    return a._apply("permute", axes=tuple(int(i) for i in axes))


def _expand_dims(a: Any, axis: Any) -> Any:
    axes = {i % (a.ndim + len(np.atleast_1d(axis))) for i in np.atleast_1d(axis)}
    rest = iter(a.shape)
    return a._apply("reshape", wanted=tuple(1 if i in axes else next(rest) for i in range(a.ndim + len(axes))))


FUNCTIONS: dict[Any, Any] = {
    np.where: _where,
    np.broadcast_to: lambda a, shape: a._apply("expand", wanted=shape),
    np.expand_dims: _expand_dims,
    np.swapaxes: lambda a, i, j: a.transpose(i, j),
    np.transpose: _permute,
}


UFUNCS = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div", np.power: "pow", np.matmul: "matmul",
    np.maximum: "maximum", np.minimum: "minimum", np.negative: "neg", np.absolute: "abs", np.sqrt: "sqrt",
    np.square: "square", np.exp: "exp", np.log: "log", np.tanh: "tanh", np.sin: "sin",
    np.cos: "cos", np.sign: "sign", np.bitwise_and: "bitwise_and",
    np.bitwise_or: "bitwise_or", np.bitwise_xor: "bitwise_xor", np.invert: "bitwise_not",
    np.equal: "eq", np.not_equal: "ne", np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge",
}  # fmt: skip
