"""Properties 25 to 30: averages of weights, and schedules."""

import io
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import optimlab as ol
from optimlab import nn, optim
from optimlab.optim import lr_scheduler as S
from optimlab.optim import swa_utils
from worlds import seeds

SHAPED = [
    lambda o: S.StepLR(o, 3, 0.5),
    lambda o: S.MultiStepLR(o, [2, 5, 5], 0.5),
    lambda o: S.ConstantLR(o, 0.5, 4),
    lambda o: S.LinearLR(o, 0.25, 0.75, 6),
    lambda o: S.ExponentialLR(o, 0.9),
    lambda o: S.PolynomialLR(o, 8, 1.5),
    lambda o: S.CosineAnnealingLR(o, 7, 0.001),
    lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)),
]
OTHERS = [
    lambda o: S.MultiplicativeLR(o, lambda t: 0.95),
    lambda o: S.CosineAnnealingWarmRestarts(o, 4, 2),
    lambda o: S.CyclicLR(o, 0.01, 0.1, 3, cycle_momentum=False),
    lambda o: S.OneCycleLR(o, 0.1, total_steps=200),
    lambda o: S.SequentialLR(o, [S.LinearLR(o, 0.1, 1.0, 4), S.CosineAnnealingLR(o, 6)], [4]),
    lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.5, 4), S.ExponentialLR(o, 0.9)]),
]
shaped = st.sampled_from(SHAPED)
scheduled = st.sampled_from([*SHAPED, *OTHERS])
epochs = st.integers(0, 40)
ORDERS = [  # a schedule has to be made before its own state can be loaded
    ("make schedule", "load optimizer", "load schedule"),
    ("make schedule", "load schedule", "load optimizer"),
    ("load optimizer", "make schedule", "load schedule"),
]


def optimizer(lr=0.1):
    return optim.SGD([ol.tensor([1.0], requires_grad=True)], lr=lr, momentum=0.9)


def advance(o, schedule, n):
    """The learning rates of now and of n more epochs."""
    rates = [o.param_groups[0]["lr"]]
    for _ in range(n):
        o.step()
        schedule.step()
        rates.append(o.param_groups[0]["lr"])
    return rates


