"""The layers as functions: what has parameters is given them. 函数形式的层。

One module, as torch has one: most of its lines are checks, whose messages say what fits. What computes is in ``operations.py``.
"""

import math
import warnings
from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.commit import commit
from optimlab.dtype import as_numpy
from optimlab.functional import TensorError
from optimlab.nn import operations  # its rows are in the table from here on
from optimlab.nn.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    check_floats,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from optimlab.operators import shape_of
from optimlab.random import default_generator
from optimlab.tensor import Tensor, apply

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "conv2d", "cosine_similarity", "cross_entropy", "dropout", "elu", "embedding", "gelu", "group_norm", "huber_loss",
    "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid", "max_pool2d", "mse_loss",
    "nll_loss", "normalize", "one_hot", "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip


def pair(name: str, value: Any, low: int) -> tuple[int, int]:
    """Two integers >= low, for height and width, from one or two."""
    check = Number("Invalid {name}: {value}", low=low, whole=True)
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"Invalid {name}: {value}; {name} must be one integer, or two for height and width")
        return (int(check(name, value[0])), int(check(name, value[1])))
    return (int(check(name, value)),) * 2


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``: (…, in) with weight (out, in) and bias (out,) gives (…, out). 线性变换。"""
    x, w = check_floats("input", input)._array, check_floats("weight", weight)._array
    if w.ndim != 2 or (bias is not None and bias._array.shape != w.shape[:1]):
        given = "" if bias is None else f", bias is {shape_of(bias)}"
        raise TensorError(f"weight must be (out, in) and bias (out,): weight is {w.shape}{given}")
    if not x.ndim or x.shape[-1] != w.shape[-1] or x.dtype != w.dtype:
        raise TensorError(
            f"mat1 and mat2 shapes cannot be multiplied: input is {shape_of(input)} {input.dtype}; "
            f"its last axis must have in_features={w.shape[-1]}, and its dtype must be {weight.dtype}"
        )
    if bias is not None:
        y = apply("linear", input, weight, bias)
        return y if x.ndim == 2 else y._called("View")
    return apply("linear", input, weight)._called(*{1: ("Squeeze", 4), 2: ("Mm", 0)}.get(x.ndim, ("UnsafeView", 0)))


def _images(input: Tensor, function: str) -> tuple[Tensor, bool]:
    """A batch of images (n, c, h, w), and whether one image (c, h, w) was given."""
    if check_floats("input", input).ndim not in (3, 4):
        raise TensorError(
            f"Expected 3D (unbatched) or 4D (batched) input to {function}, but got input of size: {list(input.shape)}; "
            "images are (channels, height, width), a batch of them (n, channels, height, width)"
        )
    return (input, False) if input.ndim == 4 else (input.reshape(1, *input.shape), True)


def margins(
    padding: Any, kernel: Any, stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """How many zeros go above and below, left and right: ``padding`` in numbers, none if "valid", "same" to keep the size."""
    if not isinstance(padding, str):
        return tuple([(p, p) for p in pair("padding", padding, 0)])
    if padding not in ("same", "valid"):
        raise ValueError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
    if padding == "same" and stride != (1, 1):
        raise ValueError("padding='same' is not supported for strided convolutions; give the padding in numbers")
    total = [d * (k - 1) * (padding == "same") for d, k in zip(dilation, kernel, strict=True)]
    return tuple([(t // 2, t - t // 2) for t in total])  # the odd one goes behind, as in torch


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """Correlate images with kernels: (n, in, h, w) with weight (out, in / groups, kh, kw) gives (n, out, h', w'). 二维卷积。

    stride, padding, dilation: an integer, or two for height and width; padding may be "valid" (none) or "same" (h' = h).
    groups: into how many parts the channels are divided, each with its own kernels. Raises TensorError for what does not fit.
    """
    images, single = _images(input, "conv2d")
    if check_floats("weight", weight).ndim != 4:
        raise TensorError(f"weight must be (out, in / groups, kh, kw); it is {shape_of(weight)}")
    if bias is not None and shape_of(bias) != (len(weight),):
        raise TensorError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {len(weight)} elements, "
            f"but got bias of size {list(bias.shape)} instead"
        )
    _, c, *size = images.shape
    channels, *kernel = weight.shape[1:]
    stride, dilation = pair("stride", stride, 1), pair("dilation", dilation, 1)
    if input.dtype is not weight.dtype or (bias is not None and bias.dtype is not weight.dtype):
        raise TensorError(
            f"Input type ({input.dtype}) and weight type ({weight.dtype}) should be the same; convert one by .to()"
        )
    if c != channels * groups:
        raise TensorError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(images.shape)} to have "
            f"{channels * groups} channels, but got {c} channels instead"
        )
    pads = margins(padding, kernel, stride, dilation)
    padded = [n + sum(p) for n, p in zip(size, pads, strict=True)]
    if any(n < d * (k - 1) + 1 for n, d, k in zip(padded, dilation, kernel, strict=True)):
        raise TensorError(
            f"Calculated padded input size per channel: ({padded[0]} x {padded[1]}). Kernel size: ({kernel[0]} x {kernel[1]}). "
            "Kernel size can't be greater than actual input size"
        )
    y = apply(
        "conv2d", images, weight, *([] if bias is None else [bias]),
        stride=stride, padding=pads, dilation=dilation, groups=groups,
    )  # fmt: skip
    return y[0]._called("Squeeze", 1) if single else y


def _windows(
    input: Tensor, name: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Tensor, dict[str, Any], tuple[int, int]]:
    """Images, the options of an operation on windows, and how many windows fit."""
    if check_floats("input", input).ndim not in (3, 4):
        raise TensorError(f"{name}: non-empty 3D or 4D (batch mode) tensor expected for input, not {shape_of(input)}")
    kernel = pair("kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair("stride", stride, 1)
    padding, steps = pair("padding", padding, 0), pair("dilation", 1 if dilation is None else dilation, 1)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise TensorError(
            f"pad should be at most half of effective kernel size, but got padding={padding}, kernel_size={kernel}"
        )
    pads, lengths = [], []
    for n, k, s, p, d in zip(input.shape[-2:], kernel, stride, padding, steps, strict=True):
        length = operations.output_length(n, k, s, (p, p), d, ceil_mode)
        lengths.append(length)
        pads.append((p, max(p, (length - 1) * s + d * (k - 1) + 1 - n - p)))
    if min(lengths) < 1:
        raise TensorError(
            f"Given input size: {shape_of(input)[-3:]}. Calculated output size: {lengths}. Output size is too small; "
            "use larger images or smaller windows"
        )
    options = {"lengths": tuple(lengths), "kernel": kernel, "stride": stride, "padding": tuple(pads)}
    return input, options if dilation is None else options | {"dilation": steps}, padding


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """The largest element of each window: (…, h, w) gives (…, h', w'). 最大池化。

    kernel_size, stride (by default kernel_size), padding, dilation: an integer, or two for height and width. ceil_mode: the
    last window may stick out. Of equal elements the first gets the gradient.
    """
    input, options, _ = _windows(input, "max_pool2d", kernel_size, stride, padding, dilation, ceil_mode)
    return apply("max_pool2d", input, **options)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window: (…, h, w) gives (…, h', w'). 平均池化。

    count_include_pad: whether zeros of the padding count. divisor_override: divide each sum by this instead.
    """
    input, options, padding = _windows(input, "avg_pool2d", kernel_size, stride, padding, None, ceil_mode)
    counts = []
    for n, k, s, p, length in zip(
        input.shape[-2:], options["kernel"], options["stride"], padding, options["lengths"], strict=True
    ):
        start = np.arange(length) * s - p
        stop = np.minimum(start + k, n + p)  # what ceil_mode adds behind the padding never counts
        counts.append(stop - start if count_include_pad else np.minimum(stop, n) - np.maximum(start, 0))
    divisor = np.outer(*counts).astype(input._array.dtype) if divisor_override is None else divisor_override
    return (apply("window_sum", input, **options) / divisor)._called("AvgPool2D")


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of output_size windows that cover the image: (…, h, w) gives (…, h', w'). 自适应平均池化。

    output_size: an integer, or two; None keeps a length.
    """
    images, single = _images(input, "adaptive_avg_pool2d")
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    averages = []
    for n, length in zip(images.shape[-2:], wanted, strict=True):
        m = n if length is None else pair("output_size", length, 1)[0]
        starts, stops = np.arange(m) * n // m, -(-np.arange(1, m + 1) * n // m)
        inside = (np.arange(n) >= starts[:, None]) & (np.arange(n) < stops[:, None])
        averages.append(Tensor._wrap((inside / inside.sum(axis=1, keepdims=True)).astype(images._array.dtype)))
    y = averages[0] @ images @ averages[1].transpose(0, 1)
    label = ("Mean", 1) if shape_of(y)[-2:] == (1, 1) else ("AdaptiveAvgPool2D", 0)
    return (y[0] if single else y)._called(*label)


def _same_dtype(input: Tensor, **others: Tensor | None) -> None:
    for name, t in others.items():
        if t is not None and t.dtype is not input.dtype:
            raise TensorError(
                f"mixed dtype (CPU): expect {name} to have scalar type of {input.dtype}; it has {t.dtype}"
            )


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Each channel less its mean, over its standard deviation, times weight plus bias: (n, c) or (n, c, …). 批归一化。

    training: use the batch's own mean and variance, and move running_mean and running_var towards them by ``momentum``
    (the running variance is the unbiased one); otherwise use the running ones. Raises ValueError for one value a channel.
    """
    x = check_floats("input", input)._array
    channels = x.shape[1]
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and shape_of(t) != (channels,):
            raise TensorError(f"{name} should contain {channels} elements not {t.numel()}, one for each channel")
    _same_dtype(input, weight=weight, bias=bias)
    calls: list[tuple] = []
    axes = (0, *range(2, x.ndim))
    column = (-1,) + (1,) * (x.ndim - 2)
    if training:
        count = math.prod(x.shape[i] for i in axes)
        if count == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {input.shape}; "
                "use larger batches, or eval()"
            )
        y = apply("standardize", input, axes=axes, eps=eps)
        for running, new in (
            ((running_mean, x.mean(axis=axes)), (running_var, x.var(axis=axes, ddof=1))) if count else ()
        ):
            if running is not None:
                old = running._array
                calls.append((old.__setitem__, ..., (1 - momentum) * old + momentum * new.astype(old.dtype)))
                calls.append((list.__setitem__, running._version, 0, running._version[0] + 1))
    else:
        if running_mean is None or running_var is None:
            raise ValueError("Expected running_mean and running_var to be defined when training=False")
        y = (input - running_mean.reshape(column)) / (running_var.reshape(column) + eps).sqrt()
    y = y if weight is None else y * weight.reshape(column)
    y = y if bias is None else y + bias.reshape(column)
    commit(calls)  # now that nothing can go wrong any more
    return y._called("NativeBatchNorm")


