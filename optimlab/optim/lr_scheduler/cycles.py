"""Schedules that cycle, between bounds or once. 循环的调度器：在上下界之间往复，或只循环一次。"""

import math
from collections.abc import Callable
from typing import Any

from optimlab.checks import Choice, Flag, Number
from optimlab.optim.lr_scheduler.base import (
    ANNEAL,
    FALLING,
    FINITE,
    RATE,
    LRScheduler,
    ValueNumber,
    assign,
    between,
    extended,
    inherit,
    is_optimizer,
    number,
    per_group,
    saved_function,
)
from optimlab.optim.optimizer import Optimizer

ABOVE_ZERO = Number(low=0, above=True)
SHARE = ValueNumber("Expected float between 0 and 1 pct_start, but got {value}", 0, 1)
MOMENTUM = Number(low=0)


class _Cycles(LRScheduler):
    """What may move momentum, or Adam's beta1, the other way round."""

    absolute = True
    use_beta1: bool

    def _set_momenta(self, optimizer: Optimizer, cycle_momentum: bool, **momenta: Any) -> dict[str, list[float]]:
        """Check the arguments about momentum; what each group gets by name."""
        self.cycle_momentum = Flag()("cycle_momentum", cycle_momentum)
        if not cycle_momentum:
            return {}
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled; "
                f"{type(optimizer).__name__} has neither: pass cycle_momentum=False"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        return {name: per_group(name, optimizer, value, MOMENTUM) for name, value in momenta.items()}

    def momentum(self, i: int, t: float) -> float:
        """The momentum, or beta1, of group ``i`` at epoch ``t``."""
        raise NotImplementedError

    def _move(self, epoch: float | None) -> None:
        super()._move(epoch)
        for i, group in enumerate(self.optimizer.param_groups if self.cycle_momentum else []):
            if self.use_beta1:
                group["betas"] = (self.momentum(i, self._t), *group["betas"][1:])
            else:
                assign(group, "momentum", self.momentum(i, self._t))


SCALES: dict[str, tuple[str, Callable[[float, float], float]]] = {  # mode: what x counts, and the amplitude
    "triangular": ("cycle", lambda gamma, x: 1.0),
    "triangular2": ("cycle", lambda gamma, x: 0.5 ** (x - 1)),
    "exp_range": ("iterations", lambda gamma, x: gamma**x),
}


