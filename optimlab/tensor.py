"""Tensor: an array that remembers how it was made, so that ``backward`` can send gradients back.

An operation looks up its row in ``functional.OPERATIONS``, computes the value and, if gradients are wanted, leaves a `Node`
behind; ``graph.gradients`` walks the nodes.

张量：记得自己是怎样算出来的数组，因此能把梯度一路传回去。
"""

from typing import Any

import numpy as np

from optimlab.conversions import Conversions
from optimlab.dtype import CPU, DTYPES, KINDS, Size, as_numpy, bool_, common, dtype, get_default_dtype, int64
from optimlab.functional import FLOAT_ONLY, OPERATIONS, VIEWS, TensorError
from optimlab.graph import Node, _mode, quiet
from optimlab.history import History
from optimlab.operators import Operators, shape_of
from optimlab.printing import tensor_text
from optimlab.protocols import Protocols
from optimlab.random import Generator
from optimlab.reductions import Reductions
from optimlab.sampling import Sampling
from optimlab.shapes import Shapes, sizes
from optimlab.sparse import COO, SparseMethods


def apply(name: str, *operands: Any, **static: Any) -> "Tensor":
    """Run one operation of the table on tensors, arrays and numbers; record it where a gradient may be asked for."""
    arrays = [x._array if isinstance(x, Tensor) else x for x in operands]
    row = OPERATIONS[name]
    array = quiet(row[0], *arrays, **static)
    if type(array) is not np.ndarray and not isinstance(array, COO):
        array = np.asarray(array)
    result = Tensor.__new__(Tensor)
    result._array = array
    if name in VIEWS and np.may_share_memory(array, arrays[0]) and isinstance(operands[0], Tensor):
        result._show(operands[0], name, static)
    else:
        result._version = [0, 0]
    if _mode.recording and len(row) > 1 and array.dtype.kind == "f":
        edges = [x._edge() if isinstance(x, Tensor) else None for x in operands]
        for edge in edges:
            if edge is not None:
                result._node = Node(name, operands, arrays, edges, result, static)
                break
    return result


def _operand(x: Any) -> Any:
    """A tensor or a Python number that may stand beside an operator; NotImplemented for anything else."""
    if isinstance(x, np.generic) and x.dtype.kind in KINDS:
        return x.item()  # a NumPy scalar would turn float32 into float64
    if isinstance(x, (Tensor, bool, int, float)):
        return x
    if isinstance(x, np.ndarray) and x.dtype in DTYPES:
        return Tensor._wrap(x)
    return NotImplemented


def _as_array(data: Any, dtype: Any = None) -> np.ndarray:
    """A new array of one of our dtypes: Python floats in the default one, NumPy's arrays in their own."""
    if isinstance(data, Tensor):
        data = data._array
    try:
        array = np.array(data)
    except ValueError:
        raise TensorError("data is ragged: all rows of a tensor must have the same length") from None
    if dtype is None and array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        dtype = get_default_dtype()
    if array.size == 0 and dtype is None and not isinstance(data, np.ndarray):
        dtype = get_default_dtype()
    if array.dtype.kind not in KINDS:
        raise TypeError(f"data must be numbers or bools, in nested lists or an array, not {array.dtype} {data!r:.60}")
    if dtype is None and array.dtype not in DTYPES:
        raise TypeError(f"dtype {array.dtype} is not supported; convert the data, or pass dtype=")
    with np.errstate(all="ignore"):  # 1e40 is inf in float32
        return array if dtype is None else array.astype(as_numpy(dtype), copy=False)


def as_one_dtype(a: "Tensor", b: "Tensor") -> tuple["Tensor", "Tensor"]:
    """Two tensors in the dtype that torch would compute in."""
    if a._array.dtype == b._array.dtype:
        return a, b
    wanted = DTYPES[common(a._array, b._array)]
    return a.to(wanted), b.to(wanted)


