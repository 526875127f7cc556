"""Numbers that should agree. 检查数值是否一致。"""

from typing import Any

import numpy as np

from optimlab.tensor import Tensor

TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}  # torch's rtol and atol


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | None = None,
) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere, and shapes and dtypes agree. 检查数值接近。

    The tolerances are by default torch's for the dtype: 1.3e-6 and 1e-5 for float32, 1e-7 for float64, 0 for integers.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be unspecified")
    a, b = (x.detach()._array if isinstance(x, Tensor) else np.asarray(x) for x in (actual, expected))
    if a.shape != b.shape:
        raise AssertionError(msg or f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}.")
    if check_dtype and isinstance(actual, Tensor) and isinstance(expected, Tensor) and a.dtype != b.dtype:
        raise AssertionError(
            msg or f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}."
        )
    default = TOLERANCES.get(a.dtype.name, (0.0, 0.0))
    rtol, atol = (default[0] if rtol is None else rtol), (default[1] if atol is None else atol)
    close = np.isclose(a, b, rtol, atol, equal_nan)
    if not close.all():
        apart = np.abs(np.subtract(a, b, dtype=np.float64))
        raise AssertionError(
            msg
            or f"Tensor-likes are not close!\n\nMismatched elements: {(~close).sum()} / {close.size}\n"
            f"Greatest absolute difference: {np.nanmax(apart)} (up to {atol} allowed, and {rtol} relative)"
        )
