"""The schedule that listens: it lowers the learning rate when a metric stops improving. 看指标行事的调度器。"""

import math
import warnings
from typing import Any

from optimlab.checks import Choice, Maybe, Number
from optimlab.optim.lr_scheduler.base import (
    COUNT,
    EPOCH,
    EPOCH_DEPRECATION_WARNING,
    RATE,
    LRScheduler,
    assign,
    is_optimizer,
    number,
)
from optimlab.optim.optimizer import Optimizer


def _any_float(name: str, value: Any) -> float:
    """A number, infinite if need be."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Invalid {name}: {value!r}; {name} must be a number, such as a loss") from None


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rate by factor when a metric has stopped improving. 指标不再改善时，学习率乘以 factor。

    ``step(metrics)`` after each epoch. An epoch is good if the metric beats the best so far by more than threshold (an equal
    one is bad; torch's docstring says otherwise); more than patience bad epochs in a row lower the learning rate, to
    max(lr · factor, min_lr), and then cooldown epochs do not count. mode: "min" if low is good, "max" if high is. factor: >= 0
    and < 1. patience, cooldown: epochs, integers >= 0. threshold: >= 0, a share of the best in threshold_mode "rel" (there a
    negative metric may get worse by as much), an amount in "abs". min_lr: >= 0, a number or a list with one for each group.
    eps: a change not above it is not made. NaN counts as bad, with a warning, which torch does not give.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
    ...     schedule.step(loss)
    ...     print(*schedule.get_last_lr())
    0.4
    0.4
    0.4
    0.2
    0.2
    """

    checks = {
        "factor": Number("Factor should be < 1.0.; got {value}", low=0, high=1, below=True),
        "patience": COUNT,
        "threshold": Number(low=0),
        "cooldown": COUNT,
        "eps": Number(low=0),
        "mode": Choice(("min", "max"), "mode {value} is unknown!"),
        "threshold_mode": Choice(("rel", "abs"), "threshold mode {value} is unknown!"),
        "default_min_lr": Maybe(RATE),
        "best": _any_float,
        "mode_worse": _any_float,
        "num_bad_epochs": COUNT,
        "cooldown_counter": COUNT,
    }
    _lists = ("_last_lr", "min_lrs")
    _verb = "reducing"
    best: float
    mode: str
    threshold_mode: str
    threshold: float
    factor: float
    patience: int
    cooldown: int
    eps: float

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
        verbose: bool = False,
    ) -> None:
        self._set(factor=factor)
        is_optimizer(optimizer)
        self.optimizer, self._verbose = optimizer, bool(verbose)
        groups = len(optimizer.param_groups)
        lowest = list(min_lr) if isinstance(min_lr, (list, tuple)) else None
        if lowest is not None and len(lowest) != groups:
            raise ValueError(
                f"expected {groups} min_lrs, got {len(lowest)}; min_lr must be a number, or one for each group"
            )
        self.default_min_lr = RATE("min_lr", min_lr) if lowest is None else None
        self.min_lrs = [RATE("min_lr", x) for x in ([min_lr] * groups if lowest is None else lowest)]
        self._set(patience=patience, cooldown=cooldown, eps=eps)
        self.last_epoch, self._last_lr = 0, self._rates()
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._set(mode=mode, threshold=threshold, threshold_mode=threshold_mode)
        self._reset()

    def _reset(self) -> None:
        """Forget what has been seen."""
        self.best, self.cooldown_counter, self.num_bad_epochs = self.mode_worse, 0, 0

    @property
    def in_cooldown(self) -> bool:
        """Whether bad epochs do not count at present."""
        return self.cooldown_counter > 0

    def _is_better(self, a: float, best: float) -> bool:
        """Whether metric ``a`` beats ``best`` by more than the threshold."""
        margin = -self.threshold if self.mode == "min" else self.threshold
        target = best + margin if self.threshold_mode == "abs" else best * (1 + margin)
        return a < target if self.mode == "min" else a > target

    def step(self, metrics: Any, epoch: float | None = None) -> None:  # type: ignore[override]
        """Take in the metric of an epoch, and lower the learning rates if it is time. 根据本轮指标决定是否降低学习率。

        Raises TypeError or ValueError where metrics is no number.
        """
        current = _any_float("metrics", metrics)
        if math.isnan(current):
            warnings.warn("metrics is nan: the epoch counts as bad", UserWarning, stacklevel=2)
        if epoch is not None:
            EPOCH("epoch", epoch)
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        with self._draft() as draft:
            draft._take(current, self.last_epoch + 1 if epoch is None else epoch)

    def _take(self, current: float, epoch: float) -> None:
        self.last_epoch = epoch
        if self._is_better(current, self.best):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr(epoch)
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    def _reduce_lr(self, epoch: float) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs) and self.default_min_lr is not None:
            self.min_lrs = [self.default_min_lr] * len(groups)
        if len(groups) != len(self.min_lrs):
            raise RuntimeError(
                f"The number of param groups in the `optimizer` ({len(groups)}) differs from when `ReduceLROnPlateau` was "
                f"initialized ({len(self.min_lrs)}), usually due to a new param group being added to the optimizer. Please "
                "modify the `min_lrs` field to match the length of the `optimizer` param groups."
            )
        for i, (group, lowest) in enumerate(zip(groups, self.min_lrs, strict=True)):
            old = number(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                assign(group, "lr", new)
                self.print_lr(self._verbose, i, new, epoch)
