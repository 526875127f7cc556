"""Activations as modules; ``functional.py`` computes.

激活函数的模块形式。
"""

from optimlab.nn import functional as F
from optimlab.nn.module import Module
from optimlab.tensor import Tensor


class ReLU(Module):
    """max(0, x) of each element. 修正线性单元。"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" * self.inplace


class LeakyReLU(Module):
    """x, or negative_slope · x where x is negative. 带泄漏的修正线性单元。"""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + ", inplace=True" * self.inplace


class SiLU(Module):
    """x · sigmoid(x) of each element, also called swish. Swish 函数。"""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" * self.inplace


class ELU(Module):
    """x, or alpha · (e^x - 1) where x is negative. 指数线性单元。"""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + ", inplace=True" * self.inplace


class Softplus(Module):
    """log(1 + exp(beta · x)) / beta of each element: a smooth ReLU. 平滑的修正线性单元。"""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Tanh(Module):
    """The hyperbolic tangent of each element. 双曲正切。"""

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x)) of each element. S 形函数。"""

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.sigmoid(input)


class GELU(Module):
    """x · Φ(x), where Φ is the normal distribution function; "tanh" approximates it. 高斯误差线性单元。"""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    """exp(x) over its sum along axis dim: positive numbers that add up to 1. 归一化指数函数。"""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of `Softmax`; nothing overflows. 归一化指数函数的对数。"""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The activation's output."""
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
