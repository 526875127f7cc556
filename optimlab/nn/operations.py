"""The operations of networks beside their derivatives: rows for the table of ``functional.OPERATIONS``, in the same form.

A convolution is bilinear, so its derivatives are two further convolutions; each of the three is the derivative of the others,
and that is all of its higher derivatives. A sum over windows and its spreading back are such a pair as well.

神经网络的运算与它们的导数，写成 ``functional.OPERATIONS`` 那样的行。
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from optimlab.arrays import keep, perform, sigmoid
from optimlab.functional import register
from optimlab.sparse import COO

Array = Any  # np.ndarray; in derivatives a Tensor too
Shape = tuple[int, ...]
Pair = tuple[int, int]  # for height and width
Pads = tuple[Pair, Pair]  # zeros above and below, left and right


def output_length(n: int, k: int, stride: int, pads: Pair, dilation: int, ceil: bool = False) -> int:
    """How many windows of k elements fit along an axis of n; with ``ceil`` the last may stick out."""
    room = n + sum(pads) - dilation * (k - 1) - 1
    length = (room + ceil * (stride - 1)) // stride + 1
    # a window that would begin in the padding behind the last element is left out
    return length - 1 if ceil and (length - 1) * stride >= n + pads[0] else length


def _padded(x: Array, pads: Pads, value: float = 0.0) -> Array:
    if not any(map(any, pads)):
        return x
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + list(pads), constant_values=value)


def _every(start: int, count: int, stride: int) -> slice:
    return slice(start, start + (count - 1) * stride + 1, stride)


# ---- convolution: x (n, c, h, w) with w (out, c / groups, kh, kw) gives (n, out, h', w')
#
# The columns of the kernel are laid out in memory, its rows are not: row i of the kernel meets rows i, i + 1, … of the
# image, which lie in one piece. So the copy is kw times the image, not kh · kw times, and each kernel row is one matrix
# product on a view (Cho and Brand, ICML 2017).


def _columns(x: Array, kw: int, width: int, stride: int, dilation: int, groups: int) -> Array:
    """(n, groups, c / groups · kw, h, w'): what each column of the kernel meets."""
    n, c, h, _ = x.shape
    by_n, by_c, by_h, by_w = x.strides
    view = as_strided(x, (n, c, kw, h, width), (by_n, by_c, by_w * dilation, by_h, by_w * stride), writeable=False)
    return view.reshape(n, groups, c // groups * kw, h, width)


def _kernel_rows(w: Array, groups: int) -> Array:
    """(kh, groups, out / groups, c / groups · kw): the kernel, row by row, as matrices."""
    out, c, kh, kw = w.shape
    return w.transpose(2, 0, 1, 3).reshape(kh, groups, out // groups, c * kw)


def _met_rows(columns: Array, height: int, kh: int, stride: int, dilation: int) -> Iterator[Array]:
    """For each row of the kernel, the rows of the columns that it meets: (n, groups, c / groups · kw, h', w')."""
    return (columns[..., _every(i * dilation, height, stride), :] for i in range(kh))


def _conv2d(
    x: Array, w: Array, bias: Array | None = None, *, stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    n, out, (kh, kw) = len(x), len(w), w.shape[2:]
    height, width = map(output_length, x.shape[2:], (kh, kw), stride, padding, dilation)
    columns = _columns(_padded(x, padding), kw, width, stride[1], dilation[1], groups)
    y: Array = 0
    for matrix, met in zip(
        _kernel_rows(w, groups), _met_rows(columns, height, kh, stride[0], dilation[0]), strict=True
    ):
        part = matrix @ met.reshape(*met.shape[:3], height * width)
        y = part if isinstance(y, int) else np.add(y, part, out=y)
    y = y.reshape(n, out, height, width)
    return y if bias is None else np.add(y, bias[:, None, None], out=y)


def _conv2d_input(g: Array, w: Array, size: Shape, stride: Pair, padding: Pads, dilation: Pair, groups: int) -> Array:
    """The gradient for x, of shape ``size``: each product goes back to the elements that it came from."""
    (n, c, h, _), (out, _, kh, kw), (height, width) = size, w.shape, g.shape[2:]
    (above, below), (left, right) = padding
    columns = np.zeros((n, groups, c // groups * kw, h + above + below, width), g.dtype)
    flat = g.reshape(n, groups, out // groups, height * width)
    for matrix, met in zip(
        _kernel_rows(w, groups), _met_rows(columns, height, kh, stride[0], dilation[0]), strict=True
    ):
        met += (np.swapaxes(matrix, -1, -2) @ flat).reshape(met.shape)
    columns = columns.reshape(n, c, kw, h + above + below, width)[:, :, :, above : above + h]
    x = np.zeros((*size[:3], size[3] + left + right), g.dtype)
    for j in range(kw):
        x[..., _every(j * dilation[1], width, stride[1])] += columns[:, :, j]
    return x[..., left : left + size[3]]


def _conv2d_weight(g: Array, x: Array, size: Shape, stride: Pair, padding: Pads, dilation: Pair, groups: int) -> Array:
    """The gradient for the kernel, of shape ``size``."""
    (out, c, kh, kw), (n, _, height, width) = size, g.shape
    columns = _columns(_padded(x, padding), kw, width, stride[1], dilation[1], groups)
    flat = g.reshape(n, groups, out // groups, height * width)
    w = np.empty((kh, groups, out // groups, c * kw), g.dtype)
    for i, met in enumerate(_met_rows(columns, height, kh, stride[0], dilation[0])):
        w[i] = (flat @ np.swapaxes(met.reshape(*met.shape[:3], height * width), -1, -2)).sum(axis=0)
    return w.reshape(kh, out, c, kw).transpose(1, 2, 0, 3)


# ---- windows: every operation on them goes through the kernel's positions, each a strided view of the image


def _taps(x: Array, lengths: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Iterator[Array]:
    """For each position in the kernel, the element that every window has there: (…, h', w')."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield x[..., _every(i * dilation[0], lengths[0], stride[0]), _every(j * dilation[1], lengths[1], stride[1])]


def _max_pool(a: Array, lengths: Pair, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    taps = _taps(_padded(a, padding, -math.inf), lengths, kernel, stride, dilation)
    y = np.copy(next(taps))
    for tap in taps:
        np.maximum(y, tap, out=y)
    return y


def _winners(a: Array, y: Array, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Iterator[Array]:
    """For each position in the kernel, whether it holds its window's largest element; of equal ones the first, as in torch."""
    free = np.ones(y.shape, bool)
    for tap in _taps(_padded(a, padding, -math.inf), y.shape[-2:], kernel, stride, dilation):
        won = free > (tap < y)  # free and not smaller; so where y is nan the first takes it
        yield won
        free ^= won


def _give_back(parts: Iterator[Array], size: Shape, dtype: Any, windows: tuple) -> Array:
    """An image of shape ``size``: ``parts`` added at the positions of the kernel that they belong to."""
    lengths, kernel, stride, padding, dilation = windows
    (above, below), (left, right) = padding
    x = np.zeros((*size[:-2], size[-2] + above + below, size[-1] + left + right), dtype)
    apart = all(s > d * (k - 1) for s, d, k in zip(stride, dilation, kernel, strict=True))  # no two windows overlap
    for tap, part in zip(_taps(x, lengths, kernel, stride, dilation), parts, strict=True):
        tap[...] = part if apart else tap + part
    return x[..., above : above + size[-2], left : left + size[-1]]


def _max_spread(g: Array, a: Array, y: Array, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    """The gradient of the largest elements, at the places where they stood."""
    parts = (keep(g, won) for won in _winners(a, y, kernel, stride, padding, dilation))
    return _give_back(parts, a.shape, g.dtype, (y.shape[-2:], kernel, stride, padding, dilation))


def _max_pick(g: Array, a: Array, y: Array, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    """The elements of ``g`` where ``a`` has its windows' largest."""
    taps = _taps(_padded(g, padding), y.shape[-2:], kernel, stride, dilation)
    won = _winners(a, y, kernel, stride, padding, dilation)
    return sum(map(keep, taps, won), np.zeros(y.shape, g.dtype))


def _window_sum(a: Array, lengths: Pair, kernel: Pair, stride: Pair, padding: Pads) -> Array:
    taps = _taps(_padded(a, padding), lengths, kernel, stride, (1, 1))
    return sum(taps, np.zeros((*a.shape[:-2], *lengths), a.dtype))


def _window_spread(g: Array, size: Shape, kernel: Pair, stride: Pair, padding: Pads) -> Array:
    """Each window's gradient, at every element of the window."""
    parts = (g for _ in range(math.prod(kernel)))
    return _give_back(parts, size, g.dtype, (g.shape[-2:], kernel, stride, padding, (1, 1)))


# ---- the rest


def _erf(a: Array) -> Array:
    return np.array([math.erf(x) for x in a.ravel().tolist()], a.dtype).reshape(a.shape)


def _spread_over(a: Array, axes: Shape, eps: float) -> Array:
    """The standard deviation over ``axes``, with eps in the root, as axes of length 1."""
    deviation = a - a.mean(axis=axes, keepdims=True)
    return ((deviation * deviation).mean(axis=axes, keepdims=True) + eps) ** 0.5


def _standardize(a: Array, axes: Shape, eps: float) -> Array:
    return (a - a.mean(axis=axes, keepdims=True)) / _spread_over(a, axes, eps)


def _standardize_by_a(g: Array, a: Array, y: Array, axes: Shape, eps: float) -> Array:
    """What moves the mean or the scale of ``a`` does not move the result: both components are taken out of ``g``."""
    mean, scale = g.mean(axis=axes, keepdims=True), (g * y).mean(axis=axes, keepdims=True)
    return (g - mean - y * scale) / _spread_over(a, axes, eps)


def _gelu_by_a(g: Array, a: Array) -> Array:
    below = 0.5 * (1 + perform("erf", a * math.sqrt(0.5)))  # the normal distribution function
    return g * (below + a * np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))


def _silu_by_a(g: Array, a: Array) -> Array:
    s = perform("sigmoid", a)
    return g * s * (1 + a * (1 - s))


def _embedding_by_a(g: Array, b: Array, shape: Shape, padding: int | None, sparse: bool) -> Array:
    used = b != padding if padding is not None else np.ones(b.shape, bool)
    if not sparse:
        return perform("scatter", np.where(used[..., None], g, 0), into=shape, index=b)
    if hasattr(g, "_record"):
        raise NotImplementedError("sparse gradients cannot be differentiated again; use Embedding(sparse=False)")
    return COO(b[used][None], g[used], shape)


def _cross_entropy(a: Array, b: Array) -> Array:
    shifted = a - a.max(axis=1, keepdims=True)  # exp of the largest is 1: nothing overflows
    each = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(b)), b]
    return each.sum() / a.dtype.type(len(b))  # a mean; np.mean takes three times as long


def _cross_entropy_by_a(g: Array, a: Array, b: Array, shape: Shape) -> Array:
    return (perform("softmax", a, dim=1) - (np.arange(shape[1]) == b[:, None])) * (g / len(b))


register({
    # name        value                  gradient for input a, for input b, for input c
    "conv2d": (
        _conv2d,
        lambda g, b, shape, stride, padding, dilation, groups: perform(
            "conv2d_input", g, b, size=shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda g, a, shape, stride, padding, dilation, groups: perform(
            "conv2d_weight", g, a, size=shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda g: g.sum(axis=(0, 2, 3)),
    ),
    "conv2d_input": (
        _conv2d_input,
        lambda g, b, stride, padding, dilation, groups: perform(
            "conv2d", g, b, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda g, a, shape, stride, padding, dilation, groups: perform(
            "conv2d_weight", a, g, size=shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    "conv2d_weight": (
        _conv2d_weight,
        lambda g, b, stride, padding, dilation, groups: perform(
            "conv2d", b, g, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        lambda g, a, shape, stride, padding, dilation, groups: perform(
            "conv2d_input", a, g, size=shape, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    ),
    "max_pool2d": (
        _max_pool,
        lambda g, a, y, kernel, stride, padding, dilation: perform(
            "max_spread", g, a, y, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        ),
    ),
    "max_spread": (
        _max_spread,
        lambda g, b, c, kernel, stride, padding, dilation: perform(
            "max_pick", g, b, c, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        ),
    ),
    "max_pick": (
        _max_pick,
        lambda g, b, c, kernel, stride, padding, dilation: perform(
            "max_spread", g, b, c, kernel=kernel, stride=stride, padding=padding, dilation=dilation
        ),
    ),
    "window_sum": (
        _window_sum,
        lambda g, shape, kernel, stride, padding: perform(
            "window_spread", g, size=shape, kernel=kernel, stride=stride, padding=padding
        ),
    ),
    "window_spread": (
        _window_spread,
        lambda g, shape, kernel, stride, padding: perform(
            "window_sum", g, lengths=shape[-2:], kernel=kernel, stride=stride, padding=padding
        ),
    ),
    "standardize": (_standardize, _standardize_by_a),
    "embedding": (lambda a, b, padding, sparse: a[b], _embedding_by_a),
    "erf": (_erf, lambda g, a: g * (2 / math.sqrt(math.pi)) * np.exp(-a * a)),
    "gelu": (lambda a: 0.5 * a * (1 + _erf(a * math.sqrt(0.5))), _gelu_by_a),
    "leaky_relu": (
        lambda a, slope: np.where(a > 0, a, slope * a),
        lambda g, a, slope: np.where(a > 0, g, slope * g),
    ),
    "silu": (lambda a: a * sigmoid(a), _silu_by_a),
    "elu": (
        lambda a, alpha: np.where(a > 0, a, alpha * np.expm1(np.minimum(a, 0))),
        lambda g, a, alpha: np.where(a > 0, g, g * alpha * np.exp(np.minimum(a, 0))),
    ),
    "softplus": (  # beyond the threshold a straight line, as in torch
        lambda a, beta, threshold: np.where(
            a * beta > threshold, a, np.log1p(np.exp(np.minimum(a * beta, threshold))) / beta
        ),
        lambda g, a, beta, threshold: np.where(a * beta > threshold, g, g * perform("sigmoid", a * beta)),
    ),
    "log_sigmoid": (
        lambda a: np.minimum(a, 0) - np.log1p(np.exp(-np.abs(a))),
        lambda g, a: g * perform("sigmoid", -a),
    ),
    "binary_cross_entropy": (  # the logarithms end at -100, as in torch: 0 and 1 are allowed
        lambda a, b: -(b * np.maximum(np.log(a), -100) + (1 - b) * np.maximum(np.log1p(-a), -100)),
        lambda g, a, b: g * (a - b) / np.maximum(a * (1 - a), 1e-12),
        lambda g, a: g * (np.maximum(np.log1p(-a), -100) - np.maximum(np.log(a), -100)),
    ),
    "cross_entropy": (_cross_entropy, _cross_entropy_by_a),
})  # fmt: skip
