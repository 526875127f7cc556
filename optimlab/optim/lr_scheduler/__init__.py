"""Learning-rate schedules under torch's names: how the learning rate moves from epoch to epoch.

学习率调度器：学习率怎样随轮次变化。

`draft`, `base`: the mechanism. `shapes`: those that multiply the learning rate by the change of a shape. `lambdas`: by a
function of the reader's. `restarts`, `cycles`: those that set the learning rate whatever it was. `compositions`: schedules
made of schedules. `plateau`: the one that watches a metric.
"""

from optimlab.optim.lr_scheduler.base import EPOCH_DEPRECATION_WARNING as EPOCH_DEPRECATION_WARNING
from optimlab.optim.lr_scheduler.base import LRScheduler
from optimlab.optim.lr_scheduler.compositions import ChainedScheduler, SequentialLR
from optimlab.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from optimlab.optim.lr_scheduler.lambdas import LambdaLR, MultiplicativeLR
from optimlab.optim.lr_scheduler.plateau import ReduceLROnPlateau
from optimlab.optim.lr_scheduler.restarts import CosineAnnealingWarmRestarts
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
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_LRScheduler = LRScheduler  # its name until torch 2.0

_classes = [globals()[name] for name in __all__]
for _class in _classes:  # where the reader and a pickle find them
    _class.__module__ = __name__
if __doc__:  # help() begins with the list of them; python -OO leaves all docstrings out
    __doc__ += "\n" + "\n".join(f"{cls.__name__}: {cls.__doc__.partition(chr(10))[0]}" for cls in _classes)
