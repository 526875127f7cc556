"""Schedules made of schedules: one after another, or all at once. 由调度器组成的调度器：先后衔接，或同时生效。

A composition may itself be part of one: nested, it gives what the flat form gives.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from optimlab.checks import MissingError
from optimlab.optim.lr_scheduler.base import COUNT, LAST_EPOCH, LRScheduler, assign, is_optimizer
from optimlab.optim.lr_scheduler.draft import copy
from optimlab.optim.lr_scheduler.plateau import ReduceLROnPlateau
from optimlab.optim.optimizer import Optimizer


class _Composition(LRScheduler):
    """What holds schedules of one optimizer."""

    _schedulers: list[LRScheduler]
    _unsaved = ("optimizer", "_verbose", "_schedulers")  # of these, their states

    def _hold(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None, noun: str) -> None:
        """Check and keep the schedules."""
        name = type(self).__name__
        if isinstance(schedulers, LRScheduler) or not isinstance(schedulers, Sequence):
            raise TypeError(f"{name}: schedulers must be a list of schedules, not {type(schedulers).__name__}")
        if not schedulers:
            raise ValueError(f"{name} expects at least one scheduler{noun}, but got no scheduler.")
        for i, schedule in enumerate(schedulers):
            if not hasattr(schedule, "optimizer"):
                raise TypeError(
                    f"{name} at index {i} should have `optimizer` as its attribute; {type(schedule).__name__} is no schedule"
                )
            optimizer = schedule.optimizer if optimizer is None else optimizer
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be specified "
                    f"when calling `step`, but got one at index {i} in the given schedulers sequence."
                )
            if schedule.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got scheduler "
                    f"{type(schedule).__name__} at index {i} has {schedule.optimizer}, which is different from "
                    f"{type(optimizer).__name__}."
                )
        is_optimizer(optimizer)
        self.optimizer, self._schedulers = optimizer, list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the states of the schedules within. 状态字典。"""
        return super().state_dict() | {"_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def _load(self, state: dict[str, Any]) -> None:
        states = state.pop("_schedulers", None)
        if not isinstance(states, (list, tuple)) or len(states) != len(self._schedulers):
            raise MissingError(
                f"state_dict is not from this {type(self).__name__}: '_schedulers' must be a list of "
                f"{len(self._schedulers)} states; its keys are {sorted(map(str, state))}"
            )
        held, self._schedulers = self._schedulers, []
        super()._load(state | {"_schedulers": held})
        for schedule, saved in zip(held, states, strict=True):
            schedule.load_state_dict(saved)


class SequentialLR(_Composition):
    """Follow one schedule after another; at each milestone the next begins. 依次执行各调度器，到里程碑就换下一个。

    schedulers: a list of schedules of this optimizer, each as it was just built. milestones: the epochs at which the second,
    third, … begins, integers >= 0 in order. last_epoch: as in `LRScheduler`; the schedules must have been built with it too.

    A schedule that begins at a milestone starts from the initial learning rate; one without a closed form (`MultiplicativeLR`,
    `SWALR`) from the present one. In torch a nested one reaches its first milestone an epoch early, or raises; here it
    gives what the flat form gives.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> warm = optim.lr_scheduler.ConstantLR(opt, factor=0.1, total_iters=2)
    >>> decay = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> schedule = optim.lr_scheduler.SequentialLR(opt, [warm, decay], milestones=[2])
    >>> for _ in range(4):
    ...     print(*schedule.get_last_lr())
    ...     opt.step()
    ...     schedule.step()
    0.1
    0.1
    1.0
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        is_optimizer(optimizer)
        self._hold(schedulers, optimizer, "")
        self._milestones = _in_order(list(milestones))
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone "
                f"points, but got number of schedulers {len(schedulers)} and the number of milestones to be equal to "
                f"{len(milestones)}"
            )
        self._verbose = bool(verbose)
        self.last_epoch = int(LAST_EPOCH("last_epoch", last_epoch)) + 1
        with self._draft(building=True) as draft:
            draft._begin()

    def _active(self) -> tuple[LRScheduler, int]:
        """The schedule whose turn it is, and the epoch at which it began."""
        i = bisect_right(self._milestones, self.last_epoch)
        return self._schedulers[i], self._milestones[i - 1] if i else 0

    def _begin(self) -> None:
        if self.last_epoch > 0:  # a run that goes on: the groups keep what they loaded
            self.optimizer.restore()
            self._place(int(self.last_epoch))
            self._set_last_lr()
            return
        for group in self.optimizer.param_groups:
            assign(group, "lr", group.setdefault("initial_lr", copy(group["lr"])))
        self._place(-1)
        self._initial_step()

    def _initial_step(self) -> None:
        with self._draft() as draft:
            draft.last_epoch = 0
            draft._active()[0]._initial_step()
            draft._set_last_lr()

    def _place(self, epoch: int) -> None:
        super()._place(epoch)
        for schedule, start in zip(self._schedulers, [0, *self._milestones], strict=True):
            schedule._place(max(epoch - start, -1))

    def step(self) -> None:  # type: ignore[override]
        """Go on to the next epoch and set the learning rates. 进入下一轮并更新学习率。"""
        self._update_lr()

    def _move(self, epoch: float | None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        schedule, start = self._active()
        if self.last_epoch == start:
            schedule._update_lr(0)
        else:
            schedule.step()
        self._set_last_lr()

    def _load(self, state: dict[str, Any]) -> None:
        saved = _in_order(state.get("_milestones", self._milestones))
        if len(saved) != len(self._milestones):
            raise ValueError(f"_milestones must be {len(self._milestones)} epochs; got {saved}")
        super()._load(state)


def _in_order(milestones: Any) -> list[int]:
    """Milestones as integers, if they are in order."""
    epochs = [int(COUNT(f"milestones[{i}]", epoch)) for i, epoch in enumerate(milestones)]
    if epochs != sorted(epochs):
        raise ValueError(f"Invalid milestones: {milestones}; milestones must be in order, as the schedules are")
    return epochs


class ChainedScheduler(_Composition):
    """Step several schedules together: each acts on what the one before it left. 同时推进多个调度器，效果逐个叠加。

    schedulers: a list of schedules of one optimizer. optimizer: theirs, if given. Factors of multiplying schedules
    multiply; a schedule that sets the learning rate (`LambdaLR`, `CyclicLR`, …) undoes those before it.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=1.0)
    >>> warm = optim.lr_scheduler.ConstantLR(opt, factor=0.1, total_iters=2)
    >>> decay = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> schedule = optim.lr_scheduler.ChainedScheduler([warm, decay])
    >>> for _ in range(4):
    ...     print(*schedule.get_last_lr())
    ...     opt.step()
    ...     schedule.step()
    0.1
    0.05
    0.25
    0.125
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._hold(schedulers, optimizer, " to be chained")
        self._set_last_lr()

    def _initial_step(self) -> None:
        with self._draft() as draft:
            for schedule in draft._schedulers:
                schedule._initial_step()
            draft._set_last_lr()

    def _place(self, epoch: int) -> None:
        for schedule in self._schedulers:
            schedule._place(epoch)

    def step(self) -> None:  # type: ignore[override]
        """Go on to the next epoch of every schedule, in order. 依次推进每个调度器。"""
        self._update_lr()

    def _move(self, epoch: float | None) -> None:
        first, *others = self._schedulers
        if epoch is None:
            for schedule in self._schedulers:
                schedule.step()
        else:  # at a milestone the first begins anew, and the others act on what it leaves
            first._update_lr(epoch)
            for schedule in others:
                schedule._place(-1)
                schedule._initial_step()
        self._set_last_lr()
