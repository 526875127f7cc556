"""Layers: modules with parameters, and functions without them as modules; ``functional.py`` computes.

Half of its lines are signatures and docstrings; one class a layer, so that a reader finds each beside its kin.

层：带参数的模块，以及函数的模块形式。
"""

import math
from typing import Any

import numpy as np

from optimlab.checks import Flag, Number
from optimlab.dtype import as_numpy, check_device
from optimlab.nn import functional as F
from optimlab.nn import init
from optimlab.nn.module import Module, Parameter
from optimlab.tensor import Tensor

_FEATURES = Number("Invalid {name}: {value}", low=0, whole=True)
_EPS = Number("Invalid {name}: {value}", low=0)


def _empty(shape: tuple[int, ...], dtype: Any) -> Parameter:
    """A parameter that ``reset_parameters`` will fill."""
    return Parameter(Tensor._wrap(np.empty(shape, as_numpy(dtype))))


def _sizes(**sizes: Any) -> tuple[int, ...]:
    return tuple(int(_FEATURES(name, value)) for name, value in sizes.items())


class _Weighted(Module):
    """What layers with a weight, whose first axis is the output's, and a bias share."""

    weight: Parameter
    bias: Parameter | None

    def _start(self, shape: tuple[int, ...], bias: bool, dtype: Any) -> None:
        self.register_parameter("weight", _empty(shape, dtype))
        self.register_parameter("bias", _empty(shape[:1], dtype) if Flag()("bias", bias) else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight and bias uniform in ±1/√fan_in, fan_in being what one output sums over."""
        # He's bound with slope √5 is 1/√fan_in, and rounds as torch's weights do
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / (math.sqrt(math.prod(self.weight.shape[1:])) or math.inf)
            init.uniform_(self.bias, -bound, bound)


class Linear(_Weighted):
    """``input @ weight.T + bias``: (…, in_features) becomes (…, out_features). 线性层。

    weight (out_features, in_features) and bias (out_features,) start uniform in ±1/√in_features, as torch's do.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        check_device(device)
        self.in_features, self.out_features = _sizes(in_features=in_features, out_features=out_features)
        self._start((self.out_features, self.in_features), bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The layer's output."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Conv2d(_Weighted):
    """Images correlated with kernels: (n, in_channels, h, w) becomes (n, out_channels, h', w'). 二维卷积层。

    h' = ⌊(h + 2·padding - dilation·(kernel_size - 1) - 1) / stride⌋ + 1, and w' alike. kernel_size, stride, padding, dilation:
    an integer, or two for height and width; padding may be "valid" or "same". groups: into how many parts the channels are
    divided. weight (out_channels, in_channels / groups, kh, kw) and bias (out_channels,) start uniform in ±1/√fan_in.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        check_device(device)
        self.in_channels, self.out_channels = _sizes(in_channels=in_channels, out_channels=out_channels)
        self.groups = int(Number("groups must be a positive integer: {value}", low=1, whole=True)("groups", groups))
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name} must be divisible by groups; {channels} is not divisible by {groups}")
        if padding_mode != "zeros":
            raise ValueError(f"Invalid padding_mode: {padding_mode!r}; padding_mode must be 'zeros', the only one here")
        self.kernel_size, self.stride = F.pair("kernel_size", kernel_size, 1), F.pair("stride", stride, 1)
        self.dilation = F.pair("dilation", dilation, 1)
        F.margins(padding, self.kernel_size, self.stride, self.dilation)  # raises for what does not fit
        self.padding: Any = padding if isinstance(padding, str) else F.pair("padding", padding, 0)
        self._start((self.out_channels, self.in_channels // self.groups, *self.kernel_size), bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The layer's output."""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts + ["bias=False"] * (self.bias is None))


class MaxPool2d(Module):
    """The largest element of each window of an image. 最大池化层。

    kernel_size, stride (by default kernel_size), padding, dilation: an integer, or two for height and width. ceil_mode: the
    last window may stick out.
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The pooled images, (…, h', w')."""
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return ", ".join(
            f"{name}={getattr(self, name)}" for name in ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        )


class AvgPool2d(Module):
    """The mean of each window of an image. 平均池化层。

    count_include_pad: whether zeros of the padding count. divisor_override: divide each sum by this instead.
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """The pooled images, (…, h', w')."""
        return F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The means of output_size windows that cover the image; 1 averages each channel. 自适应平均池化层。"""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """The pooled images, (…, h', w')."""
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


def _scale_one(layer: Any) -> None:
    """Where a layer of normalised numbers begins: weight 1, bias 0."""
    for parameter, fill in ((layer.weight, init.ones_), (layer.bias, init.zeros_)):
        if parameter is not None:
            fill(parameter)


class _BatchNorm(Module):
    """What batch normalisation of every rank shares."""

    ranks: tuple[int, ...]

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        check_device(device)
        (self.num_features,) = _sizes(num_features=num_features)
        self.eps = _EPS("eps", eps)
        self.momentum = None if momentum is None else Number("Invalid {name}: {value}", 0, 1)("momentum", momentum)
        self.affine, self.track_running_stats = affine, track_running_stats

        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, _empty((self.num_features,), dtype) if wanted else None)
        for name in ("running_mean", "running_var"):
            running = Tensor._wrap(np.empty(self.num_features, as_numpy(dtype)))
            self.register_buffer(name, running if track_running_stats else None)
        count = Tensor._wrap(np.empty((), np.int64))
        self.register_buffer("num_batches_tracked", count if track_running_stats else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0, nothing seen."""
        self.reset_running_stats()
        _scale_one(self)

    def reset_running_stats(self) -> None:
        """Forget what was seen: mean 0, variance 1, no batches."""
        if self.track_running_stats:
            for buffer, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
                buffer.fill_(value)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input; in training it moves the running statistics."""
        F.check_floats("input", input)
        if input.ndim not in self.ranks:
            expected = " or ".join(f"{n}D" for n in self.ranks)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input); reshape it")
        tracked = self.running_mean is not None
        batch = self.training or not tracked  # without running statistics the batch's own serve always
        momentum = self.momentum
        if momentum is None:  # the mean of all batches so far
            momentum = 1 / (self.num_batches_tracked.item() + 1) if tracked else 0.0
        y = F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, batch, momentum, self.eps)
        if self.training and tracked:
            self.num_batches_tracked._array += 1
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Each feature less the batch's mean, over its standard deviation, times weight plus bias. 一维批归一化层。

    Input (n, num_features) or (n, num_features, length). In training running_mean and running_var move by ``momentum`` towards
    the batch's (None: they are the mean of all batches); in evaluation they are used.
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each channel less the batch's mean, over its standard deviation, times weight plus bias. 二维批归一化层。

    Input (n, num_features, h, w). The rest as in `BatchNorm1d`.
    """

    ranks = (4,)


class LayerNorm(Module):
    """Each example less its own mean over the last axes, over its standard deviation, times weight plus bias. 层归一化层。

    normalized_shape: the lengths of those axes, an integer or several. weight and bias have this shape; they start at 1 and 0.
    """

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        check_device(device)
        given = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        self.normalized_shape = tuple(int(_FEATURES("normalized_shape", n)) for n in given)
        self.eps, self.elementwise_affine = _EPS("eps", eps), elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(name, _empty(self.normalized_shape, dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0."""
        _scale_one(self)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Channels in groups, each less its own mean, over its standard deviation, times weight plus bias. 组归一化层。

    Input (n, num_channels, …); num_groups divides num_channels. weight and bias are (num_channels,); they start at 1 and 0.
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        check_device(device)
        self.num_groups = int(Number("Invalid {name}: {value}", low=1, whole=True)("num_groups", num_groups))
        (self.num_channels,) = _sizes(num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups}); choose another of the two"
            )
        self.eps, self.affine = _EPS("eps", eps), affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, _empty((num_channels,), dtype) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0."""
        _scale_one(self)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class Dropout(Module):
    """In training each element is 0 with probability p, and 1/(1-p) times itself otherwise. 随机失活层。"""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p, self.inplace = F.check_probability(p), inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input with some elements 0; in evaluation the input."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Embedding(Module):
    """A row of weight for each number: (…) of integers below num_embeddings becomes (…, embedding_dim). 嵌入层。

    weight starts standard normal. padding_idx: a row that starts at 0 and gets no gradient. sparse: weight.grad keeps only the
    rows that were asked for.
    """

    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, sparse: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        check_device(device)
        rows, width = _sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim, self.sparse = rows, width, sparse
        self.padding_idx = None if padding_idx is None else F.check_padding(padding_idx, rows)
        self.weight = _empty((rows, width), dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight standard normal, the row padding_idx 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight._array[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, *, sparse: bool = False
    ) -> "Embedding":
        """A layer with these rows; frozen by default."""
        rows, width = embeddings.shape
        layer = cls(0, width, sparse=sparse)
        layer.num_embeddings, layer.weight = rows, Parameter(embeddings, not freeze)
        layer.padding_idx = None if padding_idx is None else F.check_padding(padding_idx, rows)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """The rows that ``input``, a tensor of integers, asks for."""
        return F.embedding(input, self.weight, self.padding_idx, sparse=self.sparse)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}" + ", sparse=True" * self.sparse


class Flatten(Module):
    """The axes start_dim to end_dim as one: (n, c, h, w) becomes (n, c·h·w). 展平层。"""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The input with fewer axes."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Gives its input back; arguments of the constructor are ignored. 恒等层。"""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input
