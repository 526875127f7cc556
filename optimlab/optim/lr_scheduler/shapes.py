"""Schedules that multiply: the learning rate moves as a shape moves, from wherever it is.

按形状缩放的调度器：学习率随形状函数同比变化，从当前值接着走。
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from optimlab.checks import Number
from optimlab.optim.lr_scheduler.base import COUNT, RATE, LRScheduler, between, half_cosine, number
from optimlab.optim.optimizer import Optimizer

GAMMA = Number(low=0)


class StepLR(LRScheduler):
    """Multiply the learning rate by gamma every step_size epochs. 每过 step_size 轮，学习率乘以 gamma。

    lr(t) = lr(0) · gamma^⌊t / step_size⌋. step_size: epochs, an integer >= 1. gamma: >= 0. Raises TypeError or ValueError
    otherwise; torch divides by zero at the first step where step_size is 0.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.1]
    """

    checks = {"step_size": Number(low=1, whole=True), "gamma": GAMMA}
    step_size: int
    gamma: float

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1, verbose: bool = False
    ) -> None:
        self._set(step_size=step_size, gamma=gamma)
        super().__init__(optimizer, last_epoch, verbose)

    def shape(self, t: float) -> float:
        return self.gamma ** (t // self.step_size)

    def ratio(self, t: float) -> float:
        return self.gamma if t and t % self.step_size == 0 else 1.0


def _milestones(name: str, value: Any) -> Counter:
    """Epochs with how often each is named: from a list of integers, or from a saved state."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be integers >= 0 in a list, not {type(value).__name__}: {value!r}")
    counts = value.items() if isinstance(value, dict) else ((t, 1) for t in value)
    found: Counter = Counter()
    for t, n in counts:
        found[COUNT(f"an epoch of {name}", t)] += int(COUNT(f"its count in {name}", n))
    return found


class MultiStepLR(LRScheduler):
    """Multiply the learning rate by gamma at each of the milestones. 每到一个里程碑轮次，学习率乘以 gamma。

    lr(t) = lr(0) · gamma^(how many milestones are <= t). milestones: epochs, integers >= 0 in any order; one that stands
    twice counts twice. gamma: >= 0. Raises TypeError or ValueError otherwise.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.MultiStepLR(opt, milestones=[2, 3], gamma=0.5)
    >>> for _ in range(4):
    ...     opt.step()
    ...     schedule.step()
    ...     print(*schedule.get_last_lr())
    0.4
    0.2
    0.1
    0.1
    """

    checks = {"milestones": _milestones, "gamma": GAMMA}
    milestones: Counter
    gamma: float

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        self._set(milestones=milestones, gamma=gamma)
        super().__init__(optimizer, last_epoch, verbose)

    def shape(self, t: float) -> float:
        return self.gamma ** sum(n for epoch, n in self.milestones.items() if epoch <= t)

    def ratio(self, t: float) -> float:
        return self.gamma ** self.milestones[t]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; the milestones as a plain dict. 状态字典。"""
        return super().state_dict() | {"milestones": dict(self.milestones)}


class ConstantLR(LRScheduler):
    """Multiply the learning rate by factor until epoch total_iters. 前 total_iters 轮，学习率是原来的 factor 倍。

    lr(t) = lr(0) · factor for t < total_iters, then lr(0). factor: > 0 and <= 1; torch accepts 0 and divides by it at the
    end. total_iters: epochs, an integer >= 0; with 0 the factor stays for ever, as in torch.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=2)
    >>> for _ in range(2):
    ...     print(*schedule.get_last_lr())
    ...     opt.step()
    ...     schedule.step()
    0.2
    0.2
    >>> schedule.get_last_lr()
    [0.4]
    """

    checks = {
        "factor": Number(
            "Constant multiplicative factor expected to be between 0 and 1.; got {value}", low=0, above=True, high=1
        ),
        "total_iters": COUNT,
    }
    factor: float
    total_iters: int

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        self._set(factor=factor, total_iters=total_iters)
        super().__init__(optimizer, last_epoch, verbose)

    def shape(self, t: float) -> float:
        return 1.0 if t < 0 or 0 < self.total_iters <= t else self.factor


class LinearLR(LRScheduler):
    """Move the learning rate along a line from start_factor to end_factor times itself. 学习率按直线从起始倍数变到结束倍数。

    lr(t) = lr(0) · (start + (end - start) · min(t, total_iters) / total_iters). start_factor: > 0 and <= 1. end_factor: 0 to
    1. total_iters: epochs, an integer >= 0; with 0 it stays at start_factor, as in torch. The table in torch's docstring is
    early by an epoch: epoch 0 has lr · start_factor.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.LinearLR(opt, start_factor=0.5, total_iters=4)
    >>> for _ in range(4):
    ...     print(f"{schedule.get_last_lr()[0]:.2f}")
    ...     opt.step()
    ...     schedule.step()
    0.20
    0.25
    0.30
    0.35
    """

    checks = {
        "start_factor": Number(
            "Starting multiplicative factor expected to be greater than 0 and less or equal to 1.; got {value}",
            low=0,
            above=True,
            high=1,
        ),
        "end_factor": Number(
            "Ending multiplicative factor expected to be between 0 and 1.; got {value}", low=0, high=1
        ),
        "total_iters": COUNT,
    }
    start_factor: float
    end_factor: float
    total_iters: int

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        self._set(start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)
        super().__init__(optimizer, last_epoch, verbose)

    def shape(self, t: float) -> float:
        share = min(t, self.total_iters) / max(self.total_iters, 1)
        return between(self.start_factor, self.end_factor, share) if t >= 0 else 1.0


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by gamma every epoch. 每一轮学习率都乘以 gamma。

    lr(t) = lr(0) · gamma^t. gamma: >= 0.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> for _ in range(3):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.05]
    """

    checks = {"gamma": GAMMA}
    gamma: float

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1, verbose: bool = False) -> None:
        self._set(gamma=gamma)
        super().__init__(optimizer, last_epoch, verbose)

    def shape(self, t: float) -> float:
        return self.gamma**t

    def ratio(self, t: float) -> float:  # the shape is too small for a quotient after some thousand epochs
        return self.gamma


