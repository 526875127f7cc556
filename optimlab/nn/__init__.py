"""Networks: Module, Parameter, layers and losses under torch's names. 神经网络。"""

import sys

from optimlab.nn import activations, containers, functional, init, layers, loss, module, utils
from optimlab.nn.activations import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from optimlab.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from optimlab.nn.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    Identity,
    LayerNorm,
    Linear,
    MaxPool2d,
)
from optimlab.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from optimlab.nn.module import Module, Parameter

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "functional",
    "init",
    "utils",
]  # fmt: skip

# torch has a module for each family, and programs import from them: `from torch.nn.modules.batchnorm import _BatchNorm`
modules = sys.modules[f"{__name__}.modules"] = sys.modules[__name__]
for _name, _module in {
    "activation": activations, "batchnorm": layers, "container": containers, "conv": layers, "linear": layers, "loss": loss,
    "module": module, "normalization": layers, "sparse": layers,
}.items():  # fmt: skip
    sys.modules[f"{__name__}.modules.{_name}"] = _module
