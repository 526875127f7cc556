"""Schedules by functions of the reader's own. 由读者自己的函数决定的调度器。"""

from collections.abc import Callable
from typing import Any

from optimlab.checks import Number
from optimlab.optim.lr_scheduler.base import LRScheduler, extended, is_optimizer, number, saved_function
from optimlab.optim.optimizer import Optimizer

FACTOR = Number("Invalid factor: {value}", low=0)
Function = Callable[[int], float]


class _ByFunction(LRScheduler):
    """One function of the epoch for each group, or one for all; it returns a factor."""

    lr_lambdas: list[Function]
    _unsaved = ("optimizer", "_verbose", "lr_lambdas")  # of these, what a state can hold

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Function | list[Function], last_epoch: int = -1, verbose: bool = False
    ) -> None:
        is_optimizer(optimizer)
        groups = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"Expected {groups} lr_lambdas, but got {len(self.lr_lambdas)}; lr_lambda must be a function, or a list of "
                "them, one a group"
            )
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"lr_lambda should be a function, but got {type(function).__name__}; it is called with the epoch"
                )
        super().__init__(optimizer, last_epoch, verbose)

    def factor(self, i: int, t: float) -> float:
        """What the function of group ``i`` returns for epoch ``t``."""
        return FACTOR(f"lr_lambdas[{i}]({t})", self.lr_lambdas[i](t))  # type: ignore[arg-type]

    def _join(self, groups: list[dict[str, Any]]) -> None:
        super()._join(groups)
        self.lr_lambdas = extended("lr_lambdas", self.lr_lambdas, len(groups))

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of the functions, the attributes of callable objects. 状态字典。"""
        return super().state_dict() | {"lr_lambdas": [saved_function(f) for f in self.lr_lambdas]}

    def _load(self, state: dict[str, Any]) -> None:
        saved = state.get("lr_lambdas", [])
        if not isinstance(saved, list) or any(x is not None and not isinstance(x, dict) for x in saved):
            raise ValueError(f"lr_lambdas must be a list of dicts and None, as state_dict() returns it; got {saved!r}")
        groups = len(self.optimizer.param_groups)
        if len(saved) > groups:
            raise ValueError(
                f"Expected {groups} lr_lambdas, but got {len(saved)} in the state_dict; it is not from here"
            )
        functions = extended("lr_lambdas", self.lr_lambdas, len(saved))
        super()._load(state)
        self.lr_lambdas = functions
        for function, attributes in zip(functions, saved, strict=False):
            if attributes is not None:
                self.optimizer.later.append((vars(function).update, attributes))


class LambdaLR(_ByFunction):
    """Set the learning rate to the initial one times a function of the epoch. 学习率等于初始值乘以轮次的函数。

    lr(t) = lr(0) · lr_lambda(t). lr_lambda: a function of the epoch that returns a factor >= 0, or a list with one for each
    group. What the learning rate is now does not count: `MultiplicativeLR` multiplies that. ``epoch // 30`` is 0 for the
    first 30 epochs, and nothing is learned in them.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.LambdaLR(opt, lambda epoch: 1 / (1 + epoch))
    >>> for _ in range(3):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.1]
    """

    absolute = True

    def closed_form(self, i: int, t: float) -> float:
        return number(self.base_lrs[i]) * self.factor(i, t)


class MultiplicativeLR(_ByFunction):
    """Multiply the learning rate by a function of the epoch, each epoch anew. 每一轮都把当前学习率乘以轮次的函数。

    lr(t) = lr(t - 1) · lr_lambda(t), so lr(t) = lr(0) · lr_lambda(1) · … · lr_lambda(t). lr_lambda: a function of the epoch
    that returns a factor >= 0, or a list with one for each group. A factor of 0 leaves 0 for ever.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.4)
    >>> schedule = optim.lr_scheduler.MultiplicativeLR(opt, lambda epoch: 0.5)
    >>> for _ in range(3):
    ...     opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.05]
    """

    def advance(self, i: int, t: float) -> float:
        lr = number(self.optimizer.param_groups[i]["lr"])
        return lr if self._is_initial else lr * self.factor(i, t)
