"""Hooks that see a module's gradients: the module's input and output pass through operations that change nothing forward.

观察模块梯度的钩子：输入与输出各经过一个恒等运算，反向传播时便能看到梯度。
"""

import warnings
from collections.abc import Callable
from typing import Any

from optimlab.custom import Function
from optimlab.graph import is_grad_enabled
from optimlab.tensor import Tensor


class BackwardHookFunction(Function):
    """The identity; ``seen(g)`` is called with the gradient on its way back, and may give another. 恒等运算。"""

    @staticmethod
    def forward(ctx: Any, x: Tensor, seen: Callable) -> Tensor:
        ctx.seen = seen
        return x.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.seen(gradients[0]), None


def call(module: Any, hooks: list[Callable], args: tuple, run: Callable[[tuple], Any]) -> Any:
    """``run(args)``, which computes the module's output, so that each ``hook(module, grad_input, grad_output)`` is called."""
    if not is_grad_enabled():
        return run(args)
    places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
    recorded = [i for i in places if args[i].requires_grad]
    if len(recorded) > 1:
        raise NotImplementedError(
            f"full backward hooks are for modules with one input that requires grad; {type(module).__name__} got "
            f"{len(recorded)}: use register_hook() of the tensors"
        )
    grad_output: Any = None

    def told(g: Any) -> Any:
        for hook in hooks:
            found = hook(module, tuple(g if i in recorded else None for i in places), (grad_output,))
            if found is not None:
                parts = found if isinstance(found, tuple) else (found,)
                if len(parts) != len(places):
                    raise RuntimeError(
                        f"Backward hook returned an invalid number of grad_input, got {len(parts)}, but expected {len(places)}"
                    )
                g = parts[places.index(recorded[0])] if recorded else None
        return g

    def remember(g: Tensor) -> Tensor:
        nonlocal grad_output
        grad_output = g
        if not recorded:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
                "require gradients.",
                stacklevel=2,
            )
            told(None)
        return g

    if recorded:
        at = recorded[0]
        args = (*args[:at], BackwardHookFunction.apply(args[at], told), *args[at + 1 :])
    output = run(args)
    if not isinstance(output, Tensor):
        raise NotImplementedError(
            f"full backward hooks are for modules whose output is one tensor; {type(module).__name__} gave "
            f"{type(output).__name__}: use register_hook() of the tensors"
        )
    return BackwardHookFunction.apply(output, remember)
