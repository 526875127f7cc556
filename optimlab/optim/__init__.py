"""Optimizers and learning-rate schedules under torch.optim's names. 优化器与学习率调度器。"""

from optimlab.optim import lr_scheduler
from optimlab.optim.adam import Adam
from optimlab.optim.optimizer import Optimizer
from optimlab.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "lr_scheduler"]
