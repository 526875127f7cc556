"""`Elementwise`: the optimizer that runs an update rule on every parameter.

逐元素优化器：对每个参数运行同一条更新规则。
"""

import inspect
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from optimlab.autograd import enable_grad, no_grad
from optimlab.checks import Check, Flag, MissingError, Number, Numbers
from optimlab.dtype import float16, float32, float64, get_default_dtype
from optimlab.optim.engine import choice, commit
from optimlab.optim.optimizer import Optimizer, ParamsT
from optimlab.optim.plan import Plan
from optimlab.optim.rule import Rule
from optimlab.optim.stepping import tell_overflow
from optimlab.tensor import Tensor

LR = Number("Invalid learning rate: {value}", low=0)
MOMENTUM = Number("Invalid momentum value: {value}", low=0)
WEIGHT_DECAY = Number("Invalid weight_decay value: {value}", low=0)
EPS = Number("Invalid epsilon value: {value}", low=0)
BETAS = tuple(Number(f"Invalid beta parameter at index {i}: {{value}}", 0, 1, below=True) for i in (0, 1))


def flags(*names: str) -> dict[str, Check]:
    """Checks of switches, by name."""
    return {name: Flag(none=name in ("foreach", "fused")) for name in names}


def decay(p, g, lr, weight_decay, decoupled_weight_decay=False):
    """Weight decay, ahead of a rule: λp joins the gradient, or p itself shrinks. 权重衰减，先于更新规则。"""
    if weight_decay:
        if decoupled_weight_decay:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
    return p, g


class Betas(Numbers):
    """Two decay rates, both floats or both one-element tensors."""

    def __call__(self, name: str, value: Any) -> tuple[float, ...]:
        numbers = super().__call__(name, value)
        kinds = {Tensor if isinstance(b, Tensor) else type(n) for b, n in zip(value, numbers, strict=True)}
        if kinds not in ({float}, {Tensor}):
            raise ValueError(f"{name} must be either both floats or both Tensors; got {value!r}, write 0.0 for 0")
        return tuple(value) if kinds == {Tensor} else numbers


WORDS = {  # what docstrings say of what is the same in every class; {name} in a docstring stands for its line
    "params": 'params: iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and options of their own.',
    "lr": "lr: learning rate η, >= 0; a one-element tensor is changed in place by schedules.",
    "betas": "betas: (β₁, β₂), each in [0, 1): how much of its two running values a step keeps.",
    "eps": "eps: ε, >= 0; added to the denominator, outside the root.",
    "weight_decay": "weight_decay: λ, >= 0; adds λp to the gradient (an L2 penalty of λ/2 · p²).",
    "maximize": "maximize: climb instead of descending; turns the gradient round before anything else.",
    "differentiable": "differentiable: let gradients flow through the step.",
    "step": '``state[p]["step"]``, 0-d, the number of steps',
    "raises": "Raises TypeError for an argument of a wrong kind, ValueError for one out of range.",
}


class _Doc:
    """A docstring that typesets its formula, and fills in ``WORDS``, when it is read."""

    def __init__(self, text: str) -> None:
        self.text = inspect.cleandoc(text)  # which Python 3.13 does by itself

    def __get__(self, instance: Any, owner: Any) -> str:
        ignored = ", ".join(name for name in ("foreach", "capturable", "fused") if name in owner.checks)
        words = WORDS | {"ignored": f"{ignored}: accepted for torch's sake, without effect."}
        words["update"] = owner.rule.latex(**owner.shown)
        text = self.text
        for name, word in words.items():
            text = text.replace(f"{{{name}}}", word)
        return text


