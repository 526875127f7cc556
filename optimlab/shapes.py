"""What a tensor can be asked that leaves its numbers alone: other shapes, some of the elements, another dtype.

改变形状、取出元素、转换类型。
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.arrays import TensorError, along
from optimlab.dtype import dtype
from optimlab.operators import Base, shape_of
from optimlab.reductions import Dim, axes_of, axis_of

if TYPE_CHECKING:
    from optimlab.tensor import Tensor


def sizes(size: Sequence[Any]) -> tuple[int, ...]:
    """The lengths from ``f(2, 3)``, ``f((2, 3))`` or ``f(torch.Size([2, 3]))``."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    return tuple([n if type(n) is int else n.__index__() for n in size])


def plain_index(index: Any) -> Any:
    """An index with arrays where it has tensors, and ints where those hold one."""
    if isinstance(index, tuple):
        return tuple(map(plain_index, index))
    if hasattr(index, "_array"):
        a = index._array
        if a.dtype.kind == "f":
            raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, not {index.dtype}")
        return a.copy() if a.ndim or a.dtype.kind == "b" else int(a)  # its owner may change it before backward
    if isinstance(index, slice) and index.step is not None and index.step <= 0:
        raise ValueError(f"step must be greater than zero, not {index.step}; use .flip() to turn an axis round")
    return list(index) if isinstance(index, range) else index


