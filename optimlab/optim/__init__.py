"""Optimizers and learning-rate schedules under torch.optim's names. 优化器与学习率调度器。"""

from optimlab.optim import lr_scheduler
from optimlab.optim.adam import Adam, NAdam
from optimlab.optim.curvature import LBFGS, ConjugateGradient
from optimlab.optim.optimizer import Optimizer
from optimlab.optim.sgd import ASGD, SGD

__all__ = ["ASGD", "LBFGS", "SGD", "Adam", "ConjugateGradient", "NAdam", "Optimizer", "lr_scheduler"]
