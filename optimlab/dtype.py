"""Data types and sizes under torch's names, and the default dtype. 数据类型与形状。"""

import math
from typing import Any

import numpy as np

from optimlab.arrays import TensorError


class dtype:
    """A data type; ``dtype.numpy`` is NumPy's name for it. Printed as torch prints it.

    数据类型，打印方式与 torch 相同。
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.is_floating_point = self.numpy.kind == "f"
        self.is_signed = self.numpy.kind in "fi"
        self.is_complex = False
        self.itemsize = self.numpy.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name  # copies and pickles are the same object


float32, float64, float16 = dtype("float32"), dtype("float64"), dtype("float16")
int64, int32, int16, int8 = dtype("int64"), dtype("int32"), dtype("int16"), dtype("int8")
uint8, bool_ = dtype("uint8"), dtype("bool")
DTYPES = {d.numpy: d for d in (float32, float64, float16, int64, int32, int16, int8, uint8, bool_)}

# what torch's functions take as memory_format; arrays here are laid out as NumPy likes
contiguous_format, preserve_format = "torch.contiguous_format", "torch.preserve_format"

KINDS = "biuf"  # bool < int < float: the higher kind decides
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


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The dtype of a result of tensors of two dtypes. 两种类型的运算结果的类型。"""
    return DTYPES[common(np.empty(1, type1.numpy), np.empty(1, type2.numpy))]


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype of a result of two tensors or numbers. 运算结果的类型。"""
    arrays = [getattr(x, "_array", x) for x in (tensor1, tensor2)]
    kinds = [a.dtype.kind.replace("u", "i") if hasattr(a, "dtype") else np.min_scalar_type(a).kind for a in arrays]
    if all(hasattr(a, "dtype") for a in arrays):
        return DTYPES[common(*arrays)]
    of = {"b": bool_.numpy, "i": int64.numpy, "u": int64.numpy, "f": _default.numpy}
    return DTYPES[
        common(*(a if hasattr(a, "dtype") else np.empty((), of[k]) for a, k in zip(arrays, kinds, strict=True)))
    ]


class _Limits:
    """What NumPy knows of a dtype, in Python numbers."""

    def __init__(self, source: Any, *names: str) -> None:
        self.dtype = source.dtype.name
        for name in names:
            value = getattr(source, name)
            setattr(self, name, value.item() if hasattr(value, "item") else value)


def finfo(type: dtype | None = None) -> "_Limits":
    """The limits of a float dtype, by default the default one: eps, tiny, max, min. 浮点类型的界限。"""
    found = as_numpy(type)
    if found.kind != "f":
        raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{type}'")
    return _Limits(np.finfo(found), "eps", "max", "min", "tiny", "smallest_normal", "resolution", "bits")


def iinfo(type: dtype) -> "_Limits":
    """The limits of an integer dtype: max, min, bits. 整数类型的界限。"""
    found = as_numpy(type)
    if found.kind not in "iu":
        raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
    return _Limits(np.iinfo(found), "max", "min", "bits")


class device:
    """Where a tensor's numbers are: "cpu" is the one there is. 张量所在的设备。"""

    def __init__(self, type: Any, index: int | None = None) -> None:
        text = str(type) if isinstance(type, device) else type
        if not isinstance(text, str):
            raise TypeError(f"device must be a str such as 'cpu' or a device, not {type!r}")
        name, _, number = text.partition(":")
        if name not in ("cpu", "cuda", "mps", "xpu", "meta") or (number and not number.isdecimal()):
            raise TensorError(f"Invalid device string: '{type}'; write 'cpu'")
        self.type, self.index = name, int(number) if number else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'{'' if self.index is None else f', index={self.index}'})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))


CPU = device("cpu")


def check_device(place: Any) -> None:
    """Raise unless ``place`` is None or the CPU."""
    if place is not None and place is not CPU and (found := device(place)).type != "cpu":
        name = found.type.upper()
        raise AssertionError(f"Torch not compiled with {name} enabled: optimlab computes on the CPU; use device='cpu'")


def set_default_device(device: Any) -> None:
    """Nothing but the check of ``device``: "cpu" is the one there is. 默认设备只能是 CPU。"""
    check_device(device)


def get_default_device() -> device:
    """The CPU. 默认设备：CPU。"""
    return CPU


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

    def __add__(self, other: Any) -> Any:
        return Size(super().__add__(tuple(other)))

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self)
