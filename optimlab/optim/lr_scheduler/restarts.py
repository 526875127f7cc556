"""The schedule that begins again and again. 反复重启的调度器。"""

import math

from optimlab.checks import Number
from optimlab.optim.lr_scheduler.base import (
    EPOCH,
    LAST_EPOCH,
    LRScheduler,
    ValueNumber,
    between,
    half_cosine,
    number,
)
from optimlab.optim.optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """Lower the learning rate along half a cosine, again and again from the top. 学习率沿余弦下降，到期后重启。

    lr(t) = eta_min + (lr(0) - eta_min) · (1 + cos(π T_cur / T_i)) / 2, T_cur epochs after a restart. T_0: epochs until the
    first restart, an integer >= 1. T_mult: each cycle is so many times as long as the one before, an integer >= 1. eta_min:
    the lowest learning rate, >= 0. ``step(epoch)`` takes fractions: ``step(epoch + i / n)`` after batch i of n.

    Source: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    https://arxiv.org/abs/1608.03983. torch finds the cycle of ``step(epoch)`` with a logarithm, which rounds: with T_0=1 and
    T_mult=3 it misses the restart at epoch 121.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1)
    >>> schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=2)
    >>> for _ in range(5):
    ...     print(f"{schedule.get_last_lr()[0]:.2f}")
    ...     schedule.step()
    0.10
    0.05
    0.10
    0.05
    0.10
    """

    checks = {
        "T_0": ValueNumber("Expected positive integer T_0, but got {value}", low=1, whole=True),
        "T_mult": ValueNumber("Expected integer T_mult >= 1, but got {value}", low=1, whole=True),
        "eta_min": ValueNumber("Expected float or int eta_min, but got {value}", low=0),
        "T_cur": Number(low=0),
        "T_i": Number(low=1),
    }
    T_0: int
    T_mult: int
    eta_min: float

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        self._set(T_0=T_0)
        self.T_i = self.T_0
        self._set(T_mult=T_mult, eta_min=eta_min)
        self.T_cur = LAST_EPOCH("last_epoch", last_epoch)
        super().__init__(optimizer, last_epoch, verbose)

    def limits(self, i: int) -> tuple[float, float]:
        return self.eta_min, number(self.base_lrs[i])

    def shape(self, t: float) -> float:
        return half_cosine(*self._in_cycle(t, self.T_0))

    def _in_cycle(self, t: float, length: int) -> tuple[float, int]:
        """Epochs since the last restart, and the cycle's length, ``t`` epochs after the start of a cycle of ``length``."""
        if self.T_mult == 1:
            return t % length, length
        while t >= length:
            t, length = t - length, length * self.T_mult
        return t, length

    def get_lr(self) -> list[float]:
        self._warn_outside_step()
        share = half_cosine(self.T_cur, self.T_i)
        return [between(*self.limits(i), share) for i in range(len(self.optimizer.param_groups))]

    def _has_closed_form(self) -> bool:
        return False  # get_lr is one already

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to ``epoch``, which may be a fraction. 进入下一轮，或跳到指定（可为小数的）轮次。"""
        if epoch is not None:
            EPOCH("epoch", epoch)
        self._update_lr(epoch)

    def _move(self, epoch: float | None) -> None:
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur, self.T_i = self._in_cycle(self.T_cur + 1, self.T_i)
        else:
            epoch = epoch or 0
            self.T_cur, self.T_i = self._in_cycle(epoch, self.T_0)
        super()._move(math.floor(epoch))

    def _place(self, epoch: int) -> None:
        super()._place(epoch)
        self.T_cur, self.T_i = self._in_cycle(max(epoch, 0), self.T_0)
