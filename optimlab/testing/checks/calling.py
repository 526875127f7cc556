"""What holds for closures, hooks, gradients and groups, and for what is printed.

闭包、钩子、梯度、参数组以及输出应成立的性质。
"""

import warnings
from typing import Any

from optimlab.autograd import enable_grad, is_grad_enabled
from optimlab.testing.checks.world import Make, check, give, leaf, pair, parameters, quietly, refuses, walk, where


@check
def gives_back_the_loss(make: Make) -> Any:
    """``step(closure)`` returns what the closure returned."""
    optimizer = pair(make)
    return optimizer.step(lambda: 1.5) == 1.5


@check
def gives_back_nothing_without_closure(make: Make) -> Any:
    """Without a closure ``step()`` returns None: there is no loss to give back."""
    optimizer = pair(make)
    for p in parameters(optimizer):
        give(p)
    return optimizer.step() is None


@check
def calls_the_closure_once(make: Make) -> Any:
    """The closure is called once a step; each call costs a pass through the model."""
    optimizer, calls = pair(make), []
    optimizer.step(lambda: calls.append(1))
    return len(calls) == 1


@check
def records_inside_the_closure(make: Make) -> Any:
    """The closure runs backward, so gradients are recorded in it: ``with enable_grad(): loss = closure()``."""
    recording: list[bool] = []
    pair(make).step(lambda: recording.append(is_grad_enabled()))
    return recording[0]


@check
def uses_the_closures_gradients(make: Make) -> Any:
    """The closure computes the gradients that this step uses: call it before looking at ``p.grad``."""
    optimizer = pair(make)
    before = where(optimizer)

    def closure() -> float:
        for p in parameters(optimizer):
            give(p)
        return 0.0

    optimizer.step(closure)
    return where(optimizer) != before


@check
def restores_recording(make: Make) -> Any:
    """After a step gradients are recorded as before it: use ``@no_grad()``, which restores, not
    ``set_grad_enabled(False)``."""
    with enable_grad():
        walk(pair(make))
        return is_grad_enabled()


@check
def a_failing_closure_changes_nothing(make: Make) -> Any:
    """If the closure fails nothing has moved, and its error comes through."""
    optimizer = pair(make)
    walk(optimizer)
    optimizer.zero_grad()
    before = where(optimizer)

    def closure() -> None:
        raise ArithmeticError("from the closure")

    return refuses(ArithmeticError, lambda: optimizer.step(closure)) and where(optimizer) == before


@check
def hooks_run_around_it(make: Make) -> Any:
    """Hooks run before and after each step: define ``step`` in the class, do not replace it on the instance."""
    optimizer, order = pair(make), []
    optimizer.register_step_pre_hook(lambda *_: order.append("before"))
    optimizer.register_step_post_hook(lambda *_: order.append("after"))
    optimizer.step()
    return order == ["before", "after"]


@check
def zero_grad_forgets(make: Make) -> Any:
    """``zero_grad()`` sets every grad to None, so that a parameter that takes no part in a step keeps still."""
    optimizer = pair(make)
    walk(optimizer)
    optimizer.zero_grad()
    return all(p.grad is None for p in parameters(optimizer))


@check
def zero_grad_can_write_zeros(make: Make) -> Any:
    """``zero_grad(set_to_none=False)`` leaves zeros, written into the gradients that are there."""
    optimizer = pair(make)
    walk(optimizer)
    optimizer.zero_grad(set_to_none=False)
    return all(p.grad is not None and not p.grad.any() for p in parameters(optimizer))


@check
def zero_grad_moves_nothing(make: Make) -> Any:
    """``zero_grad`` changes no parameter: it forgets gradients, and only ``step`` moves."""
    optimizer = pair(make)
    before = walk(optimizer)
    optimizer.zero_grad()
    return where(optimizer) == before


@check
def steps_a_group_that_comes_later(make: Make) -> Any:
    """A group added after some steps is stepped too: loop over ``self.param_groups``, not over a list made in
    ``__init__``."""
    optimizer = pair(make)
    walk(optimizer)
    p = leaf(make, 2)
    optimizer.add_param_group({"params": [p]})
    walk(optimizer)
    return p.tolist() != leaf(make, 2).tolist()


@check
def a_later_group_gets_the_defaults(make: Make) -> Any:
    """A group added later gets the options it does not give from ``defaults``."""
    optimizer = pair(make, lr=0.5)
    optimizer.add_param_group({"params": [leaf(make, 2)]})
    return set(optimizer.param_groups[1]) >= set(optimizer.defaults)


@check
def a_later_group_leaves_the_others(make: Make) -> Any:
    """Adding a group does not disturb what is remembered of the others."""
    optimizer, other = pair(make), pair(make)
    walk(optimizer)
    walk(other)
    optimizer.add_param_group({"params": [leaf(make, 2)]})
    walk(optimizer, 2, 3)
    walk(other, 2, 3)
    return where(optimizer)[:2] == where(other)


@check
def is_silent(make: Make) -> Any:
    """A step prints nothing: a loop runs it a million times."""
    with quietly() as out:
        walk(pair(make))
    return not out.getvalue()


@check
def warns_of_nothing(make: Make) -> Any:
    """An ordinary step gives no warning: people stop reading warnings that always come."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        walk(pair(make))
    return not caught
