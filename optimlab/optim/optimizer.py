"""The base of every optimizer: parameter groups, state, hooks, saving and loading.

所有优化器的基类：参数组、状态、钩子、保存与载入。
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, ValuesView
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

from optimlab.autograd import enable_grad, no_grad
from optimlab.checks import Check, Choice, MissingError
from optimlab.hooks import RemovableHandle, add_hook
from optimlab.operators import shape_of
from optimlab.optim.engine import commit
from optimlab.optim.groups import (
    UNORDERED,
    parameters,
    refuse_misspelt,
    refuse_overflowing_lr,
    refuse_shared_memory,
    refuse_what_cannot_move,
)
from optimlab.optim.stepping import HOOKS, with_hooks
from optimlab.optim.stepping import (
    register_optimizer_step_post_hook as register_optimizer_step_post_hook,  # as in torch
)
from optimlab.optim.stepping import register_optimizer_step_pre_hook as register_optimizer_step_pre_hook
from optimlab.optim.stepping import use_grad_for_differentiable as _use_grad_for_differentiable  # noqa: F401 - torch's name
from optimlab.tensor import Tensor

NONFINITE = Choice(("ignore", "skip", "raise"))
ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required: Any = _Required()  # the default of an option that every group must give


class Optimizer:
    """Holds parameters in groups, each with options of its own, and what it remembers of each parameter.
    把参数分成组来管理，每组有自己的超参数，并记住每个参数的状态。

    params: iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and a group's own options.
    defaults: the options of a group that does not give them.

    A subclass defines ``step``; the attribute ``nonfinite`` says what it does on NaN and Inf. ``param_groups`` is a list of
    dicts; ``state[p]`` a dict for each parameter that has moved.
    Raises TypeError where params are not tensors in an order, ValueError for options out of range (see ``checks``).
    """

    checks: dict[str, Check] = {}  # option: what it must be; other options of a group are kept as they are

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = with_hooks(cls.step)  # type: ignore[method-assign]

    skipped_steps: int  # those that ``nonfinite = "skip"`` has left out
    _watches = True  # whether gradients are looked at around ``step``; false where ``step`` itself does
    _told: bool  # of an overflow, once
    _overflow: dict[str, int]  # not empty once a finite number became infinite
    _hooks: dict[str, dict[int, Callable]]
    _running: list[Callable]
    _step_count: int
    _loaded: tuple[int, list[dict[str, Any]], list[dict[str, Any]]]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Optimizer":
        """What is not saved is there from the first: hooks, and the count of steps; __init__ may not be called at all."""
        self = super().__new__(cls)
        self._hooks, self._running, self._step_count = {kind: {} for kind in HOOKS}, [], 0
        self._nonfinite, self.skipped_steps = "ignore", 0
        self._overflow, self._told = {}, False
        return self

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, (Tensor, str, bytes, dict)) or not isinstance(params, Iterable):
            hint = "; pass [tensor]" if isinstance(params, Tensor) else "; pass model.parameters()"
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}{'; pass [group]' if isinstance(params, dict) else hint}"
            )
        self.defaults = dict(defaults)
        self.state: dict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        if isinstance(params, (set, frozenset)):
            raise TypeError(UNORDERED)
        groups = list(params)
        if isinstance(params, ValuesView) and not any(getattr(p, "requires_grad", True) for p in groups):
            raise ValueError("params are the values of a state_dict(), detached copies; pass model.parameters()")
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list; a generator such as model.parameters() is empty after one use"
            )
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def __getstate__(self) -> dict[str, Any]:
        whole = {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}
        return whole if self._nonfinite == "ignore" else whole | {"_nonfinite": self._nonfinite}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            lines = [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
            text += f"\nParameter Group {i}\n{''.join(lines)}"
        return text + ")"

    # ---- groups

    @classmethod
    def check_group(cls, group: dict[str, Any]) -> None:
        """Check a group's options by ``checks``, and put plain numbers for NumPy's. Subclasses add what links options."""
        for name, check in cls.checks.items():
            if name in group:
                checked = check(name, group[name])
                group[name] = group[name] if isinstance(group[name], Tensor) else checked
        if group.get("fused") and group.get("differentiable"):
            raise RuntimeError("`fused` does not support `differentiable`; leave fused=None")
        if group.get("fused") and group.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.; leave one of them None")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: a dict with "params" and any options; missing options are filled in from the defaults.

        添加一个参数组。 Raises TypeError or ValueError, and then nothing has been added.
        """
        if not isinstance(param_group, dict):
            raise TypeError(
                f"param_group must be a dict, but got {type(param_group)}; write {{'params': [...], 'lr': ...}}"
            )
        if "params" not in param_group:
            raise MissingError(f"param_group has no 'params'; its keys are {', '.join(map(repr, param_group))}")
        group = self._checked_group(param_group)
        if self.param_groups and ("param_names" in self.param_groups[0]) != ("param_names" in group):
            word = "without" if "param_names" not in group else "with"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {word} names to the optimizer; name the parameters of every group, or of none"
            )
        commit([(param_group.clear,), (param_group.update, group), (self.param_groups.append, param_group)])

    def _checked_group(self, given: dict[str, Any]) -> dict[str, Any]:
        """A complete group made from ``given``, or an error; ``given`` itself is left alone."""
        params, names = parameters(given["params"])
        refuse_misspelt(given, self.defaults)
        group = given | {"params": params} | ({} if names is None else {"param_names": names})
        for key, value in self.defaults.items():
            group.setdefault(key, value)
            if group[key] is required:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {key}")
        self.check_group(group)
        refuse_what_cannot_move(params, bool(group.get("differentiable")))
        refuse_overflowing_lr(group)
        if sparse := [[len(self.param_groups), i] for i, p in enumerate(params) if p.is_sparse]:
            raise ValueError(
                f"Sparse params at indices {sparse}: {type(self).__name__} requires dense parameter tensors; call .to_dense()"
            )
        refuse_shared_memory([*self._parameters(), *params])
        return group

    @classmethod
    def named(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """A constructor's ``locals()`` as defaults: the options in the order of ``checks``, then any others."""
        order = [*cls.checks, *(name for name in arguments if name not in ("self", "params", "__class__"))]
        return {name: arguments[name] for name in order if name in arguments}

    # ---- stepping

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; with ``set_to_none=False`` set them to zero instead. 清空梯度。"""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.detach().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient. 更新一步参数。"""
        raise NotImplementedError(f"{type(self).__name__} must define step()")

    def _after_step(self) -> None:
        """What is left to say when a step has happened and its hooks have run."""

    @staticmethod
    def profile_hook_step(step: Callable) -> Callable:
        """A decorator of torch's, which subclasses may put on ``step``; here every class's step has its hooks already."""
        return step

    def _loss(self, closure: Callable[[], Any] | None) -> Any:
        """What the closure returns, computed with recording on; warns where it left no parameter a gradient."""
        if closure is None:
            return None
        if not callable(closure):
            raise TypeError(f"Invalid closure: {closure!r}; closure must be a function that returns the loss, or None")
        with enable_grad():
            loss = closure()
        if isinstance(loss, Tensor) and loss.grad_fn is not None and all(p.grad is None for p in self._parameters()):
            warnings.warn(
                "the closure returned a loss and left every parameter without a gradient: call loss.backward() in it",
                UserWarning,
                stacklevel=5,  # the line that calls step(): the hooks and @no_grad() lie between
            )
        return loss

    def _check_complete(self, group: dict[str, Any], names: Iterable[str]) -> None:
        """Raise MissingError unless the group has the options ``names``, and what ``check_group`` finds wrong."""
        if missing := [name for name in names if name not in group]:
            raise MissingError(
                f"a parameter group lacks {', '.join(missing)}; set it, as in param_groups[0]['lr'] = 0.1"
            )
        self.check_group(group)
        refuse_overflowing_lr(group)

    @staticmethod
    def _check_gradient(p: Tensor) -> None:
        """Raise ValueError unless p can be changed in place by its gradient."""
        g = p.grad
        if g is not None and (g._array.shape != p._array.shape or g._array.dtype != p._array.dtype):
            raise ValueError(
                f"a gradient is {shape_of(g)} {g.dtype}; it must be {shape_of(p)} {p.dtype}, like its parameter"
            )
        if not p._array.flags.writeable:
            raise ValueError("a parameter's memory is read-only; make the tensor from a copy of the array")

    @staticmethod
    def _check_tensor(name: str, value: Any, shape: tuple[int, ...] | None = None, dtype: Any = None) -> None:
        """Raise TypeError or ValueError unless a value of the state is a tensor, of this shape and dtype, and writeable."""
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a Tensor, not {type(value).__name__}")
        if shape is not None and (shape_of(value), value.dtype) != (shape, dtype):
            raise ValueError(f"{name} is {shape_of(value)} {value.dtype}; here it must be {shape} {dtype}")
        if not value._array.flags.writeable:
            raise ValueError(f"{name} is in memory that is read-only; put a copy there")

    @property
    def nonfinite(self) -> str:
        """What a gradient with NaN or Inf does: ``"ignore"``, the default, steps on it as torch does; ``"skip"`` leaves the
        step out and counts it in ``skipped_steps``; ``"raise"`` raises FloatingPointError, and nothing has changed. LBFGS and
        ConjugateGradient go back to their last accepted point; they raise unless told to skip what is left of the step.
        遇到 NaN 或 Inf 梯度时：照常更新、跳过这一步，或报错。
        """
        return self._nonfinite

    @nonfinite.setter
    def nonfinite(self, value: str) -> None:
        self._nonfinite = NONFINITE("nonfinite", value)

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Options and state as plain dicts in which numbers stand for parameters; its tensors are the live ones. 状态字典。"""
        for hook in self._hooks["state_dict_pre"].values():
            hook(self)
        order = {id(p): i for i, p in enumerate(self._parameters())}
        groups = [
            {k: v for k, v in group.items() if k != "params"} | {"params": [order[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        # a look at state[p] before the first step leaves an empty dict there, which is no state
        found = {k: v for k, v in self.state.items() if v}
        if lost := [k for k in found if isinstance(k, Tensor) and id(k) not in order]:
            raise MissingError(
                f"the optimizer has state of a tensor of shape {shape_of(lost[0])} that is in none of its groups; put it into "
                "one, or write del optimizer.state[p]"
            )
        state = {order[id(k)] if isinstance(k, Tensor) else k: v for k, v in found.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._hooks["state_dict_post"].values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def _parameters(self) -> Iterator[Tensor]:
        return chain.from_iterable(group["params"] for group in self.param_groups)

    @no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over options and state from ``state_dict()`` of an optimizer of the same kind; everything is copied.

        载入状态字典。 Raises TypeError or ValueError where it does not fit, and then nothing has changed.
        """
        if not isinstance(state_dict, dict):
            raise TypeError(f"state_dict must be a dict, as state_dict() returns it, not {type(state_dict).__name__}")
        state_dict = dict(state_dict)
        for hook in self._hooks["load_state_dict_pre"].values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        for key, kind in {"state": dict, "param_groups": list}.items():
            if not isinstance(state_dict.get(key), kind):
                raise MissingError(f"state_dict must have {key!r}, a {kind.__name__}; its keys are {list(state_dict)}")
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved_groups)}, this optimizer has {len(self.param_groups)}"
            )
        groups: list[dict[str, Any]] = []
        copies: dict[int, Any] = {}  # by the id of what was copied: a learning rate that groups share, they share again
        owners: dict[Any, tuple[Tensor, dict[str, Any]]] = {}
        for i, (saved, group) in enumerate(zip(saved_groups, self.param_groups, strict=True)):
            groups.append(self._loaded_group(i, saved, group, copies))
            for key, p in zip(saved["params"], group["params"], strict=True):
                if key in owners:
                    raise ValueError(
                        f"the groups of state_dict list parameter {key!r} twice; each must have its own number"
                    )
                owners[key] = p, groups[-1]
        state: defaultdict = defaultdict(dict)
        for key, values in state_dict["state"].items():
            if key in owners:
                p, group = owners[key]
                state[p] = self._loaded_state(key, values, p, group)
            elif isinstance(key, int) or str(key).isdigit():
                raise ValueError(f"state_dict has state for parameter {key!r}; its groups list {list(owners)}")
            else:
                state[key] = deepcopy(values)
        twin = type(self).__new__(
            type(self)
        )  # subclasses in torch's style fill in new options in __setstate__: there first
        twin.__dict__.update(self.__dict__)
        twin.__setstate__({"state": state, "param_groups": groups})
        loaded = [{k: v if k == "params" else deepcopy(v) for k, v in group.items()} for group in twin.param_groups]
        twin._loaded = (
            self._step_count,
            loaded,
            loaded,
        )  # a schedule that is built after this goes back to it as it loads
        commit([(self.__dict__.update, twin.__dict__)])
        for hook in self._hooks["load_state_dict_post"].values():
            hook(self)

    def _loaded_group(self, i: int, saved: Any, group: dict[str, Any], copies: dict[int, Any]) -> dict[str, Any]:
        """The group that a saved one makes of ``group``; ``copies`` is the memory of deepcopy."""
        if not isinstance(saved, dict) or not isinstance(saved.get("params"), (list, tuple)):
            raise ValueError(f"param_groups[{i}] must be a dict with 'params', a list")
        if len(saved["params"]) != len(group["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                f"param_groups[{i}] has {len(saved['params'])} parameters, here it has {len(group['params'])}"
            )
        fresh = {key: default for key, default in self.defaults.items() if default is None or isinstance(default, bool)}
        new = {key: value if key == "params" else deepcopy(value, copies) for key, value in saved.items()}
        if "param_names" in group:
            new.setdefault("param_names", group["param_names"])
        new["params"] = group["params"]
        for key, default in fresh.items():  # flags that came with newer versions
            new.setdefault(key, default)
        if missing := [key for key in self.defaults if key not in new]:
            raise MissingError(f"param_groups[{i}] lacks {', '.join(missing)}: it is not from a {type(self).__name__}")
        self.check_group(new)
        return new

    @staticmethod
    def _state_dtype(p: Tensor) -> Any:
        """The dtype of the state that goes with a parameter."""
        return p.dtype

    def _loaded_state(self, key: Any, values: Any, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """A copy of one parameter's saved state; float tensors take on the dtype that goes with p, all but ``step``."""
        if not isinstance(values, dict):
            raise TypeError(f"state of parameter {key!r} must be a dict, not {type(values).__name__}")

        def copy(name: str, value: Any) -> Any:
            value = deepcopy(value)
            is_float = isinstance(value, Tensor) and value.is_floating_point()
            return value.to(self._state_dtype(p)) if is_float and name != "step" else value

        return {name: copy(name, value) for name, value in values.items()}

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new (args, kwargs). 前置钩子。"""
        return add_hook(self._hooks["step_pre"], hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step. 后置钩子。"""
        return add_hook(self._hooks["step_post"], hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return add_hook(self._hooks["state_dict_pre"], hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict``; it may return another dict."""
        return add_hook(self._hooks["state_dict_post"], hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before ``load_state_dict``; it may return another dict."""
        return add_hook(self._hooks["load_state_dict_pre"], hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` after ``load_state_dict``."""
        return add_hook(self._hooks["load_state_dict_post"], hook, prepend)
