"""`Elementwise`: the optimizer that runs an update rule on every parameter.

逐元素优化器：对每个参数运行同一条更新规则。
"""

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from optimlab.autograd import enable_grad, no_grad
from optimlab.checks import Check, Flag, MissingError, Number, Numbers
from optimlab.dtype import float32, float64, get_default_dtype
from optimlab.operators import shape_of
from optimlab.optim.engine import run
from optimlab.optim.optimizer import Optimizer
from optimlab.optim.rule import Rule
from optimlab.tensor import Tensor

STEP = Number(low=0)
LR = Number("Invalid learning rate: {value}", low=0)
WEIGHT_DECAY = Number("Invalid weight_decay value: {value}", low=0)
EPS = Number("Invalid epsilon value: {value}", low=0)
FLAGS: dict[str, Check] = {
    "maximize": Flag(),
    "foreach": Flag(none=True),
    "capturable": Flag(),
    "differentiable": Flag(),
    "fused": Flag(none=True),
}


class Betas(Numbers):
    """Two decay rates, both floats or both one-element tensors."""

    def __call__(self, name: str, value: Any) -> tuple[float, ...]:
        numbers = super().__call__(name, value)
        kinds = {Tensor if isinstance(b, Tensor) else type(n) for b, n in zip(value, numbers, strict=True)}
        if kinds not in ({float}, {Tensor}):
            raise ValueError(f"{name} must be either both floats or both Tensors; got {value!r}, write 0.0 for 0")
        return tuple(value) if kinds == {Tensor} else numbers


