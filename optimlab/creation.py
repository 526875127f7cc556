"""Making tensors under torch's names: from data, filled with a number, in steps, at random.

创建张量。
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optimlab.arrays import TensorError
from optimlab.checks import Number
from optimlab.dtype import as_numpy, check_device, float16, float32, float64, int8, int16, int32, int64, uint8
from optimlab.dtype import bool_ as bool_dtype
from optimlab.random import Generator
from optimlab.sampling import source
from optimlab.sparse import checked_coo
from optimlab.tensor import Tensor, _as_array

_LENGTH = Number(low=0, whole=True)


def _made(array: Any, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor of an array that nobody else holds."""
    check_device(device)
    found = Tensor._wrap(array)
    if requires_grad is not False:
        found.requires_grad = requires_grad
    return found


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of ``data``: numbers or bools, in nested lists or an array. 由数据新建张量。

    dtype: by default that of an array, and the default dtype (float32) for Python floats.
    Raises TypeError for what is not numbers, ValueError for rows of different lengths.
    """
    return _made(_as_array(data, dtype), requires_grad, device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor: itself or its memory where it is one or an array, else a copy. 转换成张量，尽量共享内存。"""
    check_device(device)
    if isinstance(data, np.ndarray):
        data = from_numpy(data)
    return data.to(dtype=dtype) if isinstance(data, Tensor) else tensor(data, dtype=dtype)


asarray = as_tensor


def _shape(size: tuple) -> tuple[int, ...]:
    """The shape from ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    if any(type(n) is int and n < 0 for n in size):
        raise TensorError(
            f"Trying to create tensor with negative dimension {min(size)}: {list(size)}; size: {min(size)} must be >= 0"
        )
    return tuple([n if type(n) is int else int(_LENGTH("size", n)) for n in size])


def floats(dtype: Any) -> np.dtype:
    """A float dtype, by default the default one."""
    found = as_numpy(dtype)
    if found.kind != "f":
        raise TensorError(f"random numbers are floats; dtype must be float32 or float64, not {found}")
    return found


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros of the given size. 全零张量。"""
    return _made(np.zeros(_shape(size), as_numpy(dtype)), requires_grad, device)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones of the given size. 全一张量。"""
    return _made(np.ones(_shape(size), as_numpy(dtype)), requires_grad, device)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled; its numbers are zeros, so that every run is the same. 待填充的张量。"""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of the given size with every element ``fill_value``. 每个元素都相同的张量。"""
    return _made(np.full(_shape((size,)), _as_array(fill_value, dtype)), requires_grad, device)


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A matrix, n by m (n), of ones on the diagonal and zeros elsewhere; ``out`` takes it, if given. 单位矩阵。"""
    rows, columns = int(_LENGTH("n", n)), None if m is None else int(_LENGTH("m", m))
    made = _made(np.eye(rows, columns, dtype=as_numpy(dtype)), requires_grad, device)
    return made if out is None else out._become(made)


def zeros_like(input: Tensor, *, dtype: Any = None, memory_format: Any = None, **options: Any) -> Tensor:
    """Zeros in the shape and dtype of ``input``; options as in `zeros`. 形状相同的全零张量。"""
    if input.is_sparse:
        return Tensor._wrap(np.zeros_like(input._array))
    return zeros(input._array.shape, dtype=dtype or input.dtype, **options)


def ones_like(input: Tensor, *, dtype: Any = None, memory_format: Any = None, **options: Any) -> Tensor:
    """Ones in the shape and dtype of ``input``; options as in `ones`. 形状相同的全一张量。"""
    return ones(input._array.shape, dtype=dtype or input.dtype, **options)


