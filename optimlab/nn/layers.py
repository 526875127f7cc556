"""Layers: Linear and the activations.

层。
"""

import math
from typing import Any

from optimlab.checks import Flag, Number
from optimlab.dtype import as_numpy
from optimlab.functional import TensorError
from optimlab.nn.module import Module, Parameter
from optimlab.operators import shape_of
from optimlab.random import default_generator
from optimlab.tensor import Tensor, apply

_FEATURES = Number("Invalid {name}: {value}", low=0, whole=True)


def check_floats(name: str, value: Any) -> Tensor:
    """``value`` if it is a tensor of floats; TypeError otherwise."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name} must be a Tensor of floats, not {kind}; convert it by tensor(...) or .float()")
    return value


class Linear(Module):
    """``input @ weight.T + bias``: (…, in_features) becomes (…, out_features). 线性层。

    weight (out_features, in_features) and bias (out_features,) start uniform in ±1/√in_features, as torch's do.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: Any = None) -> None:
        super().__init__()
        self.in_features = int(_FEATURES("in_features", in_features))
        self.out_features = int(_FEATURES("out_features", out_features))
        root = math.sqrt(self.in_features) or math.inf
        # both bounds are 1/√in_features; torch computes the weight's as He's with slope √5, which rounds otherwise
        weight_bound = math.sqrt(3) * (math.sqrt(2 / (1 + math.sqrt(5) ** 2)) / root)

        def start(bound: float, *shape: int) -> Parameter:
            return Parameter(Tensor._wrap(default_generator.uniform(shape, as_numpy(dtype), -bound, bound)))

        has_bias = Flag()("bias", bias)
        self.weight = start(weight_bound, self.out_features, self.in_features)
        self.bias = start(1 / root, self.out_features) if has_bias else None

    def forward(self, input: Tensor) -> Tensor:
        """The layer's output."""
        check_floats("input", input)
        if input.ndim == 0 or input.shape[-1] != self.in_features or input.dtype is not self.weight.dtype:
            raise TensorError(
                f"mat1 and mat2 shapes cannot be multiplied: input is {shape_of(input)} {input.dtype}; "
                f"its last axis must have in_features={self.in_features}, and its dtype must be {self.weight.dtype}"
            )
        return apply("linear", input, self.weight, *([] if self.bias is None else [self.bias]))

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class ReLU(Module):
    """max(0, x) of each element. 修正线性单元。"""

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return check_floats("input", input).relu()


class Tanh(Module):
    """The hyperbolic tangent of each element. 双曲正切。"""

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return check_floats("input", input).tanh()
