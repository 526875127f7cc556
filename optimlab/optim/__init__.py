"""Optimizers and learning-rate schedules under torch.optim's names. 优化器与学习率调度器。"""

import sys

from optimlab.optim import _functional as _functional
from optimlab.optim import adam, adaptive, curvature, lr_scheduler, matrix, sgd, swa_utils
from optimlab.optim._stateless import swap_in_optimizer_params_and_state
from optimlab.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam, SparseAdam
from optimlab.optim.adaptive import Adadelta, Adagrad, RMSprop
from optimlab.optim.curvature import LBFGS, ConjugateGradient
from optimlab.optim.matrix import Adafactor, Muon
from optimlab.optim.optimizer import Optimizer
from optimlab.optim.sgd import ASGD, SGD, Rprop

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ConjugateGradient",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
    "swap_in_optimizer_params_and_state",
]

# torch has a module for each class, and programs import from them: `from torch.optim.adamw import AdamW`
for module, names in {
    sgd: ("asgd", "rprop"),
    adaptive: ("adagrad", "adadelta", "rmsprop"),
    adam: ("adamw", "adamax", "nadam", "radam", "sparse_adam"),
    matrix: ("_adafactor", "_muon"),
    curvature: ("lbfgs",),
}.items():
    for name in names:
        sys.modules[f"{__name__}.{name}"] = globals()[name] = module
del module, name, names