@given(seeds, st.integers(1, 12), st.floats(0, 1))
def test_averages_are_means_of_snapshots(seed, n, decay):
    """25. SWA is the mean, within the least and the largest; EMA a mean with weights that sum to 1."""
    random, net = np.random.default_rng(seed), nn.Linear(2, 1).double()
    swa = swa_utils.AveragedModel(net)
    ema = swa_utils.AveragedModel(net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
    snapshots = []
    for _ in range(n):
        with ol.no_grad():
            net.weight.copy_(ol.tensor(random.standard_normal((1, 2))))
        snapshots.append(net.weight.detach().numpy().copy())
        swa.update_parameters(net)
        ema.update_parameters(net)
    mean = swa.module.weight.detach().numpy()
    np.testing.assert_allclose(mean, np.mean(snapshots, 0), rtol=1e-12, atol=1e-14)
    assert (mean >= np.min(snapshots, 0) - 1e-15).all() and (mean <= np.max(snapshots, 0) + 1e-15).all()
    weights = [decay ** (n - 1 - i) * (1 if i == 0 else 1 - decay) for i in range(n)]  # the first snapshot is the start
    assert math.isclose(sum(weights), 1, rel_tol=1e-12)
    expected = sum(w * x for w, x in zip(weights, snapshots, strict=True))
    np.testing.assert_allclose(ema.module.weight.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


@given(shaped, st.integers(0, 120))
def test_closed_form_is_recursion(make, n):
    """26."""
    o = optimizer()
    schedule = make(o)
    assert math.isclose(advance(o, schedule, n)[-1], schedule._get_closed_form_lr()[0], rel_tol=1e-12, abs_tol=1e-15)


@given(st.lists(st.sampled_from(SHAPED[:6]), min_size=1, max_size=4), epochs)
def test_chained_is_the_product(makes, n):
    """27. Of the factors, each schedule's share of the initial lr."""
    o = optimizer()
    chained = advance(o, S.ChainedScheduler([make(o) for make in makes]), n)
    product = np.prod([np.divide(advance(p := optimizer(), make(p), n), 0.1) for make in makes], axis=0)
    np.testing.assert_allclose(chained, 0.1 * product, rtol=1e-12, atol=1e-15)


@given(st.lists(st.tuples(shaped, st.integers(1, 9)), min_size=1, max_size=4))
def test_sequential_is_the_pieces(parts):
    """27. Each schedule from its own beginning."""
    o, lengths = optimizer(), [n for _, n in parts]
    milestones = np.cumsum(lengths)[:-1].tolist()
    rates = advance(o, S.SequentialLR(o, [make(o) for make, _ in parts], milestones), sum(lengths) - 1)
    pieces = [advance(p := optimizer(), make(p), n - 1) for make, n in parts]
    np.testing.assert_allclose(rates, np.concatenate(pieces), rtol=1e-12, atol=1e-15)


@given(st.sampled_from(SHAPED[:6]), st.floats(1e-3, 10), epochs)
def test_lr_is_proportional_to_its_start(make, c, n):
    """28."""
    one, other = optimizer(), optimizer(0.1 * c)
    np.testing.assert_allclose(advance(other, make(other), n), np.multiply(advance(one, make(one), n), c), rtol=1e-12)


@given(st.integers(1, 12), st.floats(0, 0.1), epochs)
def test_cosine_stays_between_and_comes_back(T_max, eta_min, n):
    """28. Between eta_min and the start; the period is 2 T_max."""
    o = optimizer()
    rates = np.array(advance(o, S.CosineAnnealingLR(o, T_max, eta_min), n + 2 * T_max))
    assert rates.min() >= eta_min - 1e-12 and rates.max() <= 0.1 + 1e-12
    np.testing.assert_allclose(rates[2 * T_max :], rates[: n + 1], rtol=1e-9, atol=1e-12)  # a sum of 50 small steps


@given(st.integers(1, 6), st.integers(1, 6), epochs)
def test_cyclic_comes_back(up, down, n):
    """28. The period is the sum of both halves."""
    o = optimizer()
    rates = advance(o, S.CyclicLR(o, 0.01, 0.1, up, down, cycle_momentum=False), n + up + down)
    np.testing.assert_allclose(rates[up + down :], rates[: n + 1], rtol=1e-9)
    assert min(rates) >= 0.01 - 1e-12 and max(rates) <= 0.1 + 1e-12


@given(scheduled, epochs, st.sampled_from(ORDERS))
def test_every_order_of_loading_goes_on(make, k, order):
    """29. As long as a schedule exists before its state is loaded."""
    first = optimizer()
    schedule = make(first)
    straight = advance(first, schedule, k + 10)
    o = optimizer()
    s = make(o)
    advance(o, s, k)
    file = io.BytesIO()
    ol.save({"optimizer": o.state_dict(), "schedule": s.state_dict()}, file)
    file.seek(0)
    saved, second, resumed = ol.load(file), optimizer(), None
    for action in order:
        if action == "load optimizer":
            second.load_state_dict(saved["optimizer"])
        elif action == "make schedule":
            resumed = make(second)
        else:
            resumed.load_state_dict(saved["schedule"])
    assert advance(second, resumed, 10) == straight[k:]


@given(seeds, st.integers(0, 3), st.sampled_from(["abs", "rel"]), st.floats(-5, 5))
def test_plateau_min_is_max_of_the_negative(seed, patience, threshold_mode, shift):
    """30. And in mode abs a constant is unseen, in mode rel a factor."""
    metrics = np.random.default_rng(seed).uniform(0.5, 1.5, 25).tolist()

    def run(values, mode):
        o = optimizer()
        s = S.ReduceLROnPlateau(o, mode, patience=patience, threshold=0.1, threshold_mode=threshold_mode)
        return [(s.step(x), o.param_groups[0]["lr"])[1] for x in values]

    least = run(metrics, "min")
    if threshold_mode == "abs":
        assert least == run([-x for x in metrics], "max") == run([x + round(shift) for x in metrics], "min")
    else:
        assert least == run([x * 2.0 ** round(shift) for x in metrics], "min")