class Shapes(Base):
    """The methods of `Tensor` that rearrange and select."""

    # ---- shapes

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements in another shape; one length may be -1."""
        wanted = sizes(shape)
        try:
            return self._apply("reshape", wanted=wanted)
        except ValueError:
            raise TensorError(
                f"shape '{list(wanted)}' is invalid for input of size {self._array.size}; the lengths must multiply to that"
            ) from None

    def view(self, *shape: Any) -> "Tensor":
        """The same elements and memory in another shape; one length may be -1."""
        if len(shape) == 1 and isinstance(shape[0], dtype):
            return self._wrap(self._array.view(shape[0].numpy))
        found = self.reshape(*shape)
        if found._array.size and not np.may_share_memory(found._array, self._array):
            raise TensorError(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
                "contiguous subspaces). Use .reshape(...) instead."
            )
        return found

    def view_as(self, other: "Tensor") -> "Tensor":
        """The same memory in the shape of ``other``."""
        return self.view(other.shape)

    def reshape_as(self, other: "Tensor") -> "Tensor":
        """The same elements in the shape of ``other``."""
        return self.reshape(other.shape)

    def expand(self, *shape: Any) -> "Tensor":
        """The tensor repeated along axes of length 1, or along new leading axes, to ``shape``; -1 keeps a length."""
        wanted = sizes(shape)
        new = len(wanted) - self._array.ndim
        try:
            kept = [n if n != -1 or i < new else self._array.shape[i - new] for i, n in enumerate(wanted)]
            return self._apply("expand", wanted=tuple(kept))
        except ValueError:
            raise TensorError(
                f"a tensor of shape {shape_of(self)} cannot be expanded to {wanted}; "
                "counted from the last, each axis must keep its length or be 1"
            ) from None

    def expand_as(self, other: "Tensor") -> "Tensor":
        """The tensor repeated to the shape of ``other``."""
        return self.expand(other.shape)

    def broadcast_to(self, size: Any) -> "Tensor":
        """The tensor repeated to ``size``."""
        return self.expand(*size)

    def repeat(self, *repeats: Any) -> "Tensor":
        """The tensor as many times along each axis; more numbers than axes make new leading ones."""
        times = sizes(repeats)
        if len(times) < self.ndim:
            raise TensorError(
                "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
                f"{len(times)} < {self.ndim}"
            )
        shape = (1,) * (len(times) - self.ndim) + self._array.shape
        apart = self.reshape(*(m for n in shape for m in (1, n)))
        whole = apart.expand(*(m for t, n in zip(times, shape, strict=True) for m in (t, n)))
        return whole.reshape(*(t * n for t, n in zip(times, shape, strict=True)))

    def tile(self, *dims: Any) -> "Tensor":
        """The tensor as many times along each axis, counted from the last."""
        times = sizes(dims)
        return self.repeat((1,) * (self.ndim - len(times)) + times)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Tensor":
        """The axes from ``start_dim`` to ``end_dim`` as one."""
        ndim, shape = self._array.ndim, self._array.shape
        first, last = axis_of(start_dim, ndim), axis_of(end_dim, ndim)
        if first > last:
            raise TensorError(
                f"flatten() has invalid args: start_dim cannot come after end_dim; got {first} and {last}"
            )
        return self.reshape(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])

    def unflatten(self, dim: int, sizes: Any) -> "Tensor":
        """The axis ``dim`` as several of the lengths ``sizes``."""
        axis, shape = axis_of(dim, self._array.ndim), self._array.shape
        lengths = [n if n != -1 else shape[axis] // -math.prod(sizes) for n in sizes]
        return self.reshape(*shape[:axis], *lengths, *shape[axis + 1 :])

    def ravel(self) -> "Tensor":
        """All axes as one."""
        return self.reshape(-1)

    def squeeze(self, dim: Dim = None) -> "Tensor":
        """The tensor without its axes of length 1, or without those of ``dim`` that have it."""
        axes = axes_of(dim, self._array.ndim)
        chosen = range(self._array.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
        shape = self._array.shape
        found = self._apply("reshape", wanted=tuple(n for i, n in enumerate(shape) if n != 1 or i not in chosen))
        return found._called("Squeeze", int(axes is not None))

    def unsqueeze(self, dim: int) -> "Tensor":
        """The tensor with a new axis of length 1 before axis ``dim``."""
        axis, shape = axis_of(dim, self._array.ndim + 1), self._array.shape
        return self._apply("reshape", wanted=(*shape[:axis], 1, *shape[axis:]))._called("Unsqueeze")

    def permute(self, *dims: Any) -> "Tensor":
        """The axes in another order."""
        axes = [axis_of(d, self._array.ndim) for d in sizes(dims)]
        if sorted(axes) != list(range(self._array.ndim)):
            raise TensorError(f"permute(dims): dims {dims} must name each of the {self._array.ndim} axes once")
        return self._apply("permute", axes=tuple(axes))

    def transpose(self, dim0: int, dim1: int) -> "Tensor":
        """The axes ``dim0`` and ``dim1`` exchanged."""
        order = list(range(self._array.ndim))
        i, j = axis_of(dim0, len(order)), axis_of(dim1, len(order))
        if order:
            order[i], order[j] = order[j], order[i]
        return self._apply("permute", axes=tuple(order))._called("Transpose")

    swapaxes = transpose

    def movedim(self, source: int, destination: int) -> "Tensor":
        """One axis at another place."""
        order = list(range(self._array.ndim))
        axis = order.pop(axis_of(source, len(order)))
        order.insert(axis_of(destination, self._array.ndim), axis)
        return self._apply("permute", axes=tuple(order))

    def t(self) -> "Tensor":
        """A matrix with rows and columns exchanged; a vector as it is."""
        if self._array.ndim > 2:
            raise TensorError(f"t() expects a tensor with <= 2 dimensions, but self is {self._array.ndim}D; use .mT")
        return self.T._called("T")

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order."""
        return self._apply("permute", axes=tuple(range(self._array.ndim - 1, -1, -1)))

    @property
    def mT(self) -> "Tensor":
        """The last two axes exchanged."""
        return self.transpose(-2, -1)

    def contiguous(self) -> Any:
        """The tensor itself where its elements lie in order in memory, else a copy that does."""
        return self if self.is_contiguous() else self._apply("contiguous")._called("Clone")

    def is_contiguous(self) -> bool:
        """Whether the elements lie in order in memory."""
        return self._array.flags.c_contiguous

    # ---- elements

    def __getitem__(self, index: Any) -> "Tensor":
        try:
            return self._apply("getitem", index=plain_index(index))
        except IndexError as error:
            raise IndexError(f"{error}; the tensor's shape is {shape_of(self)}".replace("axis", "dimension")) from None

    def __setitem__(self, index: Any, value: Any) -> None:
        index = plain_index(index)
        if not hasattr(value, "_array") and not isinstance(value, (bool, int, float)):
            value = self._wrap(np.asarray(value).astype(self._array.dtype))
        try:
            self._become_at(index, value)
        except ValueError as error:
            if isinstance(error, TensorError):
                raise
            raise TensorError(
                f"shape mismatch: value of shape {shape_of(value)} cannot be set at that index: {error}"
            ) from None

    def narrow(self, dim: int, start: int, length: int) -> "Tensor":
        """``length`` elements along ``dim`` from ``start`` on."""
        axis = axis_of(dim, self._array.ndim)
        n, start = self._array.shape[axis], int(start)
        if length < 0 or not 0 <= (start if start >= 0 else start + n) <= n - length:
            raise TensorError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
        start %= max(n, 1)
        return self._apply("getitem", index=(slice(None),) * axis + (slice(start, start + length),))

    def select(self, dim: int, index: int) -> "Tensor":
        """The slice at ``index`` of axis ``dim``."""
        return self[(slice(None),) * axis_of(dim, self._array.ndim) + (index,)]

    def split(self, split_size_or_sections: Any, dim: int = 0) -> tuple["Tensor", ...]:
        """Pieces along ``dim``: of one length (the last may be shorter), or of the lengths given."""
        axis = axis_of(dim, self._array.ndim)
        n, wanted = self._array.shape[axis], split_size_or_sections
        if isinstance(wanted, int):
            if wanted <= 0:
                raise TensorError(f"split expects split_size be positive, but got split_size={wanted}")
            wanted = [min(wanted, n - i) for i in range(0, max(n, 1), wanted)]
        if sum(wanted) != n:
            raise TensorError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), "
                f"but got split_sizes={wanted}"
            )
        starts = [sum(wanted[:i]) for i in range(len(wanted))]
        return tuple(self.narrow(axis, at, n)._called("Split") for at, n in zip(starts, wanted, strict=True))

    def chunk(self, chunks: int, dim: int = 0) -> tuple["Tensor", ...]:
        """At most ``chunks`` pieces of one length along ``dim``; the last may be shorter."""
        if chunks <= 0:
            raise TensorError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        return self.split(max(1, -(-self._array.shape[axis_of(dim, self._array.ndim)] // chunks)), dim)

    def unbind(self, dim: int = 0) -> tuple["Tensor", ...]:
        """The slices along ``dim``."""
        return tuple(
            self.select(dim, i)._called("Unbind") for i in range(self._array.shape[axis_of(dim, self._array.ndim)])
        )

    def gather(self, dim: int, index: "Tensor") -> "Tensor":
        """The elements at ``index`` along ``dim``: out[i, j] = self[index[i, j], j] for dim 0."""
        axis, places = axis_of(dim, self._array.ndim), index._array
        if places.ndim != self._array.ndim:
            raise TensorError(
                f"Index tensor must have the same number of dimensions as input tensor; got {places.ndim} and {self.ndim}"
            )
        n = self._array.shape[axis] if self._array.ndim else 1
        if places.size and not (places.min() >= 0 and places.max() < n):
            raise TensorError(f"index out of bounds for dimension {dim} with size {n}; indices must be in [0, {n - 1}]")
        if not self._array.ndim:
            return self.clone()
        return self._apply("gather", index=places, dim=axis)

    def take_along_dim(self, indices: "Tensor", dim: int) -> "Tensor":
        """The elements at ``indices`` along ``dim``."""
        return self.gather(dim, indices)

    def scatter(self, dim: int, index: "Tensor", src: Any) -> "Tensor":
        """A copy with ``src`` at ``index`` along ``dim``: out[index[i, j], j] = src[i, j] for dim 0."""
        places = along(index._array, axis_of(dim, self._array.ndim))
        if hasattr(src, "_array"):
            src = src[tuple(slice(n) for n in index.shape)]
        return self._record("setitem", self, src, index=places)

    def scatter_(self, dim: int, index: "Tensor", src: Any = None, *, value: Any = None) -> "Tensor":
        """`scatter` in place."""
        return self._become(self.scatter(dim, index, value if src is None else src))

    def scatter_add(self, dim: int, index: "Tensor", src: "Tensor") -> "Tensor":
        """A copy with ``src`` added at ``index`` along ``dim``."""
        src = src[tuple(slice(n) for n in index.shape)]
        axis = axis_of(dim, self._array.ndim)
        return self + src._apply("put", into=self._array.shape, index=index._array, dim=axis)

    def scatter_add_(self, dim: int, index: "Tensor", src: "Tensor") -> "Tensor":
        """`scatter_add` in place."""
        return self._become(self.scatter_add(dim, index, src))

    def index_select(self, dim: int, index: "Tensor") -> "Tensor":
        """The slices at ``index`` along ``dim``."""
        return self[(slice(None),) * axis_of(dim, self._array.ndim) + (index,)]

    def index_add_(self, dim: int, index: "Tensor", source: "Tensor", *, alpha: Any = 1) -> "Tensor":
        """Add ``alpha * source`` to the slices at ``index`` along ``dim``, in place."""
        at = (slice(None),) * axis_of(dim, self._array.ndim) + (index._array,)
        return self._become(self + alpha * source._apply("scatter", into=self._array.shape, index=at))

    def masked_select(self, mask: "Tensor") -> "Tensor":
        """The elements where the mask holds, as a vector."""
        return self.expand(np.broadcast_shapes(shape_of(self), shape_of(mask)))[
            mask.expand(np.broadcast_shapes(shape_of(self), shape_of(mask)))
        ]

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """The places that are not 0: a row each, or with as_tuple a tensor for each axis."""
        found = np.nonzero(np.atleast_1d(self._array) if as_tuple else self._array) if self.ndim or as_tuple else ()
        if as_tuple:
            return tuple(map(self._wrap, found))
        count = int(np.count_nonzero(self._array))
        return self._wrap(np.stack(found, 1) if found else np.zeros((count, 0), np.int64))

    def flip(self, *dims: Any) -> "Tensor":
        """The elements in reverse order along ``dims``."""
        axes = tuple(axis_of(d, self._array.ndim) for d in sizes(dims))
        return self._apply("flip", dims=axes if self._array.ndim else ())

    def roll(self, shifts: int, dims: int | None = None) -> "Tensor":
        """The elements moved on by ``shifts`` along ``dims``; what leaves at the end comes in at the front."""
        if dims is None:
            return self.reshape(-1).roll(shifts, 0).reshape(self.shape)
        n = self.shape[dims]
        places = (np.arange(n) - shifts) % max(n, 1)
        return self[(slice(None),) * axis_of(dims, self._array.ndim) + (places,)]

    def tril(self, diagonal: int = 0) -> "Tensor":
        """A matrix with zeros above a diagonal."""
        return self._where(np.tri(self.shape[-2], self.shape[-1], diagonal, bool), self, False)

    def triu(self, diagonal: int = 0) -> "Tensor":
        """A matrix with zeros below a diagonal."""
        return self._where(np.tri(self.shape[-2], self.shape[-1], diagonal - 1, bool), False, self)

    def diagonal(self, offset: int = 0) -> "Tensor":
        """A matrix's diagonal as a vector."""
        if self._array.ndim != 2:
            raise TensorError(f"diagonal() expects a matrix here, but self is {self._array.ndim}D")
        row = np.arange(max(0, -offset), min(self.shape[0], self.shape[1] - offset))
        return self[row, row + offset]

    def diag(self, diagonal: int = 0) -> "Tensor":
        """A matrix's diagonal, or a matrix with a vector on its diagonal."""
        if self._array.ndim == 2:
            return self.diagonal(diagonal)
        n = len(self) + abs(diagonal)
        row = np.arange(len(self)) + max(0, -diagonal)
        return self._apply("scatter", into=(n, n), index=(row, row + diagonal))


def _in_place(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> "Tensor":
        return self._become_view(name, *args, **kwargs)

    method.__name__, method.__qualname__ = f"{name}_", f"Shapes.{name}_"
    method.__doc__ = f"`{name}` in place; returns the tensor."
    return method


for _name in ("unsqueeze", "squeeze", "t", "transpose", "swapaxes"):
    setattr(Shapes, f"{_name}_", _in_place(_name))


def check_all_tensors(name: str, tensors: Iterable[Any]) -> list[Any]:
    """The tensors as a list; TypeError for anything else among them."""
    found = list(tensors)
    for i, x in enumerate(found):
        if not hasattr(x, "_array"):
            raise TypeError(f"expected Tensor as element {i} in argument 0 of {name}, but got {type(x).__name__}")
    if not found:
        raise TensorError(f"{name} expects a non-empty TensorList")
    return found