empty_like = zeros_like


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, memory_format: Any = None, **options: Any
) -> Tensor:
    """``fill_value`` in the shape and dtype of ``input``; options as in `full`. 形状相同、每个元素都相同的张量。"""
    return full(input._array.shape, fill_value, dtype=dtype or input.dtype, **options)


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from start (0) up to, not including, end, by step (1): ``arange(end)``, ``arange(start, end, step)``. 等差数列。"""
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step))
    if not step:
        raise TensorError("step must be nonzero")
    if (end - start) / step < 0:
        raise TensorError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(x, int) for x in (start, end, step))
    wanted = np.dtype(np.int64) if dtype is None and whole else as_numpy(dtype)
    steps = np.arange(math.ceil((end - start) / step), dtype=np.int64 if whole else np.float64)
    return _made((start + steps * step).astype(wanted), requires_grad, device)  # each rounded once, as in torch


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``steps`` numbers at equal distances from start to end, both included. 等间隔的数。"""
    n, wanted = int(_LENGTH("steps", steps)), as_numpy(dtype)
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    kind = wanted.type if wanted.kind == "f" else np.float64
    step = kind((kind(end) - kind(start)) / kind(max(n - 1, 1)))
    i = np.arange(n)
    near = kind(start) + step * i.astype(kind)  # counted from the nearer end, as torch does
    far = kind(end) - step * (n - 1 - i).astype(kind)
    return _made(
        np.where(i < n // 2, near, far).astype(wanted) if n > 1 else near.astype(wanted), requires_grad, device
    )


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, **options: Any) -> Tensor:
    """``base`` to the powers that `linspace` gives. 等比间隔的数。"""
    powers = linspace(start, end, steps, dtype=float64)._array
    return _made((float(base) ** powers).astype(as_numpy(dtype)), **options)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory. 与数组共享内存的张量。"""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__}); for lists use tensor()")
    as_numpy(ndarray.dtype)  # refuses a dtype that we do not have
    return Tensor._wrap(ndarray)


def sparse_coo_tensor(
    indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Tensor:
    """A tensor that is zero but for ``values[k]`` at ``indices[:, k]``. 由坐标与数值新建稀疏张量。

    indices: (sparse_dim, nnz) of integers. values: (nnz, ...). size: by default the smallest that holds them.
    check_invariants: accepted for torch's sake; what is given is always checked.
    """
    places = tensor(indices)._array
    array = tensor(values, dtype=dtype)._array
    return _made(checked_coo(places, array, None if size is None else _shape((size,))), requires_grad)


# ---- at random: torch's own numbers for the same seed


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers, torch's own for the same seed. 标准正态随机数；种子相同，则与 torch 相同。"""
    return _made(source(generator).normal(_shape(size), floats(dtype)), requires_grad, device)


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1), torch's own for the same seed. [0, 1) 上的均匀随机数。"""
    return _made(source(generator).uniform(_shape(size), floats(dtype)), requires_grad, device)


def randint(
    *bounds: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    low: int | None = None,
    high: int | None = None,
    size: Sequence[int] | None = None,
) -> Tensor:
    """Random integers in [low, high): ``randint(high, size)`` or ``randint(low, high, size)``. 均匀的随机整数。"""
    given = list(bounds)
    if size is None:
        size = given.pop()
    if high is None:
        high = given.pop()
    if low is None:
        low = given.pop() if given else 0
    if low >= high:
        raise TensorError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    values = source(generator).integers(_shape((size,)), int(low), int(high))
    return _made(values.astype(as_numpy(int64 if dtype is None else dtype)), requires_grad, device)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers 0 … n-1 in random order. 0 到 n-1 的随机排列。"""
    order = source(generator).permutation(int(_LENGTH("n", n)))
    return _made(order.astype(as_numpy(int64 if dtype is None else dtype), copy=False), device=device)


def normal(mean: Any, std: Any, size: Any = None, *, generator: Generator | None = None, dtype: Any = None) -> Tensor:
    """Normal numbers of the given mean and standard deviation: numbers with ``size``, or tensors. 正态随机数。"""
    if size is not None:
        return zeros(size, dtype=dtype).normal_(mean, std, generator=generator)
    like = mean if isinstance(mean, Tensor) else std
    shape = np.broadcast_shapes(*(x._array.shape for x in (mean, std) if isinstance(x, Tensor)))
    return zeros(shape, dtype=dtype or like.dtype).normal_(0.0, 1.0, generator=generator) * std + mean


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """0 or 1, each element 1 with the probability that ``input`` gives. 按给定概率取 0 或 1。"""
    return zeros_like(input).bernoulli_(input.detach(), generator=generator)


def rand_like(input: Tensor, *, dtype: Any = None, memory_format: Any = None, **options: Any) -> Tensor:
    """Uniform numbers in [0, 1) in the shape and dtype of ``input``; options as in `rand`. 形状相同的均匀随机数。"""
    return rand(input._array.shape, dtype=dtype or input.dtype, **options)


def randn_like(input: Tensor, *, dtype: Any = None, memory_format: Any = None, **options: Any) -> Tensor:
    """Standard normal numbers in the shape and dtype of ``input``; options as in `randn`. 形状相同的正态随机数。"""
    return randn(input._array.shape, dtype=dtype or input.dtype, **options)


def randint_like(input: Tensor, *bounds: Any, dtype: Any = None, memory_format: Any = None, **options: Any) -> Tensor:
    """Random integers in [low, high) in the shape and dtype of ``input``; the rest as in `randint`. 形状相同的随机整数。"""
    return randint(*bounds, size=input._array.shape, dtype=dtype or input.dtype, **options)


def _typed(name: str, dtype: Any) -> Any:
    def make(*data: Any) -> Tensor:
        return Tensor(*data, dtype=dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A tensor of {dtype}: ``{name}([1, 2])``, or of lengths, ``{name}(2, 3)``. 指定类型的张量。"
    return make


FloatTensor, DoubleTensor, HalfTensor = (
    _typed(f"{n}Tensor", d) for n, d in (("Float", float32), ("Double", float64), ("Half", float16))
)
LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor = (
    _typed(f"{n}Tensor", d)
    for n, d in zip(
        ("Long", "Int", "Short", "Char", "Byte", "Bool"), (int64, int32, int16, int8, uint8, bool_dtype), strict=True
    )
)