class CyclicLR(_Cycles):
    """Move the learning rate up and down between two bounds, momentum the other way. 学习率在上下界间循环，动量反向变化。

    lr(t) = base_lr + (max_lr - base_lr) · triangle(t) · scale. Call ``step`` after each batch. base_lr, max_lr: >= 0, a number
    or a list with one for each group, base_lr <= max_lr; base_lr replaces the optimizer's. step_size_up, step_size_down:
    batches, > 0 and >= 0; down is up unless given. mode: the scale is 1 ("triangular"), halves with each cycle
    ("triangular2"), or is gamma^t ("exp_range"). scale_fn: a function that replaces it; its argument is the number of the
    cycle, from 1, or for scale_mode="iterations" t itself, counted from the start (torch's docstring says: of the cycle).
    cycle_momentum: move momentum, or beta1, from max_momentum down to base_momentum and back. So gamma lowers the peaks and
    leaves the lower bound.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, https://arxiv.org/abs/1506.01186.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1)
    >>> schedule = optim.lr_scheduler.CyclicLR(opt, base_lr=0.1, max_lr=0.5, step_size_up=2)
    >>> for _ in range(5):
    ...     print(f"{schedule.get_last_lr()[0]:.1f} {opt.param_groups[0]['momentum']:.2f}")
    ...     opt.step()
    ...     schedule.step()
    0.1 0.90
    0.3 0.85
    0.5 0.80
    0.3 0.85
    0.1 0.90
    """

    checks = {
        "total_size": ABOVE_ZERO,
        "step_ratio": Number(low=0, high=1, above=True),
        "gamma": Number(low=0),
        "scale_mode": Choice(("cycle", "iterations")),
        "cycle_momentum": Flag(),
    }
    _unsaved = ("optimizer", "_verbose", "_scale_fn_custom")
    _lists = (*LRScheduler._lists, "max_lrs", "base_momentums", "max_momentums")
    gamma: float
    scale_mode: str

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        is_optimizer(optimizer)
        self._bounds = per_group("base_lr", optimizer, base_lr, RATE)
        self.max_lrs = per_group("max_lr", optimizer, max_lr, RATE)
        for low, high in zip(self._bounds, self.max_lrs, strict=True):
            if low > high:
                raise ValueError(f"Invalid base_lr: {low}; base_lr must be <= max_lr, which is {high}")
        up = ABOVE_ZERO("step_size_up", step_size_up)
        down = up if step_size_down is None else MOMENTUM("step_size_down", step_size_down)
        self.total_size = float(up + down)
        self.step_ratio = up / self.total_size
        if mode not in SCALES and scale_fn is None:
            raise ValueError(
                f"mode is invalid and scale_fn is None; mode must be one of {', '.join(SCALES)}, not {mode!r}"
            )
        if not (scale_fn is None or callable(scale_fn)):
            raise TypeError(f"scale_fn must be a function of one number, or None, not {type(scale_fn).__name__}")
        self.mode, self._scale_fn_custom = mode, scale_fn
        self._set(gamma=gamma, scale_mode=scale_mode if scale_fn else SCALES[mode][0])
        momenta = self._set_momenta(optimizer, cycle_momentum, base_momentum=base_momentum, max_momentum=max_momentum)
        if momenta:
            self.base_momentums, self.max_momentums = momenta["base_momentum"], momenta["max_momentum"]
        super().__init__(optimizer, last_epoch, verbose)

    def _begin(self) -> None:
        super()._begin()  # as in torch the first step starts from initial_lr, which an earlier schedule may have set
        self.base_lrs = self.__dict__.pop("_bounds")

    def _prepare(self) -> None:
        for i, group in enumerate(self.optimizer.param_groups if self.last_epoch == -1 else []):
            assign(group, "lr", self._bounds[i])
            if self.cycle_momentum:
                group.update(max_momentum=self.max_momentums[i], base_momentum=self.base_momentums[i])

    def _join(self, groups: list[dict[str, Any]]) -> None:
        for name in ("base_lrs", "max_lrs", *(("base_momentums", "max_momentums") if self.cycle_momentum else ())):
            setattr(self, name, extended(name, getattr(self, name), len(groups)))
        for group, lr in zip(groups, self.base_lrs, strict=True):
            group.setdefault("initial_lr", lr)

    def scale_fn(self, x: float) -> float:
        """The amplitude of cycle ``x``, or at iteration ``x``, as scale_mode says."""
        return SCALES[self.mode][1](self.gamma, x) if self._scale_fn_custom is None else self._scale_fn_custom(x)

    def shape(self, t: float) -> float:
        cycle = math.floor(1 + t / self.total_size)
        x = 1.0 + t / self.total_size - cycle
        triangle = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        return triangle * FINITE("scale_fn's result", self.scale_fn(cycle if self.scale_mode == "cycle" else t))

    def limits(self, i: int) -> tuple[float, float]:
        return self.base_lrs[i], self.max_lrs[i]

    def momentum(self, i: int, t: float) -> float:
        return between(self.max_momentums[i], self.base_momentums[i], self.shape(t))

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of scale_fn, the attributes of a callable object. 状态字典。"""
        return super().state_dict() | {"_scale_fn_custom": saved_function(self._scale_fn_custom)}

    def _load(self, state: dict[str, Any]) -> None:
        function, attributes = self._scale_fn_custom, state.get("_scale_fn_custom")
        if function is None:
            Choice(tuple(SCALES))("mode", state.get("mode", self.mode))
        if attributes is not None and saved_function(function) is None:
            raise ValueError(f"_scale_fn_custom must be None, as scale_fn here is {function!r}; got {attributes!r}")
        super()._load(state)
        self._scale_fn_custom = function
        if attributes is not None:
            self.optimizer.later.append((vars(function).update, attributes))


class OneCycleLR(_Cycles):
    """Raise the learning rate to max_lr, then lower it to next to nothing, once. 学习率先升到最大值，再降到几乎为零，只循环一次。

    From max_lr / div_factor up to max_lr in the first pct_start of total_steps, then down to max_lr / div_factor /
    final_div_factor; with three_phase first back to where it began, in as many steps as it rose. Call ``step`` after each
    batch. max_lr: >= 0, a number or a list with one for each group. total_steps: batches in all, or epochs and
    steps_per_epoch. pct_start: a float from 0 to 1. anneal_strategy: "cos" or "linear". cycle_momentum: move momentum, or
    beta1, from max_momentum down to base_momentum and back. div_factor, final_div_factor: > 0.

    As in torch step total_steps is one more than there should be, at which a cosine turns up again; a line ends (torch's
    goes on below zero). One after that raises ValueError.

    Source: Smith, Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018,
    https://arxiv.org/abs/1708.07120, which has three phases.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1, momentum=0.9)
    >>> schedule = optim.lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=6, pct_start=0.5)
    >>> for _ in range(5):
    ...     print(f"{schedule.get_last_lr()[0]:.6f} {opt.param_groups[0]['momentum']:.3f}")
    ...     opt.step()
    ...     schedule.step()
    0.040000 0.950
    0.520000 0.900
    1.000000 0.850
    0.750001 0.875
    0.250003 0.925
    """

    checks = {
        "total_steps": ValueNumber("Expected positive integer total_steps, but got {value}", low=1, whole=True),
        "epochs": ValueNumber("Expected positive integer epochs, but got {value}", low=1, whole=True),
        "steps_per_epoch": ValueNumber("Expected positive integer steps_per_epoch, but got {value}", low=1, whole=True),
        "_anneal_func_type": ANNEAL,
        "cycle_momentum": Flag(),
    }
    total_steps: int
    _anneal_func_type: str

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
        verbose: bool = False,
    ) -> None:
        is_optimizer(optimizer)
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
            total_steps = math.prod(self.checks[name](name, value) for name, value in counts.items())
        if total_steps is None:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        self._set(total_steps=total_steps)
        share = SHARE("pct_start", pct_start)
        if not isinstance(share, float):  # as torch has it
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}; write {share}.0")
        rise = share * self.total_steps - 1
        phases = [(rise, "initial", "max"), (2 * rise, "max", "initial"), (self.total_steps - 1, "initial", "min")]
        if not Flag()("three_phase", three_phase):
            phases = [(rise, "initial", "max"), (self.total_steps - 1, "max", "min")]
        other = {"initial": "max_momentum", "max": "base_momentum", "min": "max_momentum"}
        self._schedule_phases: list[dict[str, Any]] = [
            {
                "end_step": end,
                "start_lr": f"{a}_lr",
                "end_lr": f"{b}_lr",
                "start_momentum": other[a],
                "end_momentum": other[b],
            }
            for end, a, b in phases
        ]
        self._set(_anneal_func_type=anneal_strategy)
        rates = per_group("max_lr", optimizer, max_lr, RATE)
        lowest = ABOVE_ZERO("div_factor", div_factor), ABOVE_ZERO("final_div_factor", final_div_factor)
        momenta = self._set_momenta(optimizer, cycle_momentum, max_momentum=max_momentum, base_momentum=base_momentum)
        options = {"initial_lr": [lr / lowest[0] for lr in rates], "max_lr": rates}
        self._options = options | {"min_lr": [lr / lowest[1] for lr in options["initial_lr"]]} | momenta
        super().__init__(optimizer, last_epoch, verbose)

    def _prepare(self) -> None:
        options = self.__dict__.pop("_options")
        for i, group in enumerate(self.optimizer.param_groups if self.last_epoch == -1 else []):
            group.update({name: values[i] for name, values in options.items()})

    def _join(self, groups: list[dict[str, Any]]) -> None:
        for name in ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"):
            if name in groups[0]:
                inherit(name, groups, len(self.base_lrs))
        super()._join(groups)

    def _between(self, option: str, i: int, t: float) -> float:
        """The learning rate or the momentum of group ``i`` at step ``t``."""
        if t > self.total_steps:
            raise ValueError(
                f"Tried to step {t} times. The specified number of total steps is {self.total_steps}; "
                "build the schedule with as many total_steps as there are batches"
            )
        group, start = self.optimizer.param_groups[i], 0.0
        for phase in self._schedule_phases:
            if t <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            start = phase["end_step"]
        length = phase["end_step"] - start
        left = FALLING[self._anneal_func_type]((t - start) / length if length else 1.0)
        return between(number(group[phase[f"end_{option}"]]), number(group[phase[f"start_{option}"]]), left)

    def closed_form(self, i: int, t: float) -> float:
        return self._between("lr", i, t)

    def momentum(self, i: int, t: float) -> float:
        return self._between("momentum", i, t)
