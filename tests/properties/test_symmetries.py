"""Properties 1 to 10: what an optimizer must not see, and what it must."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from optimlab import optim
from worlds import (
    ADAFACTOR,
    ELEMENTWISE,
    anyone,
    close,
    draw,
    elementwise,
    give,
    leaves,
    run,
    same,
    seeds,
    shapes,
    steps,
    values,
)


@given(elementwise, seeds, steps)
def test_the_order_of_elements_is_unseen(method, seed, n):
    """1. Elements in another order move alike."""
    (x,), gs = draw(seed, n, (9,))
    order = np.random.default_rng(seed + 1).permutation(9)
    assert same([run(method, [x], gs)[0][order]], run(method, [x[order]], [[g[order]] for (g,) in gs]))


@given(elementwise, seeds, steps)
def test_where_tensors_end_is_unseen(method, seed, n):
    """2. One tensor, or the same numbers in three."""
    (x,), gs = draw(seed, n, (9,))
    parts = run(method, np.split(x, [2, 5]), [np.split(g, [2, 5]) for (g,) in gs])
    assert same(run(method, [x], gs), [np.concatenate(parts)])


@given(seeds)
def test_adafactor_sees_where_tensors_end(seed):
    """2, the other way round: it scales by the root mean square of a whole tensor."""
    (x,), gs = draw(seed, 3, (9,))
    parts = run(ADAFACTOR, np.split(x, [2, 5]), [np.split(g, [2, 5]) for (g,) in gs])
    assert not close(run(ADAFACTOR, [x], gs), [np.concatenate(parts)], rtol=1e-6)


@given(anyone, seeds, steps)
def test_groups_with_equal_options_are_unseen(method, seed, n):
    """3. One group, or a group for each parameter."""
    cls, options = method
    xs, gs = draw(seed, n, (3,), (2, 2), ())
    ps = leaves(xs)
    optimizer = cls([{"params": [p]} for p in ps], **options)
    for g in gs:
        give(optimizer, g)
    assert same(run(method, xs, gs), values(ps))


@given(anyone, seeds, steps, shapes)
def test_left_and_right_are_alike(method, seed, n, shape):
    """4. -x with gradient -g goes to minus where x with g goes."""
    (x,), gs = draw(seed, n, shape)
    assert same([-run(method, [x], gs)[0]], run(method, [-x], [[-g] for (g,) in gs]))


@given(anyone, seeds, steps, shapes)
def test_maximize_is_minimize_of_the_negative(method, seed, n, shape):
    """5."""
    (x,), gs = draw(seed, n, shape)
    assert same(run(method, [x], gs, maximize=True), run(method, [x], [[-g] for (g,) in gs]))


PULLED = {optim.AdamW, optim.ASGD}  # they shrink the parameter itself


@given(elementwise, seeds, steps, st.sampled_from([1.0, -0.5, 100.0]))
def test_where_zero_is_is_unseen(method, seed, n, shift):
    """6. Moved by a constant, the whole walk is moved by it, unless something pulls towards zero."""
    cls, options = method
    assume(not options.get("weight_decay") and cls not in PULLED)
    (x,), gs = draw(seed, n, (5,))
    # x + shift loses the last digits of x: 2**-53 of 100, once a step
    assert close([run(method, [x], gs)[0] + shift], run(method, [x + shift], gs), rtol=0, atol=2e-13)


@pytest.mark.parametrize(
    "method", [m for m in ELEMENTWISE if m[0] in PULLED] + [ADAFACTOR], ids=lambda m: m[0].__name__
)
def test_decay_and_adafactor_see_where_zero_is(method):
    """6, the other way round."""
    (x,), gs = draw(0, 5, (5,))
    assert not close([run(method, [x], gs)[0] + 100], run(method, [x + 100], gs), rtol=0, atol=1e-6)


SCALE_FREE = [optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adamax, optim.NAdam]


@given(st.sampled_from(SCALE_FREE), seeds, steps, st.integers(-20, 20))
def test_the_unit_of_the_loss_is_unseen(cls, seed, n, k):
    """7. Gradients 2**k times as large make the same steps, bit for bit, where eps is 0."""
    (x,), gs = draw(seed, n, (5,))
    assert same(
        run((cls, {}), [x], gs, eps=0.0, weight_decay=0.0),
        run((cls, {}), [x], [[g * 2.0**k] for (g,) in gs], eps=0.0, weight_decay=0.0),
    )


@given(st.sampled_from(SCALE_FREE), seeds, steps)
def test_the_unit_of_the_loss_is_unseen_up_to_rounding(cls, seed, n):
    """7. The same for a factor of 3, which is not exact."""
    (x,), gs = draw(seed, n, (5,))
    assert close(run((cls, {}), [x], gs, eps=0.0), run((cls, {}), [x], [[3 * g] for (g,) in gs], eps=0.0))


@given(seeds, steps, st.integers(-20, 20))
def test_rprop_sees_signs_alone(seed, n, k):
    """7. No eps to set aside."""
    (x,), gs = draw(seed, n, (5,))
    assert same(run((optim.Rprop, {}), [x], gs), run((optim.Rprop, {}), [x], [[g * 2.0**k] for (g,) in gs]))


@pytest.mark.parametrize("cls", [optim.RAdam, optim.SGD, optim.Adadelta])
def test_others_see_the_unit_of_the_loss(cls):
    """7, the other way round: RAdam begins with unscaled steps."""
    (x,), gs = draw(0, 3, (5,))
    assert not close(run((cls, {"lr": 0.1}), [x], gs), run((cls, {"lr": 0.1}), [x], [[8 * g] for (g,) in gs]))


@given(anyone, seeds, st.floats(0.1, 2.0))
def test_the_first_step_is_linear_in_lr(method, seed, factor):
    """8. Twice the lr, twice the first step, where nothing decays."""
    cls, options = method
    (x,), gs = draw(seed, 1, (5,))
    options = {**options, "weight_decay": 0.0} if "weight_decay" in options else options
    moved = [run((cls, options), [x], gs, lr=lr)[0] - x for lr in (0.1, 0.1 * factor)]
    # ASGD shrinks x by lr times 1e-4 of it, which is linear too; a step of 0.1 is taken off x again, which has 16 digits
    assert close([moved[0] * factor], [moved[1]], rtol=1e-12, atol=1e-14)


@given(elementwise, seeds, steps)
def test_the_layout_in_memory_is_unseen(method, seed, n):
    """9. Transposed storage moves as contiguous storage does."""
    cls, options = method
    (x,), gs = draw(seed, n, (3, 4))
    turned = leaves([x])[0]
    turned.data = leaves([x.T.copy()])[0].detach().T
    optimizer = cls([turned], **options)
    for g in gs:
        give(optimizer, g)
    assert same(run(method, [x], gs), values([turned]))


@given(elementwise, seeds, steps)
def test_many_at_once_is_one_by_one(method, seed, n):
    """10. A tensor moves as its elements would, each alone."""
    (x,), gs = draw(seed, n, (6,))
    alone = run(method, list(x), [list(g) for (g,) in gs])
    assert same(run(method, [x], gs), [np.array(alone)])