class Tensor(History, SparseMethods, Operators, Reductions, Shapes, Conversions, Sampling, Protocols):
    """An array of one dtype that can take part in ``backward``. 能参与反向传播的数组。

    data: numbers or bools, nested in lists, or an array, copied to the default dtype (`tensor` keeps the data's own); or
    lengths, ``Tensor(2, 3)``, for zeros. requires_grad: True for a leaf whose ``grad`` ``backward`` fills; floats only.
    """

    def __init__(self, *data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        if not data or type(data[0]) is int or isinstance(data[0], Size):
            self._begin(np.zeros(sizes(data) if data else 0, as_numpy(dtype)))
        elif len(data) > 1:
            raise TypeError(f"Tensor() takes lengths or one value, not {len(data)}: write tensor([...]) around numbers")
        else:
            self._begin(_as_array(data[0], get_default_dtype() if dtype is None else dtype))
        self.requires_grad = requires_grad

    def new(self, *data: Any) -> "Tensor":
        """A new tensor of this one's dtype, from data or from lengths as `Tensor` takes them."""
        return Tensor(*data, dtype=self.dtype)

    def _begin(self, array: np.ndarray) -> None:
        """A leaf that shares ``array``'s memory."""
        self._array = array
        self._version = [0, 0]

    @staticmethod
    def _wrap(array: Any, node: Node | None = None) -> "Tensor":
        """A plain tensor that shares ``array``'s memory, made by ``node``."""
        self = Tensor.__new__(Tensor)
        self._array = array
        self._version = [0, 0]
        self._node = node
        return self

    _record = staticmethod(apply)

    # ---- what it is

    @property
    def dtype(self) -> dtype:
        """The data type, such as ``float32``."""
        return DTYPES[self._array.dtype]

    @property
    def shape(self) -> Size:
        """The length of each axis."""
        return Size(self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    def dim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of axis ``dim``."""
        return self.shape if dim is None else self._array.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart neighbours along each axis lie in memory."""
        steps = tuple(n // self._array.itemsize for n in self._array.strides)
        return steps if dim is None else steps[dim]

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._array.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._array.ctypes.data

    def share_memory_(self) -> "Tensor":
        """The tensor itself: nothing is to be done for threads."""
        return self

    device, is_cuda, is_complex = CPU, False, staticmethod(lambda: False)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._array.nbytes

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self._array.dtype.kind == "f"

    @property
    def data(self) -> "Tensor":
        """The same memory, without history. Assigning a tensor replaces the numbers."""
        return Tensor._wrap(self._array)

    @data.setter
    def data(self, value: "Tensor") -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Invalid data: {value!r:.60}; data must be a Tensor, not {type(value).__name__}")
        if self.requires_grad and not value.is_floating_point():
            raise TensorError(f"data must be floats where requires_grad is set, not {value.dtype}")
        self._array = value._array

    def __repr__(self) -> str:
        return self._text("tensor")

    def _text(self, prefix: str) -> str:
        history = ["requires_grad=True"] if self._requires_grad else []
        if self.grad_fn is not None:
            history = [f"grad_fn={self._node}"]
        if self.is_sparse:
            return self._sparse_text(prefix, history)
        suffixes = [f"size={shape_of(self)}"] if self.numel() == 0 and self.ndim != 1 else []
        familiar = (get_default_dtype(),) if self.numel() == 0 else (get_default_dtype(), int64, bool_)
        if self.dtype not in familiar:
            suffixes.append(f"dtype={self.dtype}")
        return tensor_text(self._array, prefix, suffixes + history)

    # ---- operations

    def _apply(self, name: str, *others: Any, **static: Any) -> "Tensor":
        if name in FLOAT_ONLY and self._array.dtype.kind != "f":
            return apply(name, self.to(get_default_dtype()), *others, **static)
        return apply(name, self, *others, **static)

    def _binary(self, name: str, other: Any, reflected: bool = False) -> Any:
        """An element-wise operation with a tensor, an array or a number, in one dtype; NotImplemented for anything else."""
        a, b = self, other
        kind = type(other)
        if (kind is not float and kind is not int) or self._array.dtype.kind != "f":
            a, b = self._operands(name, other)
            if b is NotImplemented:
                return b
        try:
            return apply(name, b, a) if reflected else apply(name, a, b)
        except (TypeError, ValueError) as error:
            if "broadcast" not in str(error):
                raise TensorError(f"{error}; convert the tensor by .float()") from None
            raise TensorError(
                f"The size of tensor a {shape_of(a)} must match the size of tensor b {shape_of(b)} in {name!r}: "
                "counted from the last, each two axes must be equal or one of them 1; reshape one of the tensors"
            ) from None

    def _operands(self, name: str, other: Any) -> tuple[Any, Any]:
        """Both operands in the dtype that torch computes in; NotImplemented for an ``other`` that is neither of them."""
        if isinstance(other, Tensor):
            a, b = as_one_dtype(self, other)
        else:
            b = _operand(other)
            if b is NotImplemented:
                return self, b
            a, b = as_one_dtype(self, b) if isinstance(b, Tensor) else (self, b)
        if a._array.dtype.kind != "f" and (isinstance(b, float) or name in FLOAT_ONLY):
            default = get_default_dtype()
            a, b = a.to(default), b.to(default) if isinstance(b, Tensor) else b
        return a, b

    @staticmethod
    def _where(condition: Any, a: Any, b: Any) -> "Tensor":
        """a where the condition holds, b elsewhere, in the dtype that torch would choose."""
        kind = getattr(condition, "dtype", bool_)
        if kind not in (bool_, np.bool_):
            raise TensorError(
                f"where expected condition to be a boolean tensor, but got a tensor with dtype {kind}; compare it, as in x > 0"
            )
        a, b = (_operand(x) for x in (a, b))
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            a, b = as_one_dtype(a, b)
        elif isinstance(a, Tensor) or isinstance(b, Tensor):
            number = b if isinstance(a, Tensor) else a
            if isinstance(number, float):
                a, b = (
                    x.to(get_default_dtype()) if isinstance(x, Tensor) and x._array.dtype.kind != "f" else x
                    for x in (a, b)
                )
        else:
            a, b = as_one_dtype(*(Tensor._wrap(_as_array(x)) for x in (a, b)))
        return apply("where", condition, a, b)


Generator._tensor = staticmethod(Tensor._wrap)
