"""What Python and NumPy ask of a tensor: as a number, as a sequence, as an array, in NumPy's functions, in copies.

Python 与 NumPy 的协议：数、序列、数组、NumPy 的函数、拷贝。
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.arrays import TensorError
from optimlab.operators import Base

if TYPE_CHECKING:
    from optimlab.tensor import Tensor


class Protocols(Base):
    """The methods of `Tensor` that Python and NumPy call."""

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The array itself, not a copy; with force that of a tensor with a history too."""
        if self.requires_grad and not force:
            raise TensorError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return np.asarray(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype, copy=copy)

    def item(self) -> Any:
        """The one element as a Python number."""
        if self._array.size != 1:
            raise TensorError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar; item() needs exactly one: "
                "index it or reduce it, or use .tolist()"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as Python numbers in nested lists."""
        return self._array.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "biu" or self._array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise TensorError(
                f"Boolean value of Tensor with {'no' if not self._array.size else 'more than one'} values is ambiguous "
                f"(it has {self._array.size}); compare one element, or use .all()/.any()"
            )
        return bool(self._array)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self._array.ndim == 0 else object.__format__(self, spec)

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor; it has one element, .item()")
        return len(self._array)

    def __iter__(self) -> Iterator["Tensor"]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor; it has one element, .item()")
        return iter([self._apply("getitem", index=i) for i in range(len(self._array))])

    def __reversed__(self) -> Any:
        return self.flip(0) if self._array.ndim else self

    def __contains__(self, element: Any) -> bool:
        return bool((self == element).any())

    # ---- copies

    _grad: Any

    def __deepcopy__(self, memo: dict) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment; "
                "copy .detach() instead"
            )
        new: Any = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__setstate__(self.__getstate__())
        new._array = self._array.copy()
        new._grad = None if self._grad is None else self._grad.__deepcopy__(memo)
        return new

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle or a copy keeps: neither history, nor hooks, nor the tensor that this one is a view of."""
        left = (
            "_version",
            "_node",
            "_grad",
            "_base",
            "_view",
            "_from",
            "_seen",
            "_hooks",
            "_post_hooks",
            "retains_grad",
        )
        return {key: value for key, value in self.__dict__.items() if key not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._begin(state["_array"])
        self.__dict__.update(state)

    # ---- NumPy's functions

    __array_priority__ = 1000  # in ``array + tensor`` the tensor decides

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions take tensors and record them, ``np.sqrt(t)``; those that have no row, or write, get arrays."""
        name = UFUNCS.get(ufunc)
        if name is None or method != "__call__" or kwargs:
            found = getattr(ufunc, method)(*arrays(inputs), **arrays(kwargs))
            return self._wrap(np.asarray(found)) if method == "__call__" and "out" not in kwargs else found
        a = inputs[0]
        if len(inputs) == 1:
            return self._apply(name)
        b = inputs[1]
        if name == "matmul":
            return a @ b if isinstance(a, Protocols) else b.__rmatmul__(a)
        return a._binary(name, b) if isinstance(a, Protocols) else b._binary(name, a, True)

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        """NumPy's functions that have a row of the table record; the others compute on the arrays."""
        recorded = FUNCTIONS.get(function)
        return recorded(*args, **kwargs) if recorded is not None else function(*arrays(args), **arrays(kwargs))


def arrays(value: Any) -> Any:
    """The value with arrays where it has tensors."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(arrays, value))
    if isinstance(value, dict):
        return {key: arrays(x) for key, x in value.items()}
    return np.asarray(value) if isinstance(value, Protocols) else value


UFUNCS = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div", np.power: "pow", np.matmul: "matmul",
    np.maximum: "maximum", np.minimum: "minimum", np.negative: "neg", np.absolute: "abs", np.sqrt: "sqrt",
    np.square: "square", np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p", np.log2: "log2",
    np.log10: "log10", np.tanh: "tanh", np.sin: "sin", np.cos: "cos", np.tan: "tan", np.arctan: "atan", np.sinh: "sinh",
    np.cosh: "cosh", np.arctan2: "atan2", np.sign: "sign", np.floor: "floor", np.ceil: "ceil", np.trunc: "trunc",
    np.reciprocal: "reciprocal", np.fmod: "fmod", np.remainder: "remainder", np.floor_divide: "floor_divide",
    np.isnan: "isnan", np.isinf: "isinf", np.isfinite: "isfinite", np.logical_not: "logical_not",
    np.logical_and: "logical_and", np.logical_or: "logical_or", np.bitwise_and: "bitwise_and",
    np.bitwise_or: "bitwise_or", np.bitwise_xor: "bitwise_xor", np.invert: "bitwise_not",
    np.equal: "eq", np.not_equal: "ne", np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge",
}  # fmt: skip


def _where(condition: Any, a: Any = None, b: Any = None) -> Any:
    if a is None:
        return np.nonzero(arrays(condition))
    tensor: Any = next(x for x in (a, b, condition) if isinstance(x, Protocols))
    return tensor._where(condition, a, b)


def _expand_dims(a: Any, axis: Any) -> Any:
    several = axis if isinstance(axis, tuple) else (axis,)
    new = {i % (a.ndim + len(several)) for i in several}
    lengths = iter(a.shape)
    return a.reshape(tuple(1 if i in new else next(lengths) for i in range(a.ndim + len(new))))


def _reduction(name: str) -> Any:
    def reduce(a: Any, axis: Any = None, **kwargs: Any) -> Any:
        return getattr(a, name)(axis=axis, keepdims=kwargs.get("keepdims", False))

    return reduce


FUNCTIONS: dict[Any, Any] = {
    np.where: _where,
    np.sum: _reduction("sum"),
    np.mean: _reduction("mean"),
    np.broadcast_to: lambda a, shape: a.expand(*shape),
    np.expand_dims: _expand_dims,
    np.squeeze: lambda a, axis=None: a.squeeze(axis),
    np.reshape: lambda a, shape: a.reshape(shape),
    np.ravel: lambda a: a.reshape(-1),
    np.swapaxes: lambda a, i, j: a.transpose(i, j),
    np.moveaxis: lambda a, i, j: a.movedim(i, j),
    np.transpose: lambda a, axes=None: a.T if axes is None else a.permute(*(int(i) for i in axes)),
    np.flip: lambda a, axis: a.flip(axis),
    np.cumsum: lambda a, axis: a.cumsum(axis),
    np.clip: lambda a, low, high: a.clamp(low, high),
    np.zeros_like: lambda a, **_: a._wrap(np.zeros_like(a._array)),
    np.ones_like: lambda a, **_: a._wrap(np.ones_like(a._array)),
    np.full_like: lambda a, value, **_: a._wrap(np.full_like(a._array, value)),
    np.copy: lambda a, **_: a.clone(),
}
