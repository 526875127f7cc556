"""Optimizers and learning-rate schedules under torch.optim's names. 优化器与学习率调度器。"""

from optimlab.optim import lr_scheduler, swa_utils
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
]
