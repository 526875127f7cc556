"""What holds for a step: parameters, gradients, state.

每一步更新应成立的性质。
"""

import math
from typing import Any

import numpy as np

from optimlab.autograd import enable_grad, no_grad
from optimlab.dtype import float32, float64
from optimlab.optim import lr_scheduler
from optimlab.optim.optimizer import Optimizer
from optimlab.random import default_generator
from optimlab.tensor import Tensor
from optimlab.testing.checks.world import (
    Make,
    check,
    give,
    gradient,
    leaf,
    pair,
    parameters,
    refuses,
    values,
    walk,
    where,
)


@check
def goes_against_the_gradient(make: Make) -> Any:
    """The first step goes down: the parameter moves against its gradient, ``p - lr * ...``. Look for a wrong sign."""
    p = leaf(make)
    optimizer = make([p])
    before = give(p).detach().numpy().copy()
    optimizer.step()
    return ((p.detach().numpy() - before) * gradient(p).numpy()).sum() < 0


@check
def keeps_descending(make: Make) -> Any:
    """On a bowl, 100 steps bring the loss down. Look at what grows or shrinks from step to step."""
    optimizer, losses = make([Tensor(10 * values(make.shape), requires_grad=True)]), []  # type: ignore[attr-defined]
    for _ in range(100):
        (p,) = parameters(optimizer)
        p.grad = p.detach().clone()
        losses.append(float((p.detach() ** 2).sum()))
        optimizer.step()
    return losses[-1] < losses[49] < losses[0]


@check
def leaves_parameters_without_gradient(make: Make) -> Any:
    """A parameter whose grad is None keeps still: ``if p.grad is None: continue``."""
    optimizer = pair(make)
    walk(optimizer)
    first, second = parameters(optimizer)
    give(first)
    second.grad, before = None, second.tolist()
    optimizer.step()
    return second.tolist() == before


@check
def goes_on_behind_a_missing_gradient(make: Make) -> Any:
    """A missing gradient holds up no other parameter: ``continue``, not ``break`` or ``return``."""
    optimizer = pair(make)
    second = give(parameters(optimizer)[1])
    before = second.tolist()
    optimizer.step()
    return second.tolist() != before


@check
def remembers_nothing_without_gradient(make: Make) -> Any:
    """A parameter without gradient has no state: make it after ``if p.grad is None: continue``."""
    optimizer = pair(make)
    first, second = parameters(optimizer)
    give(first)
    optimizer.step()
    return not optimizer.state.get(second)


@check
def a_frozen_parameter_is_left(make: Make) -> Any:
    """A parameter frozen after some steps (requires_grad off, no gradient) keeps still, its momentum too."""
    optimizer = pair(make)
    walk(optimizer)
    first, second = parameters(optimizer)
    second.requires_grad, second.grad, before = False, None, second.tolist()
    give(first)
    optimizer.step()
    return second.tolist() == before


@check
def keeps_float32(make: Make) -> Any:
    """A float32 parameter stays float32. A NumPy float64 among the factors turns the product into float64."""
    p = leaf(make)
    walk(make([p]), 4)
    return p.dtype is float32


@check
def computes_in_float64(make: Make) -> Any:
    """A float64 parameter is worked on in float64: a step that goes through float32 shows as an error of 1e-8."""
    p = leaf(make, dtype=float64)
    walk(make([p]))
    fine = p.detach().numpy()
    return p.dtype is float64 and not np.array_equal(fine, fine.astype(np.float32))


@check
def keeps_the_shape(make: Make) -> Any:
    """A step does not change the shape of a parameter; broadcasting with a state of another shape may."""
    p = leaf(make)
    shape = tuple(p.shape)
    walk(make([p]), 5)
    return tuple(p.shape) == shape


@check
def writes_into_the_parameter(make: Make) -> Any:
    """The model holds the same tensors, so a step changes them in place (``p.add_``, ``p.copy_``), not a copy in
    the group."""
    p = leaf(make)
    optimizer = make([p])
    walk(optimizer, 6)
    return parameters(optimizer)[0] is p and p.tolist() != leaf(make).tolist()


@check
def writes_into_the_memory(make: Make) -> Any:
    """Views and arrays that share a parameter's memory see the step: change the numbers (``p.add_``), do not
    exchange ``p.data``."""
    p = leaf(make)
    shared = p.detach()
    walk(make([p]))
    return shared.tolist() == p.tolist()


