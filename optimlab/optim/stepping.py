"""What surrounds the step of every optimizer: hooks, the count of steps, and a look at the gradients.

包在每个优化器的 step 外面的东西：钩子、计数，以及对梯度的检查。
"""

import functools
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from optimlab.autograd import set_grad_enabled
from optimlab.hooks import RemovableHandle, add_hook

HOOKS = ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post")
global_hooks: dict[str, dict[int, Callable]] = {"step_pre": {}, "step_post": {}}


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer. 对所有优化器生效的前置钩子。"""
    return add_hook(global_hooks["step_pre"], hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer. 对所有优化器生效的后置钩子。"""
    return add_hook(global_hooks["step_post"], hook)


def with_hooks(step: Callable) -> Callable:
    """``step`` as a class defines it, with the hooks around it and its calls counted."""

    @functools.wraps(step)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if run in self._running:
            raise RuntimeError("step() was called inside step(): a closure must compute the loss, not step")
        if self._running:  # super().step() of a subclass: the hooks have run already
            return step(self, *args, **kwargs)
        args = (self, *args)
        for hook in [*global_hooks["step_pre"].values(), *self._hooks["step_pre"].values()]:
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"{hook} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                    )
                args, kwargs = changed
        try:
            self._running.append(run)  # inside: a signal may arrive as soon as append returns
            result = step(*args, **kwargs)
        finally:
            del self._running[:]
        self._step_count += 1
        for hook in [*self._hooks["step_post"].values(), *global_hooks["step_post"].values()]:
            hook(self, args, kwargs)
        self._after_step()
        return result

    return run


def use_grad_for_differentiable(step: Callable) -> Callable:
    """A decorator of torch's: run ``step`` with recording on where the option ``differentiable`` is, else off."""

    @functools.wraps(step)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        with set_grad_enabled(bool(self.defaults["differentiable"])):
            return step(self, *args, **kwargs)

    return run


def gradients_are_finite(optimizer: Any) -> bool:
    """Whether no gradient has NaN or Inf; where one has, the optimizer's ``nonfinite`` says what follows."""
    groups = optimizer.param_groups
    names = chain.from_iterable(group.get("param_names", [None] * len(group["params"])) for group in groups)
    parameters = chain.from_iterable(group["params"] for group in groups)
    for i, (p, name) in enumerate(zip(parameters, names, strict=True)):
        if p.grad is None or np.isfinite((p.grad._values() if p.grad.is_sparse else p.grad)._array).all():
            continue
        if optimizer.nonfinite == "raise":
            raise FloatingPointError(
                f"the gradient of parameter {i if name is None else repr(name)} has NaN or Inf at step "
                f"{optimizer._step_count + 1}; nothing was changed: look at the loss, make lr smaller, or set nonfinite='skip'"
            )
        optimizer.skipped_steps += 1
        return False
    return True
