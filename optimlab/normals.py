"""The logarithm, cosine and sine by which torch makes float32 normals, bit for bit.

torch fills eight normals at a time with Moshier's polynomials (Cephes, 1989), one fused multiply-add a coefficient; the
processor's own functions, and NumPy's, differ in the last bit. float64 takes the ordinary functions.

float32 正态随机数所用的对数、余弦与正弦，与 torch 逐位相同。
"""

from typing import Any

import numpy as np

F = np.float32
LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
    *(2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
QUARTER = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)  # π/4 in three parts, negative
ROOT_HALF = F(0.707106781186547524)


def _fma(a: np.ndarray, b: Any, c: Any) -> np.ndarray:
    """a · b + c rounded once: the product of two float32 is exact in float64."""
    return (a.astype(np.float64) * b + c).astype(F)


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    y = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        y = _fma(y, x, F(c))
    return y


def logarithm(x: np.ndarray) -> np.ndarray:
    """log x for x in (0, 1]: the exponent's part and a polynomial in the mantissa."""
    if x.dtype != F:
        return np.log(x)
    bits = x.view(np.int32)
    exponent = ((bits >> 23) - 126).astype(F)
    m = ((bits & 0x7FFFFF) | 0x3F000000).view(F)  # in [1/2, 1)
    small = m < ROOT_HALF
    m, exponent = np.where(small, m + m, m) - F(1), exponent - small
    square = m * m
    y = _fma(_polynomial(m, LOG) * m, square, exponent * F(-2.12194440e-4))  # log 2 in two parts
    return (m + (y - square * F(0.5))) + exponent * F(0.693359375)


def cosine_and_sine(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cos x and sin x for x in [0, 2π): polynomials about the nearest multiple of π/2."""
    if x.dtype != F:
        return np.cos(x), np.sin(x)
    octant = ((x * F(4 / np.pi)).astype(np.int32) + 1) & ~1
    for part in QUARTER:
        x = _fma(octant.astype(F), F(part), x)
    square = x * x
    cosine = _fma(_polynomial(square, COS) * square, square, square * F(-0.5)) + F(1)
    sine = _fma(_polynomial(square, SIN) * square, x, x)
    swapped = octant & 2 != 0
    cosine, sine = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    return np.where((octant + 2) & 4 != 0, -cosine, cosine), np.where(octant & 4 != 0, -sine, sine)
