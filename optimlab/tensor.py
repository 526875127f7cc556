"""Tensor: an array that remembers how it was made, so that ``backward`` can send gradients back.

An operation looks up its row in ``functional.OPERATIONS``, computes the value and, if gradients are wanted, leaves a `Node`
behind; ``autograd.gradients`` walks the nodes.

张量：记得自己是怎样算出来的数组，因此能把梯度一路传回去。
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from optimlab.dtype import DTYPES, KINDS, Size, as_numpy, bool_, common, dtype, get_default_dtype, int64
from optimlab.functional import FLOAT_ONLY, OPERATIONS, VIEWS, TensorError
from optimlab.graph import Node, _mode, gradients, set_grad_enabled
from optimlab.operators import Operators, shape_of
from optimlab.printing import tensor_text
from optimlab.sparse import COO, SparseMethods


def _as_whole(value: Any) -> Any:
    """The value as an array, where it is but a NumPy scalar."""
    return value if isinstance(value, (np.ndarray, COO)) else np.asarray(value)


def apply(name: str, *operands: Any, **static: Any) -> "Tensor":
    """Run one operation of the table on tensors, arrays and numbers; record it where a gradient may be asked for."""
    arrays = [x._array if isinstance(x, Tensor) else x for x in operands]
    with np.errstate(all="ignore"):  # log(0) is -inf and no warning, as in torch
        value = OPERATIONS[name][0](*arrays, **static)
    result = Tensor._wrap(_as_whole(value))
    if name in VIEWS:
        result._version = operands[0]._version
    if _mode.recording and result._array.dtype.kind == "f":
        edges = [x._edge() if isinstance(x, Tensor) else None for x in operands]
        if any(edge is not None for edge in edges):
            result._node = Node(name, operands, arrays, edges, result, static)
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


class Tensor(SparseMethods, Operators):
    """An array of one dtype that can take part in ``backward``. 能参与反向传播的数组。

    data: numbers or bools, nested in lists, or a NumPy array; copied. dtype: one of ours or NumPy's; by default the data's
    own, and the default dtype for Python floats. requires_grad: True for a leaf whose ``grad`` ``backward`` fills; floats only.
    """

    __array_priority__ = 1000  # in ``ndarray + tensor`` the tensor decides

    _node: Node | None
    _grad: "Tensor | None"
    _version: list[int]

    def __init__(self, data: Any, *, dtype: Any = None, requires_grad: bool = False) -> None:
        self._begin(_as_array(data, dtype))
        self.requires_grad = requires_grad

    def _begin(self, array: np.ndarray) -> None:
        """A leaf that shares ``array``'s memory."""
        self._array, self._node, self._grad, self._requires_grad = array, None, None, False
        self._version = [0]  # counts changes in place; tensors that share memory share the list

    @classmethod
    def _wrap(cls, array: Any, node: Node | None = None) -> "Tensor":
        """A plain tensor that shares ``array``'s memory, made by ``node``."""
        self = Tensor.__new__(Tensor)
        self._begin(array)
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

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of axis ``dim``."""
        return self.shape if dim is None else self._array.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self._array.dtype.kind == "f"

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | None:
        """The operation that made it; None for a leaf."""
        return self._node

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow here. Can be set on leaves of floats."""
        return self._node is not None or self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if not isinstance(wanted, bool):
            raise TypeError(f"Invalid requires_grad: {wanted!r}; requires_grad must be True or False")
        if wanted and not self.is_floating_point():
            raise TensorError(
                f"only Tensors of floating point dtype can require gradients; this one is {self.dtype}: "
                "make it of floats, as in tensor([1.0]), or call .float()"
            )
        if self._node is not None and not wanted:
            raise TensorError(
                "you can only change requires_grad flags of leaf variables; "
                "call .detach() to go on with the value and without its history"
            )
        self._requires_grad = wanted and self._node is None

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Set ``requires_grad``; returns the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> "Tensor | None":
        """The gradients that ``backward`` has summed up here, or None. Can be set."""
        return self._grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"Invalid grad: {value!r:.60}; grad must be a Tensor or None, not {type(value).__name__}")
        if value is self:
            raise TensorError("can't assign Variable as its own grad; assign p.detach() to use the numbers")
        if value is not None and (value.shape != self.shape or value.dtype is not self.dtype):
            raise TensorError(
                f"assigned grad has data of a different size or type: {shape_of(value)} {value.dtype}; "
                f"grad must be like its tensor, {shape_of(self)} {self.dtype}"
            )
        self._grad = value

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
        if self._node is not None:
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
        floats = self if name not in FLOAT_ONLY or self.is_floating_point() else self.to(get_default_dtype())
        return apply(name, floats, *others, **static)

    def _binary(self, name: str, other: Any, reflected: bool = False) -> Any:
        """An element-wise operation with a tensor, an array or a number, in one dtype; NotImplemented for anything else."""
        other = _operand(other)
        if other is NotImplemented:
            return NotImplemented
        a, b = (other, self) if reflected else (self, other)
        if isinstance(other, Tensor):
            a, b = as_one_dtype(a, b)
        if isinstance(other, float) or name in FLOAT_ONLY:
            a, b = (
                x.to(get_default_dtype()) if isinstance(x, Tensor) and not x.is_floating_point() else x for x in (a, b)
            )
        try:
            return apply(name, a, b)
        except ValueError as error:
            if "broadcast" not in str(error):
                raise TensorError(f"{error}; convert the tensor by .float()") from None
            raise TensorError(
                f"The size of tensor a {shape_of(a)} must match the size of tensor b {shape_of(b)} in {name!r}: "
                "counted from the last, each two axes must be equal or one of them 1; reshape one of the tensors"
            ) from None

    @staticmethod
    def _where(condition: Any, a: Any, b: Any) -> "Tensor":
        """a where the condition holds, b elsewhere, in the dtype that torch would choose."""
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            a, b = as_one_dtype(a, b)
        return apply("where", condition, a, b)

    def _become(self, new: "Tensor") -> "Tensor":
        """Take over the value of ``new``, which was computed from self: what the in-place methods do.

        Without history the numbers are written into self's own memory. With history the memory stays as it is, because
        the record may still need the old numbers.
        """
        if _mode.recording and self.is_leaf and self.requires_grad:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation; "
                "change it inside `with no_grad():`, or through an optimizer"
            )
        if new.shape != self.shape:
            raise TensorError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(new.shape)}; "
                "an in-place operation cannot change a tensor's shape"
            )
        if new.is_floating_point() and not self.is_floating_point():
            raise TensorError(
                f"result type {new.dtype} can't be cast to the desired output type {self.dtype}; use x = x + y"
            )
        if new._node is None:
            np.copyto(self._array, new._array, casting="unsafe")
            self._version[0] += 1
        else:
            new = new.to(self.dtype)
            self._array, self._node, self._version = new._array, new._node, new._version
        return self

    # ---- backward

    def _edge(self) -> "Node | Tensor | None":
        """Where a gradient for this tensor goes: to the operation that made it, or to the leaf itself."""
        return self._node if self._node is not None else (self if self._requires_grad else None)

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add d(self)/d(leaf) to the ``grad`` of every leaf this tensor was computed from. 把梯度累加到每个叶子的 ``grad``。

        gradient: a weight for each element, of the tensor's shape; a one-element tensor can do without. retain_graph: keep
        what was recorded, so that backward can run again; by default as create_graph. create_graph: record backward itself,
        so that gradients can be differentiated. inputs: the tensors whose ``grad`` to add to, in place of all leaves.
        Raises RuntimeError where nothing was recorded, or its record was freed; TensorError where gradient does not fit.
        """
        accumulate([self], [gradient], retain_graph, create_graph, inputs)

    def detach(self) -> "Tensor":
        """The same memory, without history."""
        alias = Tensor._wrap(self._array)
        alias._version = self._version
        return alias

    def clone(self) -> "Tensor":
        """A copy; gradients flow through it."""
        return apply("clone", self)

    # ---- out of the tensor

    def numpy(self) -> np.ndarray:
        """The array itself, not a copy."""
        if self.requires_grad:
            raise TensorError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return np.asarray(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype, copy=copy)

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.numel() != 1:
            raise TensorError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar; item() needs exactly one: "
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
        if self._array.dtype.kind not in "bi":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise TensorError(
                f"Boolean value of Tensor with {self.numel()} values is ambiguous; compare one element, or use .all()/.any()"
            )
        return bool(self._array)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else object.__format__(self, spec)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor; it has one element, .item()")
        return len(self._array)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    __hash__ = object.__hash__  # a tensor is a key by what it is, not by what it holds

    def __deepcopy__(self, memo: dict) -> "Tensor":
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment; "
                "copy .detach() instead"
            )
        new = memo[id(self)] = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__, _array=self._array.copy(), _version=[0])
        new._grad = None if self._grad is None else self._grad.__deepcopy__({})
        return new


def _seed(output: Tensor, gradient: Tensor | None, create_graph: bool) -> tuple[Any, Any]:
    """Where backward begins, and the gradient it begins with: an array, or a tensor if its history is wanted."""
    edge = output._edge()
    if edge is None:
        raise RuntimeError(
            "element 0 of tensors does not require grad and does not have a grad_fn; "
            "set requires_grad=True on a leaf before computing from it"
        )
    if gradient is None and output.numel() != 1:
        raise TensorError(
            f"grad can be implicitly created only for scalar outputs; this tensor has shape {shape_of(output)}: "
            "reduce it by .sum() or .mean(), or pass gradient="
        )
    if gradient is not None and not isinstance(gradient, Tensor):
        raise TypeError(f"gradient must be a Tensor or None, not {type(gradient).__name__}")
    if gradient is not None and gradient.shape != output.shape:
        raise TensorError(
            f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has a shape of {output.shape}; "
            "a gradient must be shaped as its tensor"
        )
    if gradient is None:
        gradient = Tensor._wrap(np.ones_like(output._array))
    return edge, gradient.to(output.dtype) if create_graph else gradient._array.astype(output._array.dtype, copy=False)


def differentiate(
    outputs: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    wanted: Sequence[Any] | None,
) -> dict[int, tuple[Any, Any, bool]]:
    """The gradients of ``outputs``, as `graph.gradients` gives them."""
    seeds = [_seed(output, g, create_graph) for output, g in zip(outputs, grad_outputs, strict=True)]
    with set_grad_enabled(create_graph), np.errstate(all="ignore"):
        return gradients(seeds, wanted, create_graph if retain_graph is None else retain_graph)


def accumulate(
    outputs: Sequence[Tensor],
    grad_outputs: Sequence[Tensor | None],
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``outputs`` to the ``grad`` of the leaves, or of the tensors ``inputs``."""
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise TensorError(
                "`inputs` argument to `backward()` cannot be empty; pass the tensors whose grad is wanted"
            )
    edges = None if inputs is None else [x._edge() for x in inputs]
    found = differentiate(outputs, grad_outputs, retain_graph, create_graph, edges)
    if inputs is None:
        arrived = list(found.values())
    else:
        arrived = [(x, *found[id(edge)][1:]) for x, edge in zip(inputs, edges or (), strict=True) if id(edge) in found]
    for leaf, g, _ in arrived:
        if leaf._grad is not None and leaf._grad.shape != g.shape:
            raise TensorError(f"a leaf's grad is {shape_of(leaf._grad)}, its data {tuple(g.shape)}; set grad to None")
    for leaf, g, shared in arrived:
        old = leaf._grad
        if isinstance(g, Tensor):
            leaf._grad = g.clone() if old is None else old + g
        elif old is None:
            leaf._grad = Tensor._wrap(g.copy() if shared else _as_whole(g))
        elif old.requires_grad:
            leaf._grad = old.detach() + Tensor._wrap(g)
        else:
            old._array += g
            old._version[0] += 1
