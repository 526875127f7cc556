"""Properties 11 to 24: saving and copying, bounds, reductions and closed forms."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import optimlab as ol
from optimlab import optim
from worlds import (
    ALL,
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


def begun(method, xs, gs):
    """An optimizer that has walked along ``gs``."""
    cls, options = method
    optimizer = cls(leaves(xs), **options)
    for g in gs:
        give(optimizer, g)
    return optimizer


def params(optimizer):
    return optimizer.param_groups[0]["params"]


def through_a_file(value):
    file = io.BytesIO()
    ol.save(value, file)
    file.seek(0)
    return ol.load(file), file.getvalue()


@given(anyone, seeds, st.integers(0, 8), shapes)
def test_saved_at_any_step_it_goes_on(method, seed, k, shape):
    """11. Through a file, bit for bit."""
    xs, gs = draw(seed, 8, shape, (3,))
    first = begun(method, xs, gs[:k])
    state, _ = through_a_file(first.state_dict())
    second = method[0](leaves(values(params(first))), **method[1])
    second.load_state_dict(state)
    for g in gs[k:]:
        give(second, g)
    assert same(values(params(second)), run(method, xs, gs))


@given(anyone, seeds, steps)
def test_loading_its_own_state_changes_nothing(method, seed, n):
    """12."""
    xs, gs = draw(seed, n + 1, (3,))
    optimizer = begun(method, xs, gs[:n])
    optimizer.load_state_dict(optimizer.state_dict())
    give(optimizer, gs[n])
    assert same(values(params(optimizer)), run(method, xs, gs))


@given(anyone, seeds, steps, st.sampled_from([copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]))
def test_a_copy_goes_on_by_itself(method, seed, n, copied):
    """13."""
    xs, gs = draw(seed, n + 1, (3,), (2, 2))
    optimizer = begun(method, xs, gs[:n])
    before = values(params(optimizer))
    other = copied(optimizer)
    give(other, gs[n])
    assert same(values(params(optimizer)), before)
    assert same(values(params(other)), run(method, xs, gs))


@given(anyone, seeds, steps)
def test_a_file_of_what_was_loaded_is_the_same_file(method, seed, n):
    """14."""
    xs, gs = draw(seed, n, (3,), (2, 2))
    optimizer = begun(method, xs, gs)
    state, written = through_a_file(optimizer.state_dict())
    optimizer.load_state_dict(state)
    assert through_a_file(optimizer.state_dict())[1] == written


@given(anyone, seeds, steps)
def test_no_gradients_no_step(method, seed, n):
    """15."""
    xs, gs = draw(seed, n, (3,), ())
    optimizer = begun(method, xs, gs)
    before, state = values(params(optimizer)), through_a_file(optimizer.state_dict())[1]
    give(optimizer, [None, None])
    assert same(values(params(optimizer)), before)
    assert through_a_file(optimizer.state_dict())[1] == state


@given(anyone, seeds, steps)
def test_lr_zero_moves_nothing(method, seed, n):
    """16. Rprop alone reads lr as the first step size, which it holds above 1e-6."""
    assume(method[0] is not optim.Rprop)
    xs, gs = draw(seed, n, (3,))
    assert same(run(method, xs, gs, lr=0.0), xs)


betas = st.one_of(st.just(0.0), st.floats(1e-3, 0.99))  # a weight of 1e-100 would overflow in the bound


@given(seeds, steps, betas, betas)
def test_adams_step_is_bounded(seed, n, beta1, beta2):
    """17. |step| <= lr times a bound that depends on the betas alone, for gradients of any size.

    Kingma and Ba (section 2.1) give max(1, (1 - beta1) / sqrt(1 - beta2)), 3.16 by default, which holds for gradients that
    come one in a while; where each is 1.11 times as large as the one before, a step is 6.76 lr. By Cauchy and Schwarz the
    ratio of the two corrected means is at most sqrt((1 - beta2^t) sum w1^2 / w2) / (1 - beta1^t), where w1 and w2 are the
    weights of the gradients in them.
    """
    (x,), gs = draw(seed, n, (4,))
    gs = [[g * 10.0 ** ((seed >> i) % 7 - 3)] for i, (g,) in enumerate(gs)]
    p = leaves([x])
    optimizer = optim.Adam(p, lr=0.1, betas=(float(beta1), float(beta2)))
    for t, g in enumerate(gs, 1):
        before = values(p)[0]
        give(optimizer, g)
        i = np.arange(t)
        w1, w2 = (1 - beta1) * beta1**i, (1 - beta2) * beta2**i
        with np.errstate(divide="ignore", invalid="ignore"):
            sharp = np.sqrt(np.where(w1 == 0, 0, w1**2 / w2).sum() * (1 - beta2**t)) / (1 - beta1**t)
        if beta2 == 0 < beta1 and t > 1:
            break  # an old gradient then has no bound in the denominator
        assert np.abs(values(p)[0] - before).max() <= 0.1 * sharp * (1 + 1e-9) + 1e-14


@given(seeds, betas, betas, st.integers(0, 7))
def test_adams_step_on_a_rare_gradient_is_bounded_as_in_the_paper(seed, beta1, beta2, before):
    """17. After any number of zeros the one gradient moves by lr max(1, (1 - beta1) / sqrt(1 - beta2)) at most."""
    (x,), gs = draw(seed, 1, (4,))
    start, end = (
        run((optim.Adam, {"lr": 0.1, "betas": (float(beta1), float(beta2))}), [x], [[np.zeros(4)]] * before + more)
        for more in ([], gs)
    )
    bound = 0.1 * max(1, (1 - beta1) / (1 - beta2) ** 0.5)
    assert np.abs(end[0] - start[0]).max() <= bound * (1 + 1e-9) + 1e-14


@given(seeds, shapes)
def test_adams_first_step_is_lr_times_sign(seed, shape):
    """18. Up to eps: g / (|g| + eps)."""
    (x,), gs = draw(seed, 1, shape)
    g = gs[0][0]
    assert close([run((optim.Adam, {"lr": 0.1}), [x], gs)[0] - x], [-0.1 * g / (np.abs(g) + 1e-8)])


@given(seeds, steps)
def test_sums_and_maxima_never_fall(seed, n):
    """19. Adagrad's sum of squares, AMSGrad's largest second moment."""
    (x,), gs = draw(seed, n, (4,))
    for method, key in [((optim.Adagrad, {}), "sum"), ((optim.Adam, {"amsgrad": True}), "max_exp_avg_sq")]:
        optimizer, before = begun(method, [x], []), 0
        for g in gs:
            give(optimizer, g)
            now = optimizer.state[params(optimizer)[0]][key].numpy().copy()
            assert (now >= before).all()
            before = now


EQUAL = [
    ((optim.SGD, {"lr": 0.1}), (optim.SGD, {"lr": 0.1, "momentum": 0.0, "dampening": 0.5})),
    ((optim.Adam, {"lr": 0.1}), (optim.AdamW, {"lr": 0.1, "weight_decay": 0.0})),
    ((optim.Adam, {"lr": 0.1}), (optim.Adam, {"lr": 0.1, "decoupled_weight_decay": True})),
    ((optim.AdamW, {"lr": 0.1}), (optim.Adam, {"lr": 0.1, "weight_decay": 0.01, "decoupled_weight_decay": True})),
    ((optim.RMSprop, {"lr": 0.1}), (optim.RMSprop, {"lr": 0.1, "momentum": 0.0})),
    ((optim.Adagrad, {"lr": 0.1}), (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.0, "initial_accumulator_value": 0.0})),
]


@given(st.sampled_from(EQUAL), seeds, steps)
def test_one_method_within_another(pair, seed, n):
    """20. Options at zero give back the simpler method."""
    xs, gs = draw(seed, n, (4,))
    assert same(*(run(method, xs, gs) for method in pair))


@given(seeds, st.floats(0.1, 0.95))
def test_nesterov_is_a_look_ahead(seed, mu):
    """20. The step is along g + mu v, the velocity one step ahead."""
    (x,), gs = draw(seed, 6, (4,))
    v, p = 0.0, x.copy()
    for (g,) in gs:
        v = mu * v + g
        p = p - 0.1 * (g + mu * v)
    assert close([p], run((optim.SGD, {"lr": 0.1, "momentum": mu, "nesterov": True}), [x], gs))


@given(seeds)
def test_radam_becomes_adam(seed):
    """20. Its rectification tends to 1: with beta2 = 0.99, at step 20,000, the two steps differ by less than 2 in 1,000."""
    _, gs = draw(seed, 1, (4,))
    moved = []
    for cls in (optim.Adam, optim.RAdam):
        p = leaves([np.zeros(4)])
        optimizer = cls(p, lr=0.1, betas=(0.9, 0.99))
        give(optimizer, gs[0])
        optimizer.state[p[0]]["step"].fill_(20_000)
        before = values(p)[0]
        give(optimizer, gs[0])
        moved.append(values(p)[0] - before)
    # r = 1 at most, and with rho_inf = 199 its limit is sqrt((rho-4)(rho-2)rho_inf / ((rho_inf-4)(rho_inf-2)rho)) = 1
    np.testing.assert_allclose(moved[1], moved[0], rtol=2e-3)


@given(seeds, steps, st.floats(0, 2 * math.pi))
def test_sgd_commutes_with_rotations(seed, n, angle):
    """21. Adam does not, see below."""
    (x,), gs = draw(seed, n, (2,))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    method = optim.SGD, {"lr": 0.1, "momentum": 0.9}
    assert close([turn @ run(method, [x], gs)[0]], run(method, [turn @ x], [[turn @ g] for (g,) in gs]))


def test_adam_does_not_commute_with_rotations():
    """21, the other way round."""
    (x,), gs = draw(0, 5, (2,))
    turn = np.array([[1, -1], [1, 1]]) / math.sqrt(2)
    method = optim.Adam, {"lr": 0.1}
    assert not close([turn @ run(method, [x], gs)[0]], run(method, [turn @ x], [[turn @ g] for (g,) in gs]), rtol=1e-3)


@given(seeds, st.floats(0.1, 0.9), st.floats(0.01, 0.5), st.integers(1, 30))
def test_momentum_on_a_quadratic_is_a_matrix_power(seed, mu, lr, n):
    """22. (v, p) goes through the same 2x2 matrix each step."""
    h, start = np.random.default_rng(seed).uniform(0.1, 1.0), np.random.default_rng(seed).standard_normal()
    p = leaves([np.array(start)])[0]
    optimizer = optim.SGD([p], lr=lr, momentum=mu)
    for _ in range(n):
        p.grad = h * p.detach()
        optimizer.step()
    matrix = np.array([[mu, h], [-lr * mu, 1 - lr * h]])  # (v, p) -> (mu v + h p, p - lr (mu v + h p))
    expected = np.linalg.matrix_power(matrix, n) @ [0.0, start]
    np.testing.assert_allclose(p.item(), expected[1], rtol=1e-10, atol=1e-12)


@given(seeds, st.integers(1, 50), st.floats(0, 1), st.floats(0, 0.5))
def test_adamw_without_gradient_shrinks_by_a_power(seed, n, lr, decay):
    """23."""
    (x,), _ = draw(seed, 0, (4,))
    moved = run((optim.AdamW, {"lr": lr, "weight_decay": decay}), [x], [[np.zeros(4)]] * n)
    np.testing.assert_allclose(moved[0], x * (1 - lr * decay) ** n, rtol=1e-13)


@given(elementwise, seeds, steps)
def test_float32_follows_float64(method, seed, n):
    """24. Within a few rounding steps of float32; a division by a small root can enlarge them."""
    xs, gs = draw(seed, n, (5,))
    xs = [x.astype(np.float32).astype(np.float64) for x in xs]
    gs = [[g.astype(np.float32).astype(np.float64) for g in row] for row in gs]
    assume(not method[1].get("centered"))  # at first, what is under its root is no more than rounding
    fine, rough = run(method, xs, gs), run(method, xs, gs, np.float32)
    # 8 steps, some 10 roundings each, of numbers of size 3: 240 x 2**-24
    np.testing.assert_allclose(rough[0], fine[0], rtol=0, atol=240 * 2**-24)


@pytest.mark.parametrize("method", ALL, ids=lambda m: f"{m[0].__name__}{list(m[1])}")
def test_every_method_goes_down(method):
    """What all this is for: on a bowl, 200 steps end lower than 20."""
    p = leaves([np.array([2.0, -3.0, 0.5])])[0]
    optimizer, losses = method[0]([p], **method[1]), []
    for _ in range(200):
        p.grad = p.detach().clone()
        losses.append(float((p.detach() ** 2).sum()))
        optimizer.step()
    assert losses[-1] < losses[20] < losses[0] and len(ELEMENTWISE) < len(ALL)
