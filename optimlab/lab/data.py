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


def _split(x: np.ndarray, y: np.ndarray, dtype: object, scale: bool = False) -> Split:
    """Four of five rows to train on, drawn with a fixed seed; ``scale`` brings their columns to mean 0 and deviation 1."""
    order = np.random.RandomState(0).permutation(len(x))
    cut = len(x) * 4 // 5
    if scale:  # by the training rows alone: the test rows are not known yet
        x = (x - x[order[:cut]].mean(0)) / x[order[:cut]].std(0)
        if y.dtype.kind == "f":
            y = (y - y[order[:cut]].mean()) / y[order[:cut]].std()
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


def diabetes(dtype: object = None) -> Split:
    """442 patients: x (n, 10) measurements, y (n,) the disease's progress a year later; both scaled. 糖尿病数据，回归。"""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    return _split(x, y, dtype, scale=True)


def breast_cancer(dtype: object = None) -> Split:
    """569 tumours: x (n, 30) measurements, scaled, y (n,) int64, 0 malignant or 1 benign. 乳腺癌数据，二分类。"""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return _split(x, y.astype(np.int64), dtype, scale=True)
