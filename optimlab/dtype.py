"""Data types and sizes under torch's names, and the default dtype. 数据类型与形状。"""

import math
from typing import Any

import numpy as np


class dtype:
    """A data type; ``dtype.numpy`` is NumPy's name for it. Printed as torch prints it.

    数据类型，打印方式与 torch 相同。
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.is_floating_point = self.numpy.kind == "f"

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name  # copies and pickles are the same object


float32, float64 = dtype("float32"), dtype("float64")
int64, int32, uint8, bool_ = dtype("int64"), dtype("int32"), dtype("uint8"), dtype("bool")
DTYPES = {d.numpy: d for d in (float32, float64, int64, int32, uint8, bool_)}

_default = float32


def as_numpy(wanted: Any) -> np.dtype:
    """NumPy's dtype for ours, for NumPy's own, for ``float`` and for None (the default dtype)."""
    if wanted is None:
        return _default.numpy
    try:
        found = wanted.numpy if isinstance(wanted, dtype) else np.dtype(wanted)
    except TypeError:
        found = None
    if found not in DTYPES:
        names = ", ".join(d.name for d in DTYPES.values())
        raise TypeError(f"Invalid dtype: {wanted!r}; dtype must be one of {names}")
    return found


def get_default_dtype() -> dtype:
    """The dtype of tensors made from Python floats; float32 at first. 默认的浮点类型。"""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Make ``d`` (float32 or float64) the dtype of tensors made from Python floats. 设置默认的浮点类型。"""
    global _default
    found = DTYPES[as_numpy(d)]
    if d is None or not found.is_floating_point:
        raise TypeError(
            f"only floating-point types are supported as the default type; d must be float32 or float64, not {d}"
        )
    _default = found


KINDS = "biuf"  # bool < int < float: the higher kind decides


def common(a: np.ndarray, b: np.ndarray) -> np.dtype:
    """torch's rule for two dtypes: the higher kind wins; within one kind, an array wins over a 0-d one."""
    rank_a, rank_b = (KINDS.index(x.dtype.kind.replace("u", "i")) for x in (a, b))
    if rank_a != rank_b:
        return a.dtype if rank_a > rank_b else b.dtype
    if (a.ndim == 0) != (b.ndim == 0):
        return b.dtype if a.ndim == 0 else a.dtype
    return np.promote_types(a.dtype, b.dtype)


class Size(tuple):
    """A tensor's shape, printed as torch prints it. 张量的形状。"""

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Size(found) if isinstance(index, slice) else found

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self)
