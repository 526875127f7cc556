"""Losses: how far outputs are from targets, as one number; as functions, and as modules.

损失函数：函数形式与模块形式。
"""

import warnings
from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.functional import REDUCE, TensorError
from optimlab.nn.module import Module
from optimlab.operators import shape_of
from optimlab.tensor import Tensor, apply, as_one_dtype

_SMOOTHING = Number("label_smoothing must be between 0.0 and 1.0. Got: {value}", 0, 1)
_POSITIVE = Number("Invalid {name}: {value}", 0, above=True)


def check_floats(name: str, value: Any) -> Tensor:
    """``value`` if it is a tensor of floats; TypeError otherwise."""
    if not isinstance(value, Tensor) or value._array.dtype.kind != "f":
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name} must be a Tensor of floats, not {kind}; convert it by tensor(...) or .float()")
    return value


def check_reduction(reduction: str) -> str:
    """``reduction`` if it is "mean", "sum" or "none"; ValueError otherwise."""
    if reduction not in REDUCE:
        raise ValueError(
            f"{reduction!r} is not a valid value for reduction; choose one of {', '.join(map(repr, REDUCE))}"
        )
    return reduction


def _reduce(loss: Any, reduction: str) -> Tensor:
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean()


def _pair(input: Tensor, target: Tensor, reduction: str, strict: bool = False) -> tuple[Tensor, Tensor]:
    """Input and target in one dtype, input's floats; other shapes are doubtful. Where strict, these and integers are refused."""
    check_floats("input", input), check_reduction(reduction)
    if strict or not isinstance(target, Tensor):  # whole numbers may be regressed on
        check_floats("target", target)
    if input.shape != target.shape:
        sizes = f"Using a target size ({target.shape}) that is different to the input size ({input.shape})"
        if strict:
            raise ValueError(f"{sizes}; they must be the same: reshape one of them")
        warnings.warn(
            f"{sizes}. This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=4,
        )
        try:
            np.broadcast_shapes(input.shape, target.shape)
        except ValueError:
            raise TensorError(
                f"The size of tensor a {shape_of(input)} must match the size of tensor b {shape_of(target)}; "
                "reshape input or target"
            ) from None
    return as_one_dtype(input, target)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)², averaged, summed, or each its own ("none"). 均方误差。"""
    return apply("mse_loss", *_pair(input, target, reduction), reduction=reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """\\|input - target\\|, averaged, summed, or each its own ("none"). 平均绝对误差。"""
    a, b = _pair(input, target, reduction)
    return _reduce((a - b).abs(), reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d²/2 where d = \\|input - target\\| is below delta, and the tangent there, delta · (d - delta/2), above. Huber 损失。"""
    a, b = _pair(input, target, reduction)
    delta = _POSITIVE("delta", delta)
    e = a - b
    d = e.abs()
    loss = apply("where", d._array < delta, 0.5 * e * e, (d - 0.5 * delta) * delta)
    return _reduce(loss, reduction)._called("HuberLoss")


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """`huber_loss` over beta: slope 1 from beta on; with beta = 0 it is `l1_loss`. 平滑的绝对误差。"""
    beta = Number("Invalid {name}: {value}", 0)("beta", beta)
    if beta == 0:
        return l1_loss(input, target, reduction)
    return (huber_loss(input, target, reduction, beta) / beta)._called("SmoothL1Loss")


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)) for probabilities p = input and t = target, both in [0, 1]. 二元交叉熵。"""
    p, t = _pair(input, target, reduction, strict=True)
    for name, x in (("input", p), ("target", t)):
        if not ((x._array >= 0) & (x._array <= 1)).all():
            raise TensorError(
                f"all elements of {name} should be between 0 and 1; for scores use binary_cross_entropy_with_logits"
            )
    loss = apply("binary_cross_entropy", p, t)
    return _reduce(loss if weight is None else loss * weight, reduction)._called("BinaryCrossEntropy")


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input): input is a score, any number. 以打分为输入的二元交叉熵。

    pos_weight: how much more a positive example counts, of a shape that broadcasts to target's.
    """
    x, t = _pair(input, target, reduction, strict=True)
    positive = t if pos_weight is None else t * pos_weight
    # log(1 - sigmoid(x)) is log(sigmoid(x)) - x
    loss = (1 - t) * x - (1 - t + positive) * apply("log_sigmoid", x)
    return _reduce(loss if weight is None else loss * weight, reduction)._called("BinaryCrossEntropyWithLogits")


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (log t - x) for log-probabilities x = input and probabilities t = target, or with log_target their logarithms. KL 散度。

    reduction: "batchmean", the sum over the number of examples, is what the divergence is defined as; "mean", "sum", "none".
    """
    batch = reduction == "batchmean"
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by "
            "the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    x, t = _pair(input, target, "sum" if batch else reduction)
    log = t if log_target else apply("where", t._array > 0, t, 1.0).log()  # 0 log 0 is 0
    each = t.exp() * (log - x) if log_target else t * log - t * x
    loss = _reduce(each, "sum" if batch else reduction)
    return loss / len(input) if batch else loss


def _check_classes(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> bool:
    """Raise where target does not number classes of input; returns whether some targets are ignored."""
    if not isinstance(target, Tensor) or target._array.dtype.kind not in "iu":
        kind = target.dtype if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"target must be a Tensor of integers, one class a row, not {kind}; convert it by .long()")
    shape, numbers = input._array.shape, target._array
    if not shape:
        raise TensorError("input must be (batch, classes, …) or (classes,), not one number")
    classes = shape[1] if len(shape) > 1 else shape[0]
    expected = (*shape[:1], *shape[2:]) if len(shape) > 1 else ()
    if numbers.shape != expected:
        if numbers.ndim and len(shape) > 1 and len(input) != len(target):
            raise TensorError(
                f"Expected input batch_size ({len(input)}) to match target batch_size ({len(target)}): "
                f"input is {shape}, target {numbers.shape}; input must be (batch, classes) and target (batch,)"
            )
        raise TensorError(
            f"Expected target size {list(expected)}, got {list(numbers.shape)}; input must be (batch, classes, …), "
            "target (batch, …)"
        )
    if weight is not None and shape_of(weight) != (classes,):
        raise TensorError(
            f"weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(weight.shape)}"
        )
    low, high = numbers.min(initial=0), numbers.max(initial=0)
    if low >= 0 and high < classes and not 0 <= ignore_index < classes:
        return False  # nearly always
    ignored = numbers == ignore_index
    wrong = numbers[((numbers < 0) | (numbers >= classes)) & ~ignored]
    if wrong.size:
        raise IndexError(f"Target {wrong[0]} is out of bounds; classes are counted from 0 to {classes - 1}")
    return bool(ignored.any())


def _of_class(
    logs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float = 0.0
) -> Tensor:
    """The loss of log-probabilities against class numbers."""
    classes, dtype, axis = target._array, logs._array.dtype, min(1, logs.ndim - 1)
    counted = classes != ignore_index
    if logs.ndim == 2 and weight is None and smoothing == 0 and counted.all():
        return apply("nll_loss", logs, classes.copy(), reduction=reduction)
    classes = np.where(counted, classes, 0)
    of_class = np.ones(logs.shape[axis], dtype) if weight is None else weight._array
    of_each = (of_class[classes] * counted).astype(dtype)
    index = [*np.ix_(*map(np.arange, classes.shape))]
    index.insert(axis, classes)
    loss = apply("where", counted, -logs[tuple(index)], 0.0) * of_each
    if smoothing:
        column = of_class.reshape(-1, *[1] * (logs.ndim - axis - 1))
        everywhere = -(logs * column).sum(dim=axis) * counted.astype(dtype) / len(of_class)
        loss = (1 - smoothing) * loss + smoothing * everywhere
    loss = loss.sum() / of_each.sum() if reduction == "mean" else _reduce(loss, reduction)
    label = "NllLoss" if logs.ndim < 3 else "View" if logs.ndim == 3 and reduction == "none" else "NllLoss2D"
    return loss._called("Add" if smoothing else label)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-log p of the right class, where input = log p: (batch, classes, …) with target (batch, …) of class numbers. 负对数似然。

    weight: (classes,), what an example of each class counts; the mean is weighted too. ignore_index: targets that do not count.
    """
    check_floats("input", input), check_reduction(reduction)
    _check_classes(input, target, weight, ignore_index)
    return _of_class(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """-log p of the right class, where softmax turns the scores in input, (batch, classes, …), into p. 交叉熵。

    target: (batch, …) of class numbers, or probabilities of input's shape. The rest as in `nll_loss`.
    """
    check_floats("input", input), check_reduction(reduction)
    label_smoothing = _SMOOTHING("label_smoothing", label_smoothing)
    axis = min(1, input.ndim - 1)
    if isinstance(target, Tensor) and target.is_floating_point() and target.shape == input.shape:
        wanted = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
        if weight is not None:
            column = [1] * input.ndim
            column[axis] = -1
            wanted = wanted * weight.reshape(*column)
        gain = (apply("log_softmax", input, dim=axis) * wanted).sum(dim=axis)
        if reduction == "none":
            return -gain
        return -gain.sum() if reduction == "sum" else (-gain.sum() / gain.numel())._called("Div", 1)
    ignored = _check_classes(input, target, weight, ignore_index)
    if reduction == "mean" and weight is None and not (label_smoothing or ignored) and input.ndim == 2 and len(input):
        return apply("cross_entropy", input, target._array.copy())
    return _of_class(apply("log_softmax", input, dim=axis), target, weight, ignore_index, reduction, label_smoothing)


class _Loss(Module):
    """A loss function with its options. 带选项的损失函数。"""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction(reduction)


class MSELoss(_Loss):
    """The mean of (input - target)². 均方误差。

    reduction: "mean", "sum", or "none" for every element's own.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` against ``target``, two tensors of floats of the same shape."""
        return mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """The mean of \\|input - target\\|. 平均绝对误差。"""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` against ``target``, two tensors of floats of the same shape."""
        return l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """Squared near 0, linear from beta on, with slope 1. 平滑的绝对误差。"""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = Number("Invalid {name}: {value}", 0)("beta", beta)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` against ``target``, two tensors of floats of the same shape."""
        return smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """Half the square near 0, linear from delta on, with slope delta. Huber 损失。"""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = _POSITIVE("delta", delta)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` against ``target``, two tensors of floats of the same shape."""
        return huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(_Loss):
    """How far probabilities are from those that the input gives the logarithms of, `functional.kl_div`. KL 散度。"""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("sum" if reduction == "batchmean" else reduction)
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of log-probabilities ``input`` against probabilities ``target``, of the same shape."""
        return kl_div(input, target, self.reduction, self.log_target)


class _Weighted(_Loss):
    """A loss with a weight for each class or element, which belongs to its state."""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class BCELoss(_Weighted):
    """Binary cross-entropy of probabilities; `BCEWithLogitsLoss` takes scores. 二元交叉熵。"""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` against ``target``, both in [0, 1] and of the same shape."""
        return binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Weighted):
    """Binary cross-entropy of sigmoid(input). 以打分为输入的二元交叉熵。

    pos_weight: how much more a positive example counts, of a shape that broadcasts to target's.
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of scores ``input`` against ``target`` in [0, 1], of the same shape."""
        return binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class NLLLoss(_Weighted):
    """The negative log-probability of the right class, of log-probabilities. 负对数似然。

    weight: (classes,), what an example of each class counts. ignore_index: targets that do not count.
    """

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input``, (batch, classes, …) of log-probabilities, against ``target``, (batch, …) of class numbers."""
        return nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(_Weighted):
    """The negative log-probability of the right class, where softmax turns the inputs into probabilities. 交叉熵。

    weight: (classes,), what an example of each class counts. ignore_index: targets that do not count. reduction: "mean",
    "sum", or "none" for every example's own. label_smoothing: the share of each target that goes to all classes alike, in [0, 1].
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = _SMOOTHING("label_smoothing", label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of scores ``input``, (batch, classes, …), against ``target``: class numbers (batch, …), or probabilities."""
        return cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)