def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each example less its mean over the last axes, over its standard deviation, times weight plus bias. 层归一化。

    normalized_shape: the lengths of the axes that are averaged over, the last ones of input; weight and bias have this shape.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or shape_of(check_floats("input", input))[-len(shape) :] != shape:
        wanted = ", ".join(map(str, shape))
        raise TensorError(
            f"Given normalized_shape=[{wanted}], expected input with shape [*, {wanted}], "
            f"but got input of size{list(input.shape)}"
        )
    _same_dtype(input, weight=weight, bias=bias)
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and shape_of(t) != shape:
            raise TensorError(f"Expected {name} to be of same shape as normalized_shape, {shape}; it is {shape_of(t)}")
    y = apply("standardize", input, axes=tuple(range(-len(shape), 0)), eps=eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias)._called("NativeLayerNorm")


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each example's channels in num_groups groups, each group less its mean, over its standard deviation. 组归一化。

    input: (n, channels, …); weight and bias are (channels,), and num_groups divides their number.
    """
    n, channels, *field = check_floats("input", input).shape
    if num_groups < 1 or channels % num_groups:
        raise TensorError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(input.shape)} "
            f"and num_groups={num_groups}"
        )
    _same_dtype(input, weight=weight, bias=bias)
    y = apply("standardize", input.reshape(n, num_groups, -1), axes=(2,), eps=eps).reshape(input.shape)
    column = (-1,) + (1,) * len(field)
    y = y if weight is None else y * weight.reshape(column)
    return (y if bias is None else y + bias.reshape(column))._called("NativeGroupNorm")


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """input over its p-norm along ``dim``, or over eps where that is larger. 除以自身的范数。"""
    return input / input.norm(p, dim, True).clamp_min(eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between two vectors along ``dim``; no norm counts as less than eps. 余弦相似度。"""
    return (normalize(x1, 2, dim, eps) * normalize(x2, 2, dim, eps)).sum(dim)