@check
def leaves_the_gradient(make: Make) -> Any:
    """A step does not change ``p.grad``: others read it afterwards. Weight decay by ``grad.add_(p)`` does; write
    ``grad = grad + ...``."""
    p = leaf(make)
    optimizer = make([p])
    before = gradient(give(p)).tolist()
    optimizer.step()
    return p.grad is not None and gradient(p).tolist() == before


@check
def stays_a_leaf(make: Make) -> Any:
    """A step is not recorded: the parameter stays a leaf that requires grad. Decorate ``step`` with ``@no_grad()``."""
    p = leaf(make)
    with enable_grad():
        walk(make([p]))
    return p.is_leaf and p.grad_fn is None and p.requires_grad


@check
def state_is_not_recorded(make: Make) -> Any:
    """What is remembered has no history: ``state`` made of tensors that require grad keeps every old step alive.
    Use ``@no_grad()``."""
    optimizer = pair(make)
    walk(optimizer)
    return not any(
        x.requires_grad for state in optimizer.state.values() for x in state.values() if isinstance(x, Tensor)
    )


@check
def steps_a_single_number(make: Make) -> Any:
    """A parameter may be one number, a 0-d tensor: do not index or iterate over it."""
    p = leaf(make, shape=())
    before = p.item()
    walk(make([p]))
    return p.item() != before


@check
def steps_an_empty_tensor(make: Make) -> Any:
    """A parameter may have no elements: a mean over it divides by zero."""
    return walk(make([leaf(make, shape=(0, 3))])) == [[]]


@check
def strided_parameters_are_alike(make: Make) -> Any:
    """A transposed parameter moves as a contiguous one does: ``reshape(-1)`` of it is a copy that nothing is
    written back from."""
    straight, turned = leaf(make, shape=(3, 4)), leaf(make, shape=(3, 4))
    turned.data = Tensor(values((3, 4)).T.copy(), dtype=float32).T
    return walk(make([straight])) == walk(make([turned]))


@check
def strided_gradients_are_alike(make: Make) -> Any:
    """A transposed gradient counts as a contiguous one: work on its elements, not on its memory."""
    straight, turned = leaf(make, shape=(3, 4)), leaf(make, shape=(3, 4))
    optimizers = make([straight]), make([turned])
    turned.grad = Tensor(gradient(give(straight)).numpy().T.copy(), dtype=float32).T
    for optimizer in optimizers:
        optimizer.step()
    return straight.tolist() == turned.tolist()


@check
def order_does_not_matter(make: Make) -> Any:
    """Parameters do not know of each other: in the other order they move alike. Look for a variable that is carried over."""
    a, b = leaf(make), leaf(make, 1)
    c, d = leaf(make), leaf(make, 1)
    forth, back = make([a, b]), make([d, c])
    for k in range(3):
        for p, q in ((a, c), (b, d)):
            give(p, k + (p is b))
            give(q, k + (p is b))
        forth.step()
        back.step()
    return [a.tolist(), b.tolist()] == [c.tolist(), d.tolist()]


@check
def each_group_has_its_lr(make: Make) -> Any:
    """Each group steps with its own lr: read ``group["lr"]`` inside the loop over groups."""

    def two(*lrs: float) -> Optimizer:
        return make([{"params": [leaf(make, k)], "lr": lr} for k, lr in enumerate(lrs)])

    return walk(two(0.5, 0.25), 1)[1] == walk(two(0.25, 0.25), 1)[1] != walk(two(0.5, 0.5), 1)[1]


@check
def a_new_lr_counts_at_once(make: Make) -> Any:
    """``group["lr"] = ...`` counts from the next step on: read it in ``step``, not in ``__init__``."""
    p, q = leaf(make), leaf(make)
    changed, given = make([p], lr=0.5), make([q], lr=0.125)
    changed.param_groups[0]["lr"] = 0.125
    return walk(changed, 1) == walk(given, 1)


@check
def schedules_reach_it(make: Make) -> Any:
    """A schedule sets ``group["lr"]`` between steps, and the steps follow it."""
    with_schedule, by_hand = pair(make, lr=0.5), pair(make, lr=0.5)
    schedule = lr_scheduler.StepLR(with_schedule, step_size=1, gamma=0.5)
    for k in range(4):
        walk(with_schedule, 1, k)
        schedule.step()
        walk(by_hand, 1, k)
        by_hand.param_groups[0]["lr"] *= 0.5
    return where(with_schedule) == where(by_hand)


@check
def draws_no_random_numbers(make: Make) -> Any:
    """A step takes nothing from the global random stream, or the data that follows comes in another order."""
    optimizer, generator = pair(make), default_generator
    before = generator.get_state()
    walk(optimizer)
    return generator.get_state().tolist() == before.tolist()


