"""Learning-rate schedules under torch's names: how the learning rate moves from epoch to epoch.

学习率调度器：学习率怎样随轮次变化。

`draft`, `base`: the mechanism. `shapes`: those that multiply the learning rate by the change of a shape.
"""

from optimlab.optim.lr_scheduler.base import EPOCH_DEPRECATION_WARNING as EPOCH_DEPRECATION_WARNING
from optimlab.optim.lr_scheduler.base import LRScheduler
from optimlab.optim.lr_scheduler.shapes import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "StepLR",
]

_LRScheduler = LRScheduler  # its name until torch 2.0

for _name in __all__:  # where the reader and a pickle find them
    globals()[_name].__module__ = __name__
