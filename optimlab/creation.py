"""Making tensors, and the functions of tensors under torch's names.

创建张量。
"""

from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.dtype import as_numpy, int64
from optimlab.functional import TensorError
from optimlab.random import default_generator
from optimlab.sparse import checked_coo
from optimlab.tensor import Tensor

_LENGTH = Number(low=0, whole=True)


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of ``data``: numbers or bools, in nested lists or an array. 由数据新建张量。

    dtype: by default that of an array, and the default dtype (float32) for Python floats.
    Raises TypeError for what is not numbers, ValueError for rows of different lengths.
    """
    return Tensor(data, dtype=dtype, requires_grad=requires_grad)


def _shape(size: tuple) -> tuple[int, ...]:
    """The shape from ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    return tuple(int(_LENGTH("size", n)) for n in size)


def _floats(dtype: Any) -> np.dtype:
    found = as_numpy(dtype)
    if found.kind != "f":
        raise TensorError(f"random numbers are floats; dtype must be float32 or float64, not {found}")
    return found


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros of the given size. 全零张量。"""
    return Tensor(np.zeros(_shape(size), as_numpy(dtype)), requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones of the given size. 全一张量。"""
    return Tensor(np.ones(_shape(size), as_numpy(dtype)), requires_grad=requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of the given size with every element ``fill_value``. 每个元素都相同的张量。"""
    value = Tensor(fill_value, dtype=dtype)._array
    return Tensor(np.full(_shape((size,)), value), requires_grad=requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and dtype of ``input``. 形状相同的全零张量。"""
    return zeros(tuple(input.shape), dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and dtype of ``input``. 形状相同的全一张量。"""
    return ones(tuple(input.shape), dtype=dtype or input.dtype, requires_grad=requires_grad)


def randn(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers, torch's own for the same seed. 标准正态随机数；种子相同，则与 torch 相同。

    In float32 from 16 elements on, torch's vectorised logarithm and sine differ from NumPy's by up to 3 ulp.
    """
    return Tensor(default_generator.normal(_shape(size), _floats(dtype)), requires_grad=requires_grad)


def rand(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1), torch's own for the same seed. [0, 1) 上的均匀随机数。"""
    return Tensor(default_generator.uniform(_shape(size), _floats(dtype)), requires_grad=requires_grad)


def randperm(n: int) -> Tensor:
    """The integers 0 … n-1 in random order. 0 到 n-1 的随机排列。"""
    return Tensor(default_generator.permutation(int(_LENGTH("n", n))))


def arange(*bounds: float, dtype: Any = None) -> Tensor:
    """Numbers from start (0) up to, not including, end, by step (1): ``arange(end)``, ``arange(start, end, step)``. 等差数列。"""
    whole = all(isinstance(b, int) for b in bounds)
    return Tensor(np.arange(*bounds), dtype=dtype or (int64 if whole else as_numpy(None)))


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory. 与数组共享内存的张量。"""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__}); for lists use tensor()")
    Tensor(ndarray[:0] if ndarray.ndim else ndarray)  # refuses a dtype that we do not have
    return Tensor._wrap(ndarray)


def sparse_coo_tensor(
    indices: Any, values: Any, size: Any = None, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zero everywhere but for ``values[k]`` at the place ``indices[:, k]``; what is named twice adds up. 坐标格式的稀疏张量。

    indices: (sparse_dim, nnz) of integers. values: (nnz, ...), one row a place. size: by default just large enough.
    Raises TensorError where they do not fit together.
    """
    rows = checked_coo(
        Tensor(indices)._array, Tensor(values, dtype=dtype)._array, None if size is None else _shape((size,))
    )
    return Tensor._wrap(rows).requires_grad_(requires_grad)


abs, sqrt, square, exp, log, sin, cos, tanh, relu = (
    Tensor.abs, Tensor.sqrt, Tensor.square, Tensor.exp, Tensor.log, Tensor.sin, Tensor.cos,
    Tensor.tanh, Tensor.relu,
)  # fmt: skip
pow, maximum, minimum, sum, mean, argmax = (
    Tensor.pow, Tensor.maximum, Tensor.minimum, Tensor.sum, Tensor.mean, Tensor.argmax,
)  # fmt: skip
matmul, reshape, flatten, transpose = Tensor.matmul, Tensor.reshape, Tensor.flatten, Tensor.transpose