class _Doc:
    """A docstring that typesets its formula when it is read."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get__(self, instance: Any, owner: Any) -> str:
        formula = owner.rule.latex(**owner.shown).replace("\n", "\n    ")
        return self.text.replace("{update}", formula)


class Elementwise(Optimizer):
    """An optimizer whose update is a rule that treats every element alike. 逐元素更新的优化器。

    A subclass gives ``rule``, a static method ``rule(p, g, *state, t, **options)`` that returns new values by letter;
    ``letters``, torch's name for each letter of the state; and ``initial(group)``, the letters in use with the number their
    arrays are first filled with (None: the rule's first result). A rule that takes ``t`` has its steps counted.
    """

    letters: dict[str, str] = {}
    shown: dict[str, Any] = {}  # the options whose formula the docstring shows
    rule: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.rule
        cls.rule = Rule(own.function if isinstance(own, Rule) else own, cls)
        if cls.__doc__ and "{update}" in cls.__doc__:
            cls.__doc__ = _Doc(cls.__doc__)  # type: ignore[assignment]

    @classmethod
    def default_group(cls) -> dict[str, Any]:
        """The options at their defaults."""
        group: dict[str, Any] = {}
        for base in reversed(cls.__mro__[:-1]):  # a subclass may pass **options on to the class that names them
            parameters = inspect.signature(vars(base).get("__init__", object)).parameters.values()
            group |= {x.name: x.default for x in parameters if x.default is not x.empty}
        return group

    @staticmethod
    def initial(group: dict[str, Any]) -> dict[str, float | None]:
        """The letters of the state in use, each with what its array is first filled with."""
        return {}

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what ``closure`` returns. 更新一步参数。

        closure: computes the loss anew, with backward, and returns it. Raises ValueError or TypeError where a gradient, a
        state or an option does not fit, and then nothing has changed.
        """
        loss = self._loss(closure)
        jobs = [job for group in self.param_groups for job in self._plan(group)]  # every check comes before any change
        with np.errstate(all="ignore"):
            for job in jobs:
                self._run(*job)
        return loss

    def _plan(self, group: dict[str, Any]) -> Iterator[tuple]:
        """One parameter after the other: what its update needs, checked."""
        if missing := [name for name in self.rule.hyper if name not in group]:
            raise MissingError(
                f"a parameter group lacks {', '.join(missing)}; set it, as in param_groups[0]['lr'] = 0.1"
            )
        self.check_group(group)
        options = {name: group[name] if group["differentiable"] else _plain(group[name]) for name in self.rule.hyper}
        initial = self.initial(group)
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            if g._array.shape != p._array.shape or g._array.dtype != p._array.dtype:
                raise ValueError(
                    f"a gradient is {shape_of(g)} {g.dtype}; it must be {shape_of(p)} {p.dtype}, like its parameter"
                )
            if group["differentiable"] and p.is_leaf and p.requires_grad:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation; "
                    "differentiable=True changes computed tensors, such as p.clone()"
                )
            if not p._array.flags.writeable:
                raise ValueError("a parameter's memory is read-only; make the tensor from a copy of the array")
            state = self.state.get(p) or self._new_state(p, initial)
            self._check_state("of a parameter", state, p, initial)
            yield p, g, state, initial, options, group

    def _new_state(self, p: Tensor, initial: dict[str, float | None]) -> dict[str, Any]:
        """The state before the first step."""
        state: dict[str, Any] = {"step": Tensor(0.0, dtype=_step_dtype())} if self.rule.counts_steps else {}
        for letter, value in initial.items():
            if value is not None:
                state[self.letters[letter]] = Tensor._wrap(np.full_like(p._array, value))
        return state

    def _check_state(self, whose: str, state: dict[str, Any], p: Tensor, initial: dict[str, float | None]) -> None:
        """Raise ValueError or TypeError unless ``state`` is one that the rule can go on from."""
        name = type(self).__name__
        if self.rule.counts_steps:
            if "step" not in state:
                raise MissingError(f"the state {whose} has no 'step'; {name} needs it: {list(state)}")
            if not isinstance(state["step"], Tensor):
                raise TypeError(f"step {whose} must be a Tensor, not {type(state['step']).__name__}")
            if not 0 <= state["step"].item() < math.inf:
                raise ValueError(
                    f"the state {whose} has step {state['step'].item()}; step must be a finite number >= 0"
                )
        for letter, value in initial.items():
            key = self.letters[letter]
            array = state.get(key)
            if array is None:
                if value is not None:
                    raise MissingError(f"the state {whose} has no {key!r}; {name} needs it: {list(state)}")
                continue
            if not isinstance(array, Tensor):
                raise TypeError(f"{key} {whose} must be a Tensor, not {type(array).__name__}")
            if array._array.shape != p._array.shape or array._array.dtype != p._array.dtype:
                raise ValueError(
                    f"{key} {whose} is {shape_of(array)} {array.dtype}; it must be {shape_of(p)} {p.dtype}, like its parameter"
                )

    def _loaded_state(self, key: Any, values: Any, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if isinstance(values, dict):
            arrays = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in values.items() if k != "step"}
            if "step" in values:
                arrays["step"] = Tensor(float(STEP("step", values["step"])), dtype=_step_dtype())
            values = {k: arrays[k] for k in values}
        state = super()._loaded_state(key, values, p, group)
        if state:
            self._check_state(f"of parameter {key!r}", state, p, self.initial(group))
        return state

    def _run(self, p: Tensor, g: Tensor, state: dict, initial: dict, options: dict, group: dict) -> None:
        """Run the rule on one parameter and keep its results."""
        if state or initial:
            self.state[p] = state
        if self.rule.counts_steps:
            step = state["step"]._array
            step += 1
            options = {**options, "t": int(step)}
        keys = {letter: self.letters[letter] for letter in initial}
        known = {letter: state[key] for letter, key in keys.items() if state.get(key) is not None}
        if group["differentiable"]:
            self._run_recorded(p, -g if group["maximize"] else g, state, keys, known | options)
            return
        for letter, key in keys.items():
            if letter not in known:  # the rule's first result goes here
                state[key] = Tensor._wrap(np.empty_like(p._array))
        results = {"p": p._array} | {letter: state[key]._array for letter, key in keys.items()}
        run(self.rule.function, results, {"p", *known}, g._array, group["maximize"], options)
        for tensor in (p, *(state[key] for key in keys.values())):
            tensor._version[0] += 1

    @enable_grad()
    def _run_recorded(self, p: Tensor, g: Tensor, state: dict, keys: dict, given: dict) -> None:
        """Run the rule on the tensors themselves, so that gradients flow through the step."""
        new = self.rule.function(p, g, **given)
        for letter, key in keys.items():
            state[key] = new[letter].clone() if new[letter] is g else new[letter]
        p._become(new["p"])


def _step_dtype() -> Any:
    """The dtype in which torch counts steps."""
    return float64 if get_default_dtype() is float64 else float32


def _plain(option: Any) -> Any:
    """An option as the rule takes it: Python numbers, also where the group holds tensors."""
    if isinstance(option, tuple):
        return tuple(map(_plain, option))
    return option.item() if isinstance(option, Tensor) else option
