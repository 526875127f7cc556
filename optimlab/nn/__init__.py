"""Networks: Module, Parameter, layers and losses under torch's names. 神经网络。"""

from optimlab.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from optimlab.nn.layers import Linear, ReLU, Tanh
from optimlab.nn.loss import CrossEntropyLoss, MSELoss
from optimlab.nn.module import Module, Parameter

__all__ = [
    "CrossEntropyLoss",
    "Linear",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Tanh",
]
