"""Sparse tensors in coordinate format (COO): the few rows that are not zero, each beside its place.

An embedding of a million words gets gradients for the thirty words of a sentence. `COO` stands where a tensor otherwise keeps
its array, so a sparse gradient is a `Tensor` like any other; it knows the handful of operations that keep zeros zero.

稀疏张量（坐标格式）：只记下非零的那几行，以及每一行的位置。
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from optimlab.dtype import get_default_dtype
from optimlab.functional import TensorError
from optimlab.printing import add_suffixes, numbers


class COO:
    """An array of ``shape`` that is zero but for ``values[k]`` at ``indices[:, k]``; a place named twice holds the sum.

    indices: (sparse_dim, nnz) of int64, counted from 0. values: (nnz, ...): what follows the first sparse_dim axes of ``shape``.
    coalesced: whether each place occurs once and they are in order.
    """

    __slots__ = ("coalesced", "indices", "shape", "values")

    def __init__(
        self, indices: np.ndarray, values: np.ndarray, shape: tuple[int, ...], coalesced: bool = False
    ) -> None:
        self.indices, self.values, self.shape = indices, values, tuple(shape)
        self.coalesced = coalesced or len(values) < 2

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def ndim(self) -> int:
        """The number of axes of the whole array."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements of the whole array, zeros included."""
        return math.prod(self.shape)

    def with_values(self, values: np.ndarray) -> "COO":
        """Other values at the same places."""
        return COO(self.indices, values, self.shape, self.coalesced)

    def coalesce(self) -> "COO":
        """The same array with every place once, in order."""
        if self.coalesced:
            return self
        lengths = self.shape[: len(self.indices)]
        flat = np.ravel_multi_index(tuple(self.indices), lengths)
        places, position = np.unique(flat, return_inverse=True)
        values = np.zeros((len(places), *self.values.shape[1:]), self.dtype)
        np.add.at(values, position, self.values)  # one after the other, as torch adds them
        return COO(np.array(np.unravel_index(places, lengths), np.int64), values, self.shape, True)

    def to_dense(self) -> np.ndarray:
        """The whole array."""
        return _add_at(np.zeros(self.shape, self.dtype), self)

    def copy(self) -> "COO":
        """A copy that shares no memory."""
        return COO(self.indices.copy(), self.values.copy(), self.shape, self.coalesced)

    __copy__ = copy

    def astype(self, dtype: Any, copy: bool = True) -> "COO":
        """The same places with values of another dtype."""
        return self.with_values(self.values.astype(dtype, copy=copy))

    def __len__(self) -> int:
        return self.shape[0]

    def __add__(self, other: Any) -> Any:
        return np.add(self, other)

    __radd__ = __add__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a sparse tensor has no {name!r}; call .to_dense() first")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        found = _FUNCTIONS.get(ufunc) if method == "__call__" else None
        result = NotImplemented if found is None else found(*inputs)
        if result is NotImplemented:
            raise _refusal(ufunc)
        for out in kwargs.get("out", ()):
            out[...] = result
        return result

    def __array_function__(self, function: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        if function not in _FUNCTIONS:
            raise _refusal(function)
        return _FUNCTIONS[function](*args, **kwargs)


def _refusal(function: Any) -> NotImplementedError:
    return NotImplementedError(f"Could not run {function.__name__!r} with a sparse tensor; call .to_dense() first")


def _add_at(dense: np.ndarray, rows: COO) -> np.ndarray:
    np.add.at(dense, tuple(rows.indices), rows.values)
    return dense


def _add(a: Any, b: Any) -> Any:
    if a.shape != b.shape:
        raise TensorError(
            f"The size of tensor a {a.shape} must match the size of tensor b {b.shape}: sparse tensors do not broadcast; "
            "call .to_dense() first"
        )
    if not (isinstance(a, COO) and isinstance(b, COO)):
        dense, rows = (b, a) if isinstance(a, COO) else (a, b)
        return _add_at(dense.astype(np.result_type(dense.dtype, rows.dtype)), rows)
    if len(a.indices) != len(b.indices):
        raise TensorError(
            f"a and b have to have same number of sparse dimensions, but got {len(a.indices)} and {len(b.indices)}"
        )
    if np.array_equal(a.indices, b.indices):
        return a.with_values(a.values + b.values)
    both = COO(np.concatenate([a.indices, b.indices], 1), np.concatenate([a.values, b.values]), a.shape)
    return both.coalesce() if a.coalesced and b.coalesced else both


def _scale(ufunc: np.ufunc, a: Any, b: Any) -> Any:
    """A sparse array times or over a number."""
    if ufunc is np.multiply and isinstance(b, COO):
        a, b = b, a
    if isinstance(b, COO) or (hasattr(b, "ndim") and b.ndim > 0):
        return NotImplemented
    return a.with_values(ufunc(a.values, b))


def _overwrite(to: COO, source: COO, **_: Any) -> None:
    to.indices, to.coalesced = source.indices.copy(), source.coalesced
    to.values = source.values.astype(to.dtype)


# the operations on NumPy's names: those that leave zeros zero
_FUNCTIONS: dict[Callable, Callable] = {
    np.add: _add,
    np.subtract: lambda a, b: _add(a, np.negative(b)),
    np.multiply: lambda a, b: _scale(np.multiply, a, b),
    np.true_divide: lambda a, b: _scale(np.true_divide, a, b),
    np.negative: lambda a: a.with_values(-a.values),
    np.copy: COO.copy,
    np.copyto: _overwrite,
    np.zeros_like: lambda a: COO(a.indices[:, :0], a.values[:0], a.shape, True),
}


class SparseMethods:
    """What a `Tensor` can be asked about its sparse form. 张量的稀疏形式。"""

    _array: Any
    _wrap: Callable

    @property
    def is_sparse(self) -> bool:
        """Whether it keeps the rows that are not zero, and no array."""
        return isinstance(self._array, COO)

    def _rows(self, name: str) -> COO:
        if not isinstance(self._array, COO):
            raise TensorError(
                f"{name} expected sparse coordinate tensor layout but got Strided; make it sparse by .to_sparse()"
            )
        return self._array

    def _nnz(self) -> int:
        """The number of rows that are kept."""
        return len(self._rows("_nnz").values)

    def _indices(self) -> Any:
        """The place of each row, (sparse_dim, nnz), as they stand."""
        return self._wrap(self._rows("_indices").indices)

    def _values(self) -> Any:
        """The rows, (nnz, ...), as they stand."""
        return self._wrap(self._rows("_values").values)

    def _in_order(self, name: str) -> COO:
        if not self._rows(name).coalesced:
            raise TensorError(f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first")
        return self._array

    def indices(self) -> Any:
        """The place of each row, (sparse_dim, nnz), of a coalesced tensor."""
        return self._wrap(self._in_order("indices").indices)

    def values(self) -> Any:
        """The rows, (nnz, ...), of a coalesced tensor."""
        return self._wrap(self._in_order("values").values)

    def is_coalesced(self) -> bool:
        """Whether every place occurs once, in order."""
        return self._rows("is_coalesced").coalesced

    def coalesce(self) -> Any:
        """The same tensor with every place once, in order; what was named twice is summed up."""
        rows = self._rows("coalesce")
        return self if rows.coalesced else self._wrap(rows.coalesce())

    def sparse_dim(self) -> int:
        """The number of leading axes that the indices run over; 0 for a dense tensor."""
        return len(self._array.indices) if self.is_sparse else 0

    def dense_dim(self) -> int:
        """The number of axes of one row; all of a dense tensor's."""
        return self._array.ndim - self.sparse_dim()

    def to_dense(self) -> Any:
        """The tensor with all its zeros; itself where it is dense."""
        return self._wrap(self._array.to_dense()) if self.is_sparse else self

    def to_sparse(self, sparse_dim: int | None = None) -> Any:
        """The elements that are not zero; with ``sparse_dim`` = n the rows along the first n axes that hold any."""
        if self.is_sparse:
            return self
        if self.requires_grad:  # type: ignore[attr-defined]
            raise TensorError("to_sparse() records no history; call .detach() first")
        ndim = self._array.ndim
        n = ndim if sparse_dim is None else sparse_dim
        if not 0 < n <= ndim:
            raise TensorError(f"Invalid sparse_dim: {n}; sparse_dim must be in [1, {ndim}], the number of axes")
        places = np.nonzero(self._array.any(axis=tuple(range(n, ndim))) if n < ndim else self._array)
        return self._wrap(COO(np.array(places, np.int64), self._array[places], self._array.shape, True))

    def _sparse_text(self, prefix: str, history: list[str]) -> str:
        """As torch prints it: indices, values and size."""
        rows, parts = self._array, []
        for name, a in (("indices=tensor(", rows.indices), ("values=tensor(", rows.values)):
            text = numbers(a, len(prefix) + 1 + len(name)) if a.size else f"[], size={a.shape}"
            parts.append(f"{name}{text})")
        indent = len(prefix) + 1
        facts = [f"size={self._array.shape}", f"nnz={len(rows.values)}"]
        if rows.dtype != get_default_dtype().numpy:
            facts.append(f"dtype={self.dtype}")  # type: ignore[attr-defined]
        others = [*facts[1:], "layout=torch.sparse_coo", *history]
        text = (",\n" + " " * indent).join([*parts, facts[0]])
        return add_suffixes(f"{prefix}({text}", others, indent)


def checked_coo(indices: Any, values: Any, size: tuple[int, ...] | None) -> COO:
    """A COO of arrays that fit together; the size is by default the smallest that holds them."""
    indices = np.asarray(indices)
    if indices.size and indices.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, not {indices.dtype}")
    if indices.ndim != 2:
        raise TensorError(
            f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}; write [[0, 2]] for two rows"
        )
    if values.ndim == 0 or indices.shape[1] != len(values):
        count = len(values) if values.ndim else "none"
        raise TensorError(
            "indices and values must have same nnz, "
            f"but got nnz from indices: {indices.shape[1]}, nnz from values: {count}"
        )
    indices = indices.astype(np.int64)
    if size is None:
        size = (*(indices.max(axis=1, initial=-1) + 1).tolist(), *values.shape[1:])
    if len(size) != len(indices) + values.ndim - 1:
        raise TensorError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {len(indices)}, dense_dim = {values.ndim - 1}"
        )
    if tuple(size[len(indices) :]) != values.shape[1:]:
        raise TensorError(
            f"values has incorrect size, expected [nnz, {list(size[len(indices) :])}], got {values.shape}"
        )
    for axis, n in enumerate(size[: len(indices)]):
        wrong = indices[axis][(indices[axis] < 0) | (indices[axis] >= n)]
        if wrong.size:
            raise TensorError(
                f"found index {wrong[0]} in row {axis} of indices; size {tuple(size)} admits 0 to {n - 1}"
            )
    return COO(indices, values, tuple(size))
