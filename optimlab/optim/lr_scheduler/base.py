"""What every schedule is made of: one pure shape, from which both of torch's forms follow, and steps that happen whole.

所有调度器的基础：只写一个形状函数，两种写法由它推出；每一步要么全部发生，要么完全不发生。
"""

import math
import warnings
from types import FunctionType
from typing import Any

import numpy as np

from optimlab.checks import Check, Choice, Flag, MissingError, Number
from optimlab.optim.lr_scheduler.draft import Drafted, copy, same
from optimlab.optim.optimizer import Optimizer
from optimlab.tensor import Tensor

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the closed form is "
    "used instead of the new chainable form, where available."
)

LAST_EPOCH = Number(low=-1, whole=True)
EPOCH = Number("Expected non-negative epoch, but got {value}", low=0)
COUNT = Number(low=0, whole=True)
RATE = Number("Invalid learning rate: {value}", low=0)
FINITE = Number()


def number(x: Any) -> float:
    """A plain number; the one inside a tensor."""
    return x.item() if isinstance(x, Tensor) else x


def assign(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option of a group; one that is a tensor keeps its identity."""
    old = group.get(key)
    group[key] = type(old)._wrap(np.full_like(old._array, number(value))) if isinstance(old, Tensor) else number(value)


def between(low: float, high: float, share: float) -> float:
    """The value ``share`` of the way up from low to high; high itself at 1, to the last bit."""
    return high if share == 1 else low + (high - low) * share


def half_cosine(t: float, end: float = 1) -> float:
    """What is left at ``t``, from 1 at 0 to 0 at ``end``, along half a cosine."""
    return (1 + math.cos(math.pi * t / end)) / 2


FALLING = {"cos": half_cosine, "linear": lambda t: max(0.0, 1.0 - t)}  # what is left after a share of the way
ANNEAL = Choice(tuple(FALLING), "anneal_strategy must be one of 'cos' or 'linear', instead got {value}")


class ValueNumber(Number):
    """A number for which torch raises ValueError even where the type is wrong."""

    def __call__(self, name: str, value: Any) -> float:
        try:
            return super().__call__(name, value)
        except TypeError as error:
            raise ValueError(str(error)) from None


def per_group(name: str, optimizer: Optimizer, value: Any, check: Check) -> list[Any]:
    """A number for each group: ``value`` for all of them, or a list with one each."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [check(name, value)] * groups
    if len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {groups}."
        )
    return [check(f"{name}[{i}]", x) for i, x in enumerate(value)]


def extended(name: str, values: list[Any], groups: int, where: str = "") -> list[Any]:
    """``values``, one a group, for groups that were added since too: if all groups share a value, so do they."""
    if len(values) < groups and any(not same(x, values[0]) for x in values):
        raise ValueError(
            f"{name} has {len(values)} values and the optimizer has {groups} groups by now; groups have values of their "
            f"own here: append those of the new groups to {where or name}"
        )
    return values + [copy(values[0]) for _ in range(groups - len(values))]


def inherit(name: str, groups: list[dict[str, Any]], known: int) -> None:
    """Give the groups after the first ``known`` the option that those share; a group that was added with one keeps it."""
    values, where = [group[name] for group in groups[:known]], f"the dict that is added, as {name!r}"
    for group in groups[known:]:
        if name not in group:
            group[name] = extended(name, values, known + 1, where)[-1]


def saved_function(function: Any) -> dict[str, Any] | None:
    """What a state keeps of a function: the attributes of a callable object, nothing of a plain function."""
    plain = isinstance(function, (FunctionType, type)) or not hasattr(function, "__dict__")
    return None if plain else dict(vars(function))


