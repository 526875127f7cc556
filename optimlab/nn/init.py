"""Starting values: each function fills a tensor in place, with torch's random numbers for the same seed, and returns it.

初始化：每个函数就地填充一个张量，随机数与 torch 相同。
"""

import math
import warnings
from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.functional import TensorError
from optimlab.operators import shape_of
from optimlab.random import Generator, default_generator
from optimlab.tensor import Tensor

_FINITE = Number("Invalid {name}: {value}")
_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "selu": 3 / 4}


def _floats(tensor: Any) -> Tensor:
    """``tensor`` if it is a tensor of floats; TypeError otherwise."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"tensor must be a Tensor of floats, not {kind}")
    return tensor


def _fill(tensor: Tensor, values: Any) -> Tensor:
    _floats(tensor)._array[...] = values
    tensor._version[0] += 1
    return tensor


def _normal(tensor: Tensor, mean: float, std: float, generator: Generator | None) -> np.ndarray:
    return (generator or default_generator).normal(_floats(tensor).shape, tensor._array.dtype, mean, std)


def _uniform(tensor: Tensor, low: float, high: float, generator: Generator | None) -> np.ndarray:
    return (generator or default_generator).uniform(_floats(tensor).shape, tensor._array.dtype, low, high)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much a layer must amplify so that its activation keeps the variance. 各激活函数的增益。

    nonlinearity: "linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu" (param is its slope, 0.01 by default), "selu".
    """
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, (int, float))):
            raise ValueError(f"negative_slope {param} not a valid number; param must be a number or None")
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        allowed = ", ".join([*_GAINS, "relu", "leaky_relu"])
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}; nonlinearity must be one of {allowed}")
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> dict[str, int]:
    """How many numbers one output is summed from, and how many outputs one input goes to."""
    if _floats(tensor).ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions; "
            f"this one has shape {shape_of(tensor)}"
        )
    out, into, *field = tensor.shape
    return {"fan_in": into * math.prod(field), "fan_out": out * math.prod(field)}


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b). 均匀分布。"""
    a, b = _FINITE("a", a), _FINITE("b", b)
    if a > b:
        raise TensorError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    return _fill(tensor, _uniform(tensor, a, b, generator))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the given mean and standard deviation. 正态分布。"""
    std = Number("normal expects std >= 0.0, but found std {value}", 0)("std", std)
    return _fill(tensor, _normal(tensor, _FINITE("mean", mean), std, generator))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, those outside [a, b] drawn again. 截断正态分布。

    Where fewer than 30 % would lie inside, uniform numbers are accepted in proportion to the density instead.
    """
    mean, std = _FINITE("mean", mean), Number("Invalid {name}: {value}", 0, above=True)("std", std)
    if not a < b:
        raise ValueError(f"Invalid bounds: a={a}, b={b}; a must be below b")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be incorrect.",
            stacklevel=2,
        )
    dtype = _floats(tensor)._array.dtype
    below = [math.erf((x - mean) / std / math.sqrt(2)) / 2 for x in (a, b)]
    if below[1] - below[0] > 0.3:
        low, high = dtype.type(a), dtype.type(b)
        values = _normal(tensor, mean, std, generator)
        while (outside := (values < low) | (values > high)).any():
            values = np.where(outside, _normal(tensor, mean, std, generator), values)
        return _fill(tensor, values)
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    values, pending = np.zeros(tensor.shape, dtype), np.ones(tensor.shape, bool)
    while pending.any():
        drawn = _uniform(tensor, a, b, generator)
        values = np.where(pending, drawn, values)
        with np.errstate(divide="ignore"):  # the logarithm of 0 is accepted always
            chance = np.log(_uniform(tensor, 0, 1, generator))
        pending &= chance > ((drawn - mean) / std) ** 2 * -0.5 - peak
    return _fill(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element ``val``. 常数。"""
    if isinstance(val, (str, bytes)) or not hasattr(val, "__float__"):
        raise TypeError(f"Invalid val: {val!r}; val must be a number, not {type(val).__name__}")
    return _fill(tensor, float(val))


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1. 全一。"""
    return _fill(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0. 全零。"""
    return _fill(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, 0 elsewhere. 单位矩阵。"""
    if _floats(tensor).ndim != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported; this one has shape {shape_of(tensor)}")
    return _fill(tensor, np.eye(*tensor.shape))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with variance gain² · 2 / (fan_in + fan_out) (Glorot and Bengio, AISTATS 2010). Xavier 均匀初始化。"""
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / sum(_fans(tensor).values())))
    return _fill(tensor, _uniform(tensor, -bound, bound, generator))


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance gain² · 2 / (fan_in + fan_out) (Glorot and Bengio, AISTATS 2010). Xavier 正态初始化。"""
    return _fill(tensor, _normal(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor).values())), generator))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(tensor)[mode])


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance gain² / fan (He et al., ICCV 2015). Kaiming 均匀初始化。

    a: the slope of leaky_relu. mode: "fan_in" keeps the variance forward, "fan_out" backward. nonlinearity: see `calculate_gain`.
    """
    if 0 in _floats(tensor).shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return _fill(tensor, _uniform(tensor, -bound, bound, generator))


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain² / fan; the arguments as in `kaiming_uniform_`. Kaiming 正态初始化。"""
    if 0 in _floats(tensor).shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return _fill(tensor, _normal(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator))


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix whose rows, or columns where they are fewer, are orthonormal, times gain. 正交初始化。

    All axes but the first count as one (Saxe et al., ICLR 2014).
    """
    if _floats(tensor).ndim < 2:
        raise ValueError(f"Only tensors with 2 or more dimensions are supported; this one has shape {shape_of(tensor)}")
    if tensor.numel() == 0:
        return tensor
    matrix = _normal(tensor, 0.0, 1.0, generator).reshape(len(tensor), -1)
    wide = matrix.shape[0] < matrix.shape[1]
    q, r = np.linalg.qr(matrix.T if wide else matrix)
    q = q * np.sign(np.diag(r))  # makes every orthogonal matrix equally likely (Mezzadri 2007)
    return _fill(tensor, ((q.T if wide else q) * gain).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal, but the share ``sparsity`` of each column is 0 (Martens, ICML 2010). 稀疏初始化。"""
    if _floats(tensor).ndim != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported; this one has shape {shape_of(tensor)}")
    count = math.ceil(Number("Invalid {name}: {value}", 0, 1)("sparsity", sparsity) * len(tensor))
    values = _normal(tensor, 0.0, std, generator)
    for column in values.T:
        column[default_generator.permutation(len(tensor))[:count]] = 0
    return _fill(tensor, values)
