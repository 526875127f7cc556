"""Losses: how far outputs are from targets, as one number.

损失函数。
"""

import warnings

from optimlab.functional import REDUCE, TensorError
from optimlab.nn.layers import check_floats
from optimlab.nn.module import Module
from optimlab.operators import shape_of
from optimlab.tensor import Tensor, apply, as_one_dtype


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in REDUCE:
            raise ValueError(
                f"{reduction!r} is not a valid value for reduction; choose one of {', '.join(map(repr, REDUCE))}"
            )
        self.reduction = reduction


class MSELoss(_Loss):
    """The mean of (input - target)². 均方误差。

    reduction: "mean", "sum", or "none" for every element's own.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` against ``target``, two tensors of floats of the same shape and dtype."""
        check_floats("input", input), check_floats("target", target)
        if input.shape != target.shape:
            warnings.warn(
                f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
                "lead to incorrect results due to broadcasting. Please ensure they have the same size.",
                stacklevel=3,
            )
        try:
            return apply("mse_loss", *as_one_dtype(input, target), reduction=self.reduction)
        except ValueError:
            raise TensorError(
                f"The size of tensor a {shape_of(input)} must match the size of tensor b {shape_of(target)}; "
                "reshape input or target"
            ) from None


class CrossEntropyLoss(_Loss):
    """The negative log-probability of the right class, where softmax turns the inputs into probabilities. 交叉熵。

    reduction: "mean", "sum", or "none" for every example's own.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input``, (batch, classes) of floats, against ``target``, (batch,) of class numbers."""
        check_floats("input", input)
        if not isinstance(target, Tensor) or target._array.dtype.kind not in "iu":
            kind = target.dtype if isinstance(target, Tensor) else type(target).__name__
            raise TypeError(f"target must be a Tensor of integers, one class a row, not {kind}; convert it by .long()")
        if input.ndim != 2 or shape_of(target) != (len(input),):
            raise TensorError(
                f"Expected input batch_size ({shape_of(input)}) to match target batch_size ({shape_of(target)}); "
                "input must be (batch, classes) and target (batch,)"
            )
        classes = target._array
        wrong = classes[(classes < 0) | (classes >= input.shape[1])]
        if wrong.size:
            raise IndexError(f"Target {wrong[0]} is out of bounds; classes are counted from 0 to {input.shape[1] - 1}")
        return apply("nll_loss", apply("log_softmax", input, dim=1), classes, reduction=self.reduction)