@check
def optimizers_are_strangers(make: Make) -> Any:
    """Two optimizers share nothing: state in a class attribute, or in a mutable default argument, is shared by all."""
    alone = walk(pair(make), 2)
    first, second = pair(make), pair(make)
    walk(first, 21)
    return walk(second, 2) == alone


@check
def follows_the_present_gradient(make: Make) -> Any:
    """Each step uses the gradient of that moment: ``zero_grad`` and ``backward`` put a new tensor on ``p.grad``; do
    not keep the old."""
    optimizer, other = pair(make), pair(make)
    for each, scale in ((optimizer, 1.0), (other, -1.0)):
        walk(each, 3)
        for p in parameters(each):
            give(p, 3, scale)
        each.step()
    return where(optimizer) != where(other)


@check
def follows_the_present_parameter(make: Make) -> Any:
    """A parameter that was changed by hand goes on from there: read ``p`` in every step, keep no copy of it."""
    optimizer = pair(make)
    walk(optimizer, 2)
    with no_grad():
        for p in parameters(optimizer):
            p.fill_(100.0)
    walk(optimizer, 1, 2)
    return all(50 < x < 150 for p in parameters(optimizer) for x in p.detach().numpy().ravel())


@check
def follows_new_data(make: Make) -> Any:
    """``p.data = other`` gives a parameter new memory; the next step works there. Keep no ``p.data`` from step to step."""
    p = leaf(make)
    optimizer = make([p])
    walk(optimizer, 2)
    p.data = Tensor(np.full(p.shape, 7.0), dtype=float32)
    walk(optimizer, 1, 2)
    return bool((p != 7.0).any())


@check
def state_is_not_the_gradient(make: Make) -> Any:
    """What is remembered is a copy: a momentum that *is* ``p.grad`` becomes zero with
    ``zero_grad(set_to_none=False)``. Clone it."""
    optimizer, other = pair(make), pair(make)
    for each in (optimizer, other):
        walk(each, 1)
        each.zero_grad(set_to_none=each is optimizer)
        for k, p in enumerate(parameters(each)):
            if p.grad is None:
                give(p, k)
            else:
                gradient(p).add_(gradient(give(leaf(make), k)))
        each.step()
    return where(optimizer) == where(other)


@check
def state_is_not_the_parameter(make: Make) -> Any:
    """What is remembered is a copy: a state that *is* the parameter moves with it. Clone it."""
    optimizer = pair(make)
    walk(optimizer)
    return not any(
        isinstance(x, Tensor) and np.shares_memory(x.detach().numpy(), p.detach().numpy())
        for p in parameters(optimizer)
        for x in optimizer.state.get(p, {}).values()
    )


@check
def state_does_not_grow(make: Make) -> Any:
    """Ten steps and forty remember the same amount: a list of all old gradients fills the memory."""

    def size(optimizer: Optimizer) -> int:
        return sum(len(x) if isinstance(x, (list, dict)) else 1 for s in optimizer.state.values() for x in s.values())

    optimizer = pair(make)
    walk(optimizer, 10)
    before = size(optimizer)
    walk(optimizer, 30, 10)
    return size(optimizer) == before


@check
def survives_large_gradients(make: Make) -> Any:
    """A gradient of 1e15 in float32 gives finite numbers: its cube, or the product of three, does not."""
    p = leaf(make)
    optimizer = make([p])
    give(p, scale=1e15)
    optimizer.step()
    return bool(np.isfinite(p.detach().numpy()).all())


@check
def survives_tiny_gradients(make: Make) -> Any:
    """A gradient of 1e-30 in float32 gives finite numbers: its square is zero, and dividing by that needs an eps."""
    p = leaf(make)
    optimizer = make([p])
    give(p, scale=1e-30)
    optimizer.step()
    return bool(np.isfinite(p.detach().numpy()).all())


@check
def nan_stays_where_it_is(make: Make) -> Any:
    """A NaN in one parameter's gradient leaves the other parameters finite: share no number between them."""
    optimizer = pair(make)
    first, second = (give(p) for p in parameters(optimizer))
    gradient(first).fill_(math.nan)
    optimizer.step()
    return bool(np.isfinite(second.detach().numpy()).all())


@check
def a_failing_step_changes_nothing(make: Make) -> Any:
    """A step that fails has moved nothing: check every parameter before the first one moves."""
    optimizer = pair(make)
    walk(optimizer)
    first, second = (give(p) for p in parameters(optimizer))
    second.data = Tensor(np.ones((7, 5)), dtype=float32)
    before = first.tolist()
    return refuses(Exception, optimizer.step) and first.tolist() == before
