"""Networks: Module, Parameter, layers and losses under torch's names. 神经网络。"""

from optimlab.nn.layers import Linear, ReLU, Sequential, Tanh
from optimlab.nn.loss import CrossEntropyLoss, MSELoss
from optimlab.nn.module import Module, Parameter

__all__ = ["CrossEntropyLoss", "Linear", "MSELoss", "Module", "Parameter", "ReLU", "Sequential", "Tanh"]
