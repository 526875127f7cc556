"""Real data that comes with scikit-learn, as tensors with a fixed split: no download, the same rows everywhere.

scikit-learn 自带的真实数据：不用下载，划分固定。
"""

from typing import NamedTuple

import numpy as np

from optimlab.creation import tensor
from optimlab.dtype import as_numpy
from optimlab.tensor import Tensor


class Split(NamedTuple):
    """Inputs and targets to train on, and those to test with."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


def _split(x: np.ndarray, y: np.ndarray, dtype: object) -> Split:
    """Four of five rows to train on, drawn with a fixed seed."""
    order = np.random.RandomState(0).permutation(len(x))
    cut = len(x) * 4 // 5
    inputs, targets = tensor(x, dtype=as_numpy(dtype)), tensor(y)
    if targets.is_floating_point():
        targets = targets.to(inputs.dtype)
    train, test = order[:cut], order[cut:]
    return Split(inputs[train], targets[train], inputs[test], targets[test])


def digits(dtype: object = None) -> Split:
    """1,797 handwritten digits: x (n, 64) pixels in [0, 1], y (n,) int64 classes 0 … 9. 手写数字。"""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _split(x / 16, y.astype(np.int64), dtype)
