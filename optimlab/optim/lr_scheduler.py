"""Learning-rate schedules: one pure shape each, from which the base class derives both of torch's forms.

学习率调度器：每个调度器只写一个形状函数，两种等价的写法都由基类推出。
"""

import math
import warnings
from typing import Any

from optimlab.autograd import no_grad
from optimlab.checks import Check, MissingError, Number
from optimlab.optim.optimizer import Optimizer
from optimlab.tensor import Tensor

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler; the learning rate is now set to the closed form at that epoch."
)

LAST_EPOCH = Number(low=-1, whole=True)
EPOCH = Number(low=0)
COUNT = Number(low=0, whole=True)
FINITE = Number()


class LRScheduler:
    """Sets the learning rate of each group at each ``step``: the base of all schedules. 所有学习率调度器的基类。

    optimizer: whose groups' "lr" is set. last_epoch: the index of the last epoch of an interrupted run, -1 to begin; to go
    on, each group must have its "initial_lr". verbose: print every learning rate that is set.

    A subclass defines ``shape(t)``, a function of the epoch t = 0, 1, 2, … with shape(0) = 1. Then

        lr(t) = floor + (initial lr - floor) · shape(t)

    is the closed form, and ``advance`` the chainable one, which starts from whatever the learning rate is now. A subclass in
    torch's style defines ``get_lr`` instead.
    """

    checks: dict[str, Check] = {}  # argument: what it must be; also what a loaded state must be
    floor: float = 0.0
    _unsaved = ("optimizer", "_verbose")
    _optional = ("_is_initial", "_get_lr_called_within_step")  # what a state of an older version lacks

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1, verbose: bool = False) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(optimizer).__name__} is not an Optimizer; optimizer must be one, such as SGD(params)"
            )
        last_epoch = int(LAST_EPOCH("last_epoch", last_epoch))
        if last_epoch >= 0:
            for i, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(
                        f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                        "last_epoch >= 0; load the optimizer's state first, or begin with last_epoch=-1"
                    )
        self.optimizer, self._verbose = optimizer, bool(verbose)
        fresh = [group for group in optimizer.param_groups if "initial_lr" not in group]
        for group in fresh:
            group["initial_lr"] = _copy(group["lr"])
        self.base_lrs: list[Any] = [_copy(group["initial_lr"]) for group in optimizer.param_groups]
        first = "_scheduled_at" not in optimizer.__dict__
        optimizer.__dict__.setdefault("_scheduled_at", optimizer._step_count)  # the first schedule came at this step
        self.last_epoch: float = last_epoch  # step(1.5) makes it a fraction
        self._step_count = 0
        self._get_lr_called_within_step = False
        self._last_lr: list[Any] = []
        self._is_initial = True
        try:
            self.step()
        except BaseException:
            for group in fresh:
                del group["initial_lr"]
            if first:
                del optimizer.__dict__["_scheduled_at"]
            raise
        finally:
            self._is_initial = False

    def _set(self, **arguments: Any) -> None:
        """Check arguments by ``checks`` and keep them as attributes."""
        for name, value in arguments.items():
            setattr(self, name, self.checks[name](name, value))

    # ---- the two forms

    def shape(self, t: float) -> float:
        """The learning rate of epoch ``t``, as a share of the initial one."""
        raise NotImplementedError

    def ratio(self, t: float) -> float | None:
        """shape(t) / shape(t - 1); None where that would divide by zero."""
        before = self.shape(t - 1)
        return self.shape(t) / before if before else None

    def closed_form(self, base: float, t: float) -> float:
        """The learning rate of epoch ``t`` of a group that began with ``base``."""
        return self.floor + (base - self.floor) * self.shape(t)

    def advance(self, lr: float, base: float, t: float) -> float:
        """The learning rate of epoch ``t``, where that of epoch t - 1 is ``lr``: it moves as the shape moves."""
        if t == 0:
            return lr
        ratio = self.ratio(t)
        if ratio is None:
            return lr + (base - self.floor) * self.shape(t)
        return self.floor + (lr - self.floor) * ratio

    def get_lr(self) -> list[float]:
        """The next learning rate of each group; `get_last_lr` tells the present one."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=2,
            )
        if type(self).shape is LRScheduler.shape:
            raise NotImplementedError(f"{type(self).__name__} must define shape() or get_lr()")
        return [
            self.advance(_number(group["lr"]), _number(base), self.last_epoch)
            for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        ]

    def _get_closed_form_lr(self) -> list[float]:
        return [self.closed_form(_number(base), self.last_epoch) for base in self.base_lrs]

    def _has_closed_form(self) -> bool:
        cls = type(self)
        return cls.shape is not LRScheduler.shape or cls._get_closed_form_lr is not LRScheduler._get_closed_form_lr

    # ---- stepping

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to ``epoch``, and set the learning rates. 进入下一轮并更新学习率。

        Call it after ``optimizer.step()``. Raises ValueError for an epoch below 0; after an error nothing has changed.
        """
        if epoch is not None:
            EPOCH("epoch", epoch)
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        if self._step_count == 1 and self.optimizer._step_count == self.optimizer.__dict__.get("_scheduled_at", -1):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In this order the first value of the "
                "learning rate schedule is skipped: call `optimizer.step()` first.",
                UserWarning,
                stacklevel=2,
            )
        groups = self.optimizer.param_groups
        before = self.last_epoch, list(self.base_lrs)
        self._get_lr_called_within_step = True
        try:
            for group in groups[len(self.base_lrs) :]:  # groups that were added since
                self.base_lrs.append(_copy(group.get("initial_lr", group["lr"])))
            self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
            lrs = self._get_closed_form_lr() if epoch is not None and self._has_closed_form() else self.get_lr()
            if len(lrs) != len(groups):
                raise ValueError(
                    f"get_lr() returned {len(lrs)} learning rates; it must return {len(groups)}, one a group"
                )
            for i, lr in enumerate(lrs):
                FINITE(f"the learning rate of group {i}", lr)
        except BaseException:
            self.last_epoch, self.base_lrs = before
            raise
        finally:
            self._get_lr_called_within_step = False
        self._step_count += 1
        for group, base, lr in zip(groups, self.base_lrs, lrs, strict=True):
            group.setdefault("initial_lr", _copy(base))
            _assign(group, lr)
        self._last_lr = [_copy(group["lr"]) for group in groups]
        for i, lr in enumerate(self._last_lr):
            self.print_lr(self._verbose, i, lr, epoch)

    def get_last_lr(self) -> list[Any]:
        """The learning rate of each group, as this schedule last set it. 当前学习率，每组一个。"""
        return self._last_lr

    def print_lr(self, is_verbose: bool, group: int, lr: float, epoch: float | None = None) -> None:
        """Print the learning rate of a group, if ``is_verbose``. 打印学习率。"""
        if is_verbose and epoch is None:
            print(f"Adjusting learning rate of group {group} to {_number(lr):.4e}.")
        elif is_verbose:
            text = f"{epoch:.2f}" if isinstance(epoch, float) else f"{epoch:05d}"
            print(f"Epoch {text}: adjusting learning rate of group {group} to {_number(lr):.4e}.")

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as a plain dict. 状态字典。"""
        return {key: value for key, value in self.__dict__.items() if key not in self._unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a schedule of the same kind; the optimizer has a state of its own to load.

        载入状态字典。 Raises TypeError or ValueError where it does not fit, and then nothing has changed.
        """
        if not isinstance(state_dict, dict):
            raise TypeError(f"state_dict must be a dict, as state_dict() returns it, not {type(state_dict).__name__}")
        own = self.state_dict().keys()
        missing = own - state_dict.keys() - set(self._optional)
        # what a subclass of the reader's has set by itself is welcome; the name of a method never is
        ours = type(self).__module__ == __name__
        extra = {key for key in state_dict.keys() - own if ours or not isinstance(key, str) or hasattr(type(self), key)}
        if missing or extra:
            raise MissingError(
                f"state_dict is not from a {type(self).__name__}: it lacks {sorted(missing)} "
                f"and has {sorted(map(str, extra))} besides"
            )
        checks = self.checks | {"last_epoch": LAST_EPOCH, "_step_count": COUNT}
        checked = {key: checks[key](key, value) if key in checks else value for key, value in state_dict.items()}
        for key in ("base_lrs", "_last_lr"):
            if key == "_last_lr" and not checked[key] and not ours:
                continue  # a step() of the reader's may not keep it
            if not isinstance(checked[key], (list, tuple)) or len(checked[key]) != len(self.optimizer.param_groups):
                wanted = f"{len(self.optimizer.param_groups)} learning rates, one a group"
                raise ValueError(f"{key} must be a list of {wanted}; got {checked[key]!r}")
            for i, lr in enumerate(checked[key]):
                FINITE(f"{key}[{i}]", lr)
            checked[key] = [_copy(lr) for lr in checked[key]]
        self.__dict__.update(checked)