def is_optimizer(optimizer: Any) -> None:
    """Raise TypeError for anything else."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer; optimizer must be one, such as SGD(params)")


class LRScheduler(Drafted):
    """Sets the learning rate of each group at each ``step``: the base of all schedules. 所有学习率调度器的基类。

    optimizer: whose groups' "lr" is set. last_epoch: the index of the last epoch of an interrupted run, -1 to begin; to go
    on, each group must have its "initial_lr", and keeps the learning rate it has. verbose: print every learning rate set.

    A subclass defines ``shape(t)``, a function of the epoch t = 0, 1, 2, … Then

        lr(t) = low + (initial lr - low) · shape(t)

    is the closed form (low is 0, or what ``limits`` says), and ``advance`` the chainable one, which starts from whatever the
    learning rate is now. A subclass in torch's style defines ``get_lr`` instead, and ``_get_closed_form_lr`` if it likes.
    After an error in ``step`` or ``load_state_dict`` schedule and optimizer are as before.
    """

    checks: dict[str, Check] = {}  # argument: what it must be; also what a loaded state must be
    absolute = False  # True: the closed form is the only one; what the learning rate is now does not count
    _unsaved: tuple[str, ...] = ("optimizer", "_verbose")
    _lists: tuple[str, ...] = ("base_lrs", "_last_lr")  # with a number for each group
    _optional = ("_is_initial", "_get_lr_called_within_step")  # what a state of an older version lacks

    _verbose, _verb = False, "adjusting"
    base_lrs: list[Any]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1, verbose: bool = False) -> None:
        is_optimizer(optimizer)
        last_epoch = int(LAST_EPOCH("last_epoch", last_epoch))
        for i, group in enumerate(optimizer.param_groups if last_epoch >= 0 else []):
            if "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0; load the optimizer's state first, or begin with last_epoch=-1"
                )
        self.optimizer, self._verbose = optimizer, bool(verbose)
        self.base_lrs = []
        self.last_epoch: float = last_epoch  # step(1.5) makes it a fraction
        with self._draft(building=True) as draft:
            draft._begin()

    def _begin(self) -> None:
        """The first step, on a draft."""
        self._prepare()
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", copy(group["lr"]))
        self.base_lrs = [copy(group["initial_lr"]) for group in self.optimizer.param_groups]
        self._initial_step()

    def _prepare(self) -> None:
        """What a schedule writes to the groups before its first step."""

    def _set(self, **arguments: Any) -> None:
        """Check arguments by ``checks`` and keep them as attributes."""
        for name, value in arguments.items():
            setattr(self, name, self.checks[name](name, value))

    # ---- the two forms

    def shape(self, t: float) -> float:
        """The learning rate of epoch ``t``, as a share of the initial one."""
        raise NotImplementedError(f"{type(self).__name__} must define shape() or get_lr()")

    def ratio(self, t: float) -> float | None:
        """shape(t) / shape(t - 1); None where that would divide by zero."""
        before = self.shape(t - 1)
        return self.shape(t) / before if before else None

    def limits(self, i: int) -> tuple[float, float]:
        """The learning rates of group ``i`` where shape is 0 and where it is 1."""
        return 0.0, number(self.base_lrs[i])

    def closed_form(self, i: int, t: float) -> float:
        """The learning rate of group ``i`` at epoch ``t``."""
        return between(*self.limits(i), self.shape(t))

    def advance(self, i: int, t: float) -> float:
        """The learning rate of group ``i`` at epoch ``t``, from that of epoch t - 1: it moves as the shape moves."""
        lr, (low, high) = number(self.optimizer.param_groups[i]["lr"]), self.limits(i)
        if self._is_initial:  # a run that goes on has loaded this epoch's learning rate
            return lr if t else between(low, lr, self.shape(0))
        ratio = self.ratio(t)
        return lr + (high - low) * self.shape(t) if ratio is None else between(low, lr, ratio)

    @property
    def _t(self) -> float:
        """The epoch at which the shape is read."""
        return self.last_epoch

    def get_lr(self) -> list[float]:
        """The next learning rate of each group; `get_last_lr` tells the present one."""
        self._warn_outside_step()
        if self.absolute:
            return self._get_closed_form_lr()
        return [self.advance(i, self._t) for i in range(len(self.optimizer.param_groups))]

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _get_closed_form_lr(self) -> list[float]:
        return [self.closed_form(i, self._t) for i in range(len(self.optimizer.param_groups))]

    def _has_closed_form(self) -> bool:
        """Whether ``step(epoch)`` has it; of an absolute schedule ``get_lr`` is it, also where a subclass defines that."""
        cls = type(self)
        own_shape = cls.shape is not LRScheduler.shape and not self.absolute
        return own_shape or cls._get_closed_form_lr is not LRScheduler._get_closed_form_lr

    # ---- stepping

    _step_count = 0
    _is_initial = False
    _get_lr_called_within_step = False

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to ``epoch``, and set the learning rates. 进入下一轮并更新学习率。

        Call it after ``optimizer.step()``. Raises ValueError for an epoch below 0.
        """
        if epoch is not None:
            EPOCH("epoch", epoch)
        if self._step_count == 1:
            self._warn_of_order()
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        with self._draft() as draft:
            draft._step_count += 1
            draft._move(epoch)

    def _warn_of_order(self) -> None:
        optimizer = getattr(self.optimizer, "real", self.optimizer)
        steps, own_step = getattr(optimizer, "_scheduled_at", (-1, None))
        if optimizer.__dict__.get("step") is not own_step:
            text = (
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. Please, make "
                "sure to call `optimizer.step()` before `lr_scheduler.step()`."
            )
        elif steps == optimizer._step_count and own_step is None:
            text = (
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In this order the first value of the "
                "learning rate schedule is skipped: call `optimizer.step()` first."
            )
        else:
            return
        warnings.warn(text, UserWarning, stacklevel=3)

    def _initial_step(self) -> None:
        """Take the place of epoch last_epoch + 1."""
        with self._draft() as draft:
            draft._step_count, draft._is_initial = 0, True
            draft.step()
            draft._is_initial = False

    def _update_lr(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to ``epoch``; a `SequentialLR` starts its next schedule with ``_update_lr(0)``."""
        with self._draft() as draft:
            draft._move(epoch)

    def _join(self, groups: list[dict[str, Any]]) -> None:
        """Take in groups that were added since the last step."""
        for group in groups[len(self.base_lrs) :]:
            group.setdefault("initial_lr", copy(group["lr"]))
            self.base_lrs = [*self.base_lrs, copy(group["initial_lr"])]

    def _move(self, epoch: float | None) -> None:
        groups = self.optimizer.param_groups
        self._join(groups)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._get_lr_called_within_step = True
        lrs = self._get_closed_form_lr() if epoch is not None and self._has_closed_form() else self.get_lr()
        self._get_lr_called_within_step = False
        if len(lrs) != len(groups):
            raise ValueError(f"get_lr() returned {len(lrs)} learning rates; it must return {len(groups)}, one a group")
        for i, (group, lr) in enumerate(zip(groups, lrs, strict=True)):
            FINITE(
                f"the learning rate of group {i}", lr
            )  # a negative one the optimizer refuses, if no other schedule mends it
            assign(group, "lr", lr)
        self._set_last_lr(epoch)

    def _rates(self) -> list[Any]:
        return [copy(group["lr"]) for group in self.optimizer.param_groups]

    def _set_last_lr(self, epoch: float | None = None) -> None:
        self._last_lr = self._rates()
        for i, lr in enumerate(self._last_lr):
            self.print_lr(self._verbose, i, lr, epoch)

    def _place(self, epoch: int) -> None:
        """Take the place of ``epoch`` without a change of the learning rates; -1 is before the first."""
        self.last_epoch = epoch

    _last_lr: list[Any] = []

    def get_last_lr(self) -> list[Any]:
        """The learning rate of each group, as this schedule last set it. 当前学习率，每组一个。"""
        return self._last_lr

    def print_lr(self, is_verbose: bool, group: int, lr: float, epoch: float | None = None) -> None:
        """Print the learning rate of a group, if ``is_verbose``. 打印学习率。"""
        if is_verbose and epoch is None:
            print(f"Adjusting learning rate of group {group} to {number(lr):.4e}.")
        elif is_verbose:
            text = f"{epoch:.2f}" if isinstance(epoch, float) else f"{epoch:05d}"
            print(f"Epoch {text}: {self._verb} learning rate of group {group} to {number(lr):.4e}.")

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as a plain dict. 状态字典。"""
        return {key: value for key, value in self.__dict__.items() if key not in self._unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a schedule of the same kind; the optimizer has a state of its own to load.

        载入状态字典。 The order does not matter: where the optimizer has loaded its state already, and nothing has stepped since,
        its groups go back to what it loaded. Raises TypeError or ValueError where the state does not fit.
        """
        if not isinstance(state_dict, dict):
            raise TypeError(f"state_dict must be a dict, as state_dict() returns it, not {type(state_dict).__name__}")
        with self._draft(building=True) as draft:
            draft._load(dict(state_dict))
            draft.optimizer.restore()

    def _load(self, state: dict[str, Any]) -> None:
        own = self.state_dict().keys()
        missing = own - state.keys() - set(self._optional)
        # what a subclass of the reader's has set by itself is welcome; the name of a method never is
        ours = type(self).__module__.startswith("optimlab.")
        extra = {key for key in state.keys() - own if ours or not isinstance(key, str) or hasattr(type(self), key)}
        extra -= set(self._optional)
        if missing or extra:
            raise MissingError(
                f"state_dict is not from a {type(self).__name__}: it lacks {sorted(missing)} "
                f"and has {sorted(map(str, extra))} besides"
            )
        checks: dict[str, Check] = {
            "last_epoch": Number(low=-1),
            "_step_count": COUNT,
            **dict.fromkeys(self._optional, Flag()),
            **self.checks,
        }
        state = {key: checks[key](key, value) if key in checks else value for key, value in state.items()}
        for key in state.keys() & set(self._lists):
            if ours or key != "_last_lr":  # a step() of the reader's may not keep that
                state[key] = self._numbers(key, state[key])
        self.__dict__.update(state)

    def _numbers(self, key: str, value: Any) -> list[Any]:
        """A copy of a saved list with a number for each group; groups may have been added after its last step."""
        if not isinstance(value, (list, tuple)) or len(value) > len(self.optimizer.param_groups):
            raise ValueError(
                f"{key} must be a list of {len(self.optimizer.param_groups)} numbers, one a group; got {value!r}"
            )
        for i, x in enumerate(value):
            FINITE(f"{key}[{i}]", x)
        return [copy(x) for x in value]