class PolynomialLR(LRScheduler):
    """Lower the learning rate to zero over total_iters epochs, along a power of what is left. 学习率按多项式衰减到零。

    lr(t) = lr(0) · (1 - min(t, total_iters) / total_iters)^power. total_iters: epochs, an integer >= 0; with 0 nothing
    changes, as in torch. power: >= 0; 1 is a line. The table in torch's docstring is early by an epoch.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.PolynomialLR(opt, total_iters=4, power=2)
    >>> for _ in range(4):
    ...     opt.step()
    ...     schedule.step()
    ...     print(f"{schedule.get_last_lr()[0]:.3f}")
    0.225
    0.100
    0.025
    0.000
    """

    checks = {"total_iters": COUNT, "power": Number(low=0)}
    total_iters: int
    power: float

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        self._set(total_iters=total_iters, power=power)
        super().__init__(optimizer, last_epoch, verbose)

    def shape(self, t: float) -> float:
        return (1.0 - min(t, self.total_iters) / max(self.total_iters, 1)) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Lower the learning rate to eta_min along half a cosine. 学习率沿半个余弦降到 eta_min。

    lr(t) = eta_min + (lr(0) - eta_min) · (1 + cos(π t / T_max)) / 2. T_max: epochs, > 0; after it the learning rate rises
    again. eta_min: the lowest learning rate, >= 0; one above lr(0) turns the curve over. Source: Loshchilov, Hutter, "SGDR:
    Stochastic Gradient Descent with Warm Restarts", ICLR 2017, https://arxiv.org/abs/1608.03983, without the restarts.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.CosineAnnealingLR(opt, T_max=2)
    >>> for _ in range(2):
    ...     opt.step()
    ...     schedule.step()
    ...     print(f"{schedule.get_last_lr()[0]:.4f}")
    0.2000
    0.0000
    """

    checks = {"T_max": Number(low=0, above=True), "eta_min": RATE}
    T_max: float
    eta_min: float

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1, verbose: bool = False
    ) -> None:
        self._set(T_max=T_max, eta_min=eta_min)
        super().__init__(optimizer, last_epoch, verbose)

    def limits(self, i: int) -> tuple[float, float]:
        return self.eta_min, number(self.base_lrs[i])

    def shape(self, t: float) -> float:
        return half_cosine(t, self.T_max)