_LRScheduler = LRScheduler  # its name until torch 2.0


def _number(lr: Any) -> float:
    return lr.item() if isinstance(lr, Tensor) else lr


def _copy(lr: Any) -> Any:
    return lr.detach().clone() if isinstance(lr, Tensor) else lr


def _assign(group: dict[str, Any], lr: Any) -> None:
    """Set a group's learning rate; one that is a tensor keeps its identity."""
    if isinstance(group["lr"], Tensor):
        with no_grad():
            group["lr"].fill_(_number(lr))
    else:
        group["lr"] = _number(lr)


class StepLR(LRScheduler):
    """Multiply the learning rate by gamma every step_size epochs. 每隔 step_size 轮，学习率乘以 gamma。

    lr(t) = lr(0) · gamma^⌊t / step_size⌋. step_size: epochs, an integer >= 1. gamma: >= 0.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.1]
    """

    checks = {"step_size": Number(low=1, whole=True), "gamma": Number(low=0)}
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
        return self.gamma if t % self.step_size == 0 else 1.0


class CosineAnnealingLR(LRScheduler):
    """Lower the learning rate to eta_min along half a cosine. 学习率沿半个余弦降到 eta_min。

    lr(t) = eta_min + (lr(0) - eta_min) · (1 + cos(π t / T_max)) / 2. T_max: epochs, > 0; after it the learning rate rises
    again. eta_min: the lowest learning rate. Source: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", ICLR 2017, without the restarts.

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

    checks = {"T_max": Number(low=0, above=True), "eta_min": FINITE}
    T_max: float
    eta_min: float

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1, verbose: bool = False
    ) -> None:
        self._set(T_max=T_max, eta_min=eta_min)
        super().__init__(optimizer, last_epoch, verbose)

    @property
    def floor(self) -> float:  # type: ignore[override]
        return self.eta_min

    def shape(self, t: float) -> float:
        return (1 + math.cos(math.pi * t / self.T_max)) / 2

    def get_lr(self) -> list[float]:
        if self._is_initial and self.last_epoch > 0:  # a run that goes on finds its place on the curve
            return self._get_closed_form_lr()
        return super().get_lr()