def check_probability(p: Any) -> float:
    """``p`` if it is a number in [0, 1]."""
    return Number("dropout probability has to be between 0 and 1, but got {value}", 0, 1)("p", p)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each element is 0 with probability p, and 1/(1-p) times itself otherwise. 随机失活。"""
    check_floats("input", input)
    p = check_probability(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    dtype = input._array.dtype
    if p == 1:
        noise = np.zeros(input.shape, dtype)
    else:
        noise = default_generator.bernoulli(input.shape, 1 - p).astype(dtype) / dtype.type(1 - p)
    return input.mul_(noise) if inplace else input * noise


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None, *, sparse: bool = False) -> Tensor:
    """The rows of weight (rows, width) that input asks for: (…) of integers gives (…, width). 嵌入：按编号取行。

    padding_idx: a row that gets no gradient. sparse: weight.grad keeps only the rows that were asked for.
    """
    if not isinstance(input, Tensor) or input._array.dtype.kind not in "iu":
        raise TensorError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
            f"but got {getattr(input, 'dtype', type(input).__name__)} instead; convert it by .long()"
        )
    indices, rows = input._array, len(weight)
    wrong = indices[(indices < 0) | (indices >= rows)]
    if wrong.size:
        raise IndexError(f"index out of range in self: {wrong[0]}; the rows of weight are 0 to {rows - 1}")
    if padding_idx is not None:
        padding_idx = check_padding(padding_idx, rows)
    return apply("embedding", weight, indices.copy(), padding=padding_idx, sparse=sparse)


def check_padding(padding_idx: int, rows: int) -> int:
    """The number of a row, counted from the end where negative."""
    if not -rows <= padding_idx < rows:
        raise ValueError(f"Padding_idx must be within num_embeddings: {padding_idx}; there are {rows} rows")
    return padding_idx % rows


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """1 at each class's place: (…) of class numbers gives (…, num_classes) of int64. 独热编码。"""
    classes = input._array
    if classes.dtype.kind not in "iu":
        raise TensorError("one_hot is only applicable to index tensor; convert it by .long()")
    n = int(classes.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    if classes.size and not 0 <= classes.min() <= classes.max() < n:
        raise TensorError(f"Class values must be in [0, {n - 1}], not {classes.min()} to {classes.max()}")
    return Tensor._wrap((classes[..., None] == np.arange(n)).astype(np.int64))


# ---- activations


def _activation(name: str, input: Tensor, inplace: bool = False, **options: Any) -> Tensor:
    y = apply(name, check_floats("input", input), **options)
    return input._become(y) if inplace else y


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Each element, or 0 where it is negative. 修正线性单元。"""
    return _activation("relu", input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Each element, times negative_slope where it is negative. 带泄漏的修正线性单元。"""
    return _activation("leaky_relu", input, inplace, slope=negative_slope)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent of each element. 双曲正切。"""
    return _activation("tanh", input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)) of each element. S 形函数。"""
    return _activation("sigmoid", input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x) of each element, also called swish. Swish 函数。"""
    return _activation("silu", input, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Each element, or alpha · (e^x - 1) where it is negative. 指数线性单元。"""
    return _activation("elu", input, inplace, alpha=alpha)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta of each element, and x where beta · x is above threshold. 平滑的修正线性单元。"""
    return _activation("softplus", input, beta=beta, threshold=threshold)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of `sigmoid`; nothing overflows. S 形函数的对数。"""
    return _activation("log_sigmoid", input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), where Φ is the normal distribution function; "tanh" approximates it. 高斯误差线性单元。"""
    if approximate not in ("none", "tanh"):
        raise TensorError(f"approximate argument must be either none or tanh, not {approximate!r}")
    if approximate == "none":
        return _activation("gelu", input)
    x = check_floats("input", input)
    return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))))._called("Gelu")


def _class_axis(name: str, input: Tensor, dim: int | None) -> int:
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
            stacklevel=3,
        )
        return 0 if input.ndim in (0, 1, 3) else 1
    return dim


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) over its sum along axis dim: positive numbers that add up to 1. 归一化指数函数。"""
    x = check_floats("input", input) if dtype is None else input.to(as_numpy(dtype))
    return x.softmax(_class_axis("softmax", x, dim))


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`; nothing overflows. 归一化指数函数的对数。"""
    x = check_floats("input", input) if dtype is None else input.to(as_numpy(dtype))
    return x.log_softmax(_class_axis("log_softmax", x, dim))