class Elementwise(Optimizer):
    """An optimizer whose update is a rule that treats every element alike. 逐元素更新的优化器。

    A subclass gives ``rule``, a static method ``rule(p, g, *state, t, **options)`` that returns new values by letter;
    ``letters``, torch's name for each letter of the state; ``numbers``, the same for state that is one plain number, which
    the rule gets as a float and may branch on; and, unless all begin at 0, ``initial(group)``: the letters in use, each with
    the number it is first filled with (None: the rule's first result). A rule that takes ``t`` has its steps counted.
    ``checks`` lists the options in the order they have in a group; a constructor passes on its arguments:
    ``super().__init__(params, locals())``.
    """

    letters: dict[str, str] = {}
    numbers: dict[str, str] = {}
    nonnegative: tuple[str, ...] = ()  # letters that are sums or means of squares, or lengths
    counts_steps = False  # torch counts the steps of some rules that have no use for t
    shown: dict[str, Any] = {}  # the options whose formula the docstring shows
    rule: Any
    _plans: dict[int, Plan]
    _seconds: float  # what all commits have taken

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.rule
        cls.rule = Rule(own.function if isinstance(own, Rule) else own, cls)
        if cls.__doc__ and "{update}" in cls.__doc__:
            cls.__doc__ = _Doc(cls.__doc__)  # type: ignore[assignment]

    def __init__(self, params: ParamsT, options: dict[str, Any]) -> None:
        super().__init__(params, self.named(options))

    @classmethod
    def default_group(cls) -> dict[str, Any]:
        """The options at their defaults."""
        return dict(cls([Tensor(0.0)]).defaults)  # type: ignore[call-arg]

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
        """The letters of the state in use, each with what it is first filled with. 状态的初值。"""
        return dict.fromkeys([*cls.numbers, *cls.letters], 0.0)

    @staticmethod
    def takes_sparse(group: dict[str, Any]) -> str | None:
        """How a sparse gradient is taken: "rows", if only its rows move; "whole", if all do; None, if it is refused."""
        return None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self: Any = super().__new__(cls)
        self._plans, self._seconds = {}, 0.0
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._plans = {}  # they would keep the state that was replaced in memory

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what ``closure`` returns. 更新一步参数。

        closure: computes the loss anew, with backward, and returns it. Raises ValueError or TypeError where a gradient, a
        state or an option does not fit, and then nothing has changed: a step happens whole or not at all.
        """
        loss = self._loss(closure)
        engine, calls = choice(self._seconds), list[tuple]()
        before, self._plans = self._plans, {}
        for i, group in enumerate(self.param_groups):
            calls += self._recorded(group) if group.get("differentiable") else self._planned(i, group, engine, before)
        start = perf_counter()
        commit(calls, self._overflow.setdefault if self.nonnegative else None)
        self._seconds += perf_counter() - start
        return loss

    _after_step = tell_overflow

    def _planned(self, i: int, group: dict[str, Any], engine: str, before: dict[int, Plan]) -> list[tuple]:
        """What to commit for group i, by the plan of the step before where that still holds."""
        plan = before.get(i)
        calls = plan.calls(self) if plan is not None and plan.holds(self, group, engine) else None
        if calls is None:
            before.clear()  # the plans of later groups know what the earlier ones write
            plan = Plan(self, i, engine)
            calls = plan.calls(self)
        assert plan is not None and calls is not None  # a new plan fits: it was made of what is there
        self._plans[i] = plan
        return calls

    def _recorded(self, group: dict[str, Any]) -> list[tuple]:
        """What to commit for a differentiable group: the rule runs on the tensors themselves, so gradients flow through it."""
        self._check_complete(group, self.rule.hyper)
        options, initial, calls = {name: group[name] for name in self.rule.hyper}, self.initial(group), list[tuple]()
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.is_leaf and p.requires_grad:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation; "
                    "differentiable=True changes computed tensors, such as p.clone()"
                )
            state = self._checked_state(p, initial)
            keys = {letter: (self.letters | self.numbers)[letter] for letter in initial}
            given = {letter: state[key] for letter, key in keys.items() if key in state}
            if state is not self.state.get(p):  # a state that begins with a tensor option, such as lr, depends on it
                given |= {letter: value for letter, value in initial.items() if isinstance(value, Tensor)}
            if self.rule.counts_steps:
                step = state["step"].item() + 1
                calls.append((state["step"]._array.fill, step))
                given |= {"t": int(step)} if self.rule.takes_t else {}
            with enable_grad():
                g = (-p.grad if group.get("maximize") else p.grad).to(self._state_dtype(p))
                new = self.rule.function(p.to(g.dtype), g, **given, **options)
                changed = {}
                for letter, key in keys.items():
                    value = new[letter]
                    dtype = state[key].dtype if letter in self.numbers else g.dtype
                    value = value.to(dtype) if isinstance(value, Tensor) else Tensor(value, dtype=dtype)
                    changed[key] = value.clone() if value is g or value is new["p"] else value
            calls += [(self.state.update, {p: state}), (state.update, changed)] if state or changed else []
            p_new = new["p"].to(p.dtype)
            if p_new._node is None:
                calls += [(p._array.__setitem__, ..., p_new._array), (p._version.__setitem__, 0, p._version[0] + 1)]
            else:  # the record may still need the old numbers: their memory stays as it is
                calls.append(
                    (p.__dict__.update, {name: p_new.__dict__[name] for name in ("_array", "_node", "_version")})
                )
        return calls

    def _checked_state(self, p: Tensor, initial: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter that is about to move, new where there is none; raises where something does not fit."""
        if p.grad.is_sparse:  # type: ignore[union-attr]
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients, please consider SparseAdam instead; "
                "or call .to_dense() on the gradient"
            )
        self._check_gradient(p)
        state = self.state.get(p) or self._new_state(p, initial)
        self._check_state("of a parameter", state, p, initial)
        return state

    @property
    def _keys(self) -> dict[str, str]:
        """torch's name for every letter of the state that is one number, the step t among them."""
        return {"t": "step", **self.numbers} if self.rule.counts_steps else self.numbers

    @staticmethod
    def _state_dtype(p: Tensor) -> Any:
        """float32 for half precision, in which the mean of small squares is 0: torch's Adam makes -inf of a gradient of 1e-5."""
        return float32 if p.dtype is float16 else p.dtype

    def _new_state(self, p: Tensor, initial: dict[str, Any]) -> dict[str, Any]:
        """The state before the first step."""
        state: dict[str, Any] = {"step": _number("step", 0.0, p)} if self.rule.counts_steps else {}
        for letter, value in initial.items():
            if letter in self.numbers:
                state[self.numbers[letter]] = _number(letter, value, p)
            elif value is not None:
                state[self.letters[letter]] = Tensor._wrap(
                    np.full_like(p._array, float(value), self._state_dtype(p).numpy)
                )
        return state

    def _check_state(self, whose: str, state: dict[str, Any], p: Tensor, initial: dict[str, Any]) -> None:
        """Raise ValueError or TypeError unless ``state`` is one that the rule can go on from."""
        optional = {self.letters[letter] for letter, value in initial.items() if value is None}
        arrays = [self.letters[letter] for letter in initial if letter not in self.numbers]
        for key in (*self._keys.values(), *arrays):
            value = state.get(key)
            if value is None and key in optional:
                continue
            if key not in state:
                raise MissingError(f"the state {whose} has no {key!r}; {type(self).__name__} needs it: {list(state)}")
            if key in arrays:
                self._check_tensor(f"{key} {whose}", value, p._array.shape, self._state_dtype(p))
            else:
                self._check_tensor(f"{key} {whose}", value)
                Number(low=0)(f"{key} {whose}", value)

    def _loaded_state(self, key: Any, values: Any, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if isinstance(values, dict):
            numbers = {k: _number(k, Number(low=0)(k, values[k]), p) for k in self._keys.values() if k in values}
            values = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in values.items()} | numbers
        state, initial = super()._loaded_state(key, values, p, group), self.initial(group)
        self._check_state(f"of parameter {key!r}", state, p, initial)
        for name in (self.letters[letter] for letter in self.nonnegative if letter in initial):
            if not (state[name]._array >= 0).all():
                raise ValueError(f"{name} of parameter {key!r} has a negative number or NaN; all must be >= 0")
        unknown = [k for k in state if k not in (*self._keys.values(), *self.letters.values())]
        if unknown and type(self).__module__.startswith("optimlab."):  # a program's subclass may keep more
            warnings.warn(
                f"the state of parameter {key!r} has {', '.join(map(repr, unknown))}, which {type(self).__name__} "
                "does not use; is it from another optimizer?",
                UserWarning,
                stacklevel=2,
            )
        return state


def _number(key: str, value: Any, p: Tensor) -> Tensor:
    """State that is one number, as a 0-d tensor. torch has it in the default dtype, which rounds where p does not."""
    dtype = float64 if get_default_dtype() is float64 or (key != "step" and p.dtype is float64) else float32
    return Tensor(float(value), dtype=dtype)
