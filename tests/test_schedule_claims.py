"""Every statement about schedules that the source documents and torch's documentation make: measured by running it.

The verdicts are told once more here, so that neither a changed verdict nor a changed library goes unnoticed.
"""

import inspect
import math
import re
import warnings

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim
from optimlab.lab import claims
from optimlab.optim import lr_scheduler
from optimlab.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

# torch 2.13's, against which tests/test_schedules.py holds the schedules; test_facts asks torch itself where it is installed
SIGNATURES = {
    "ChainedScheduler": "schedulers, optimizer",
    "ConstantLR": "optimizer, factor, total_iters, last_epoch",
    "CosineAnnealingLR": "optimizer, T_max, eta_min, last_epoch",
    "CosineAnnealingWarmRestarts": "optimizer, T_0, T_mult, eta_min, last_epoch",
    "CyclicLR": "optimizer, base_lr, max_lr, step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode, "
    "cycle_momentum, base_momentum, max_momentum, last_epoch",
    "ExponentialLR": "optimizer, gamma, last_epoch",
    "LambdaLR": "optimizer, lr_lambda, last_epoch",
    "LinearLR": "optimizer, start_factor, end_factor, total_iters, last_epoch",
    "MultiStepLR": "optimizer, milestones, gamma, last_epoch",
    "MultiplicativeLR": "optimizer, lr_lambda, last_epoch",
    "OneCycleLR": "optimizer, max_lr, total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy, cycle_momentum, "
    "base_momentum, max_momentum, div_factor, final_div_factor, three_phase, last_epoch",
    "PolynomialLR": "optimizer, total_iters, power, last_epoch",
    "ReduceLROnPlateau": "optimizer, mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, eps",
    "SequentialLR": "optimizer, schedulers, milestones, last_epoch",
    "StepLR": "optimizer, step_size, gamma, last_epoch",
}
PUBLIC = {*SIGNATURES, "LRScheduler"}
FACTS = {"print_lr": False, "step_count": False, "base": "LRScheduler"}  # what torch 2.13 has and optimlab has besides


def names(cls):
    return ", ".join(list(inspect.signature(cls.__init__).parameters)[1:])


def test_facts():
    """Signatures are torch's with ``verbose`` besides, where it once was; in torch itself all is as told above."""
    for name, wanted in SIGNATURES.items():
        assert names(getattr(lr_scheduler, name)).removesuffix(", verbose") == wanted
    assert set(lr_scheduler.__all__) == PUBLIC
    torch = pytest.importorskip("torch", reason="torch is not installed")
    module = torch.optim.lr_scheduler
    assert {name: names(getattr(module, name)) for name in SIGNATURES} == SIGNATURES and set(module.__all__) == PUBLIC
    for name in SIGNATURES:
        theirs, ours = (inspect.signature(getattr(m, name)).parameters for m in (module, lr_scheduler))
        assert [ours[key].default for key in theirs] == [p.default for p in theirs.values()], name
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    assert hasattr(module.StepLR(optimizer, 1), "print_lr") is FACTS["print_lr"]
    assert hasattr(optimizer, "_step_count") is FACTS["step_count"]
    assert module.StepLR.__base__.__name__ == FACTS["base"]


# ---- running


def make(lr, groups=1, **options):
    return optim.SGD([{"params": [ol.zeros(1, requires_grad=True)]} for _ in range(groups)], lr=lr, **options)


def rates(lr, build, epochs, key="lr", **options):
    """The learning rate of the first group in each epoch."""
    optimizer = make(lr, **options)
    schedule, record = build(optimizer), [optimizer.param_groups[0][key]]
    for _ in range(epochs):
        optimizer.step()
        schedule.step()
        record.append(optimizer.param_groups[0][key])
    return record


def at(value, *arguments):
    """Whether the learning rate is this value at the last of the epochs."""
    lr, build, epoch = arguments
    return rates(lr, build, epoch)[-1] == pytest.approx(value, rel=1e-9)


def between(value, lr, build, first, last):
    return rates(lr, build, last)[first:] == pytest.approx([value] * (last - first + 1), rel=1e-9)


def chain(o):
    return ChainedScheduler([ConstantLR(o, 0.1, 2), ExponentialLR(o, 0.9)])


def sequence(o, milestones=(2,)):
    parts = [ConstantLR(o, 0.1, 2), ExponentialLR(o, 0.9), ConstantLR(o, 0.5, 99)][: len(milestones) + 1]
    return SequentialLR(o, parts, list(milestones))


def steps(o):
    return MultiStepLR(o, [30, 80])


def cyclic(o, **options):
    return CyclicLR(o, 0.1, 0.5, 2, **options)


def as_written(name):
    """Whether a signature that ends with verbose is torch 2.13's."""
    return SIGNATURES[name].endswith("verbose")


def quiet(run):
    """Whether it runs without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run()
    return True


def fails(run, error):
    try:
        run()
    except error:
        return True
    return False


def arguments_of_scale_fn(scale_mode):
    seen = []
    rates(
        0.1,
        lambda o: cyclic(o, scale_fn=lambda x: seen.append(x) or 1.0, scale_mode=scale_mode, cycle_momentum=False),
        7,
    )
    return seen


def drops(metrics, **options):
    """The epochs at which ReduceLROnPlateau lowers the learning rate."""
    optimizer = make(1.0)
    schedule, found = ReduceLROnPlateau(optimizer, factor=0.5, **options), []
    for epoch, metric in enumerate(metrics):
        before = optimizer.param_groups[0]["lr"]
        schedule.step(metric)
        if optimizer.param_groups[0]["lr"] < before:
            found.append(epoch)
    return found


def noisy_loss(lr):
    """The mean loss of SGD on x²/2 with noise in its gradients, once it has come to rest."""
    p, draw, losses = ol.tensor([3.0], requires_grad=True), np.random.RandomState(0), []
    optimizer = optim.SGD([p], lr=lr)
    for t in range(1500):
        p.grad = p.detach() + float(draw.standard_normal())
        optimizer.step()
        losses += [p.item() ** 2 / 2] if t >= 300 else []
    return np.mean(losses)


def changed_by_hand():
    optimizer = make(1.0)
    schedule = MultiStepLR(optimizer, [2])
    optimizer.step(), schedule.step()
    optimizer.param_groups[0]["lr"] = 0.6
    optimizer.step(), schedule.step()
    return optimizer.param_groups[0]["lr"] == pytest.approx(0.06)


def last_epoch_works():
    optimizer = make(0.1)
    assert "initial_lr" not in optimizer.param_groups[0]
    ConstantLR(optimizer, 0.5)
    return "initial_lr" in optimizer.param_groups[0] and optimizer.param_groups[0]["lr"] == 0.05


def group_rates(build, epochs):
    optimizer = make(0.1, groups=2)
    schedule = build(optimizer)
    for _ in range(epochs):
        optimizer.step(), schedule.step()
    return [group["lr"] for group in optimizer.param_groups]


def state_goes_on():
    """Whether a state that was loaded takes a schedule where the saved one was."""
    first, second = (StepLR(make(0.1), 3) for _ in range(2))
    for _ in range(2):
        first.optimizer.step(), first.step()
    second.load_state_dict(first.state_dict())
    return second.last_epoch == 2 and isinstance(first.state_dict(), dict)


def runs(lr, build, groups=1):
    """Whether the loop of the documents runs: step the optimizer, then the schedule."""
    return quiet(lambda: group_rates(build, 100) if groups > 1 else rates(lr, build, 100))


def f30(epoch):
    return epoch // 30


def f95(epoch):
    return 0.95**epoch


MOMENTUM = {"key": "momentum", "momentum": 0.5}
LINE = lambda o: LinearLR(o, 0.5, total_iters=4)  # noqa: E731
HALF = lambda o: ConstantLR(o, 0.5, 4)  # noqa: E731
TEN = np.arange(10)
EXP_RANGE = lambda o: CyclicLR(o, 1.0, 5.0, 2, mode="exp_range", gamma=0.9, cycle_momentum=False)  # noqa: E731
YES, NO, NO_LONGER = "confirmed", "wrong", "changed"
MEASURED = {
    "S0-19": (NO_LONGER, lambda: not issubclass(ReduceLROnPlateau, lr_scheduler.LRScheduler)),
    "S0-20": (NO_LONGER, lambda: FACTS["base"] == "_LRScheduler"),
    "S0-21": (NO_LONGER, lambda: len(PUBLIC) == 10),
    "S0-22": (NO_LONGER, lambda: as_written("CosineAnnealingLR")),
    "S0-23": (
        YES,
        lambda: (
            rates(0.5, lambda o: CosineAnnealingLR(o, 5, 0.1), 12)
            == pytest.approx([0.1 + 0.4 * (1 + math.cos(math.pi * t / 5)) / 2 for t in range(13)], rel=1e-12)
        ),
    ),
    "S0-24": (YES, lambda: SIGNATURES["MultiStepLR"] == "optimizer, milestones, gamma, last_epoch"),
    "S0-25": (YES, changed_by_hand),
    "S0-26": (NO, lambda: fails(lambda: MultiStepLR(make(0.1), [80, 30]), ValueError)),
    "S0-27": (YES, lambda: MultiStepLR(make(0.1), [1]).gamma == 0.1),
    "S0-28": (NO, lambda: StepLR(make(0.1), 1).last_epoch != 0),  # it is 0 at once, with no weight decay at all
    "S0-29": (YES, lambda: between(0.05, 0.05, steps, 0, 29)),
    "S0-30": (NO, lambda: between(0.005, 0.05, steps, 30, 80)),
    "S0-31": (YES, lambda: between(0.0005, 0.05, steps, 80, 100)),
    "S0-32": (YES, lambda: runs(0.05, steps)),
    "S0-34": (YES, lambda: {getattr(lr_scheduler, n).__module__ for n in PUBLIC} == {"optimlab.optim.lr_scheduler"}),
    "S2-24": (NO_LONGER, lambda: FACTS["base"] == "_LRScheduler"),
    "S2-25": (YES, lambda: StepLR(make(0.3), 1).get_last_lr() == [0.3]),
    "S2-26": (YES, state_goes_on),
    "S2-27": (NO_LONGER, lambda: FACTS["print_lr"]),
    "S2-28": (YES, lambda: type(StepLR(make(0.3), 1).state_dict()) is dict),
    "S2-29": (YES, lambda: at(0.05, 0.1, lambda o: StepLR(o, 1, 0.5), 1)),
    "S2-30": (NO_LONGER, lambda: SIGNATURES["ChainedScheduler"] == "schedulers"),
    "S2-31": (YES, lambda: rates(1.0, chain, 6) == rates(1.0, lambda o: in_order(o), 6)),
    "S2-32": (NO, lambda: at(0.09, 1.0, chain, 0)),
    "S2-33": (NO, lambda: at(0.081, 1.0, chain, 1)),
    "S2-34": (NO, lambda: at(0.729, 1.0, chain, 2)),
    "S2-35": (NO, lambda: at(0.6561, 1.0, chain, 3)),
    "S2-36": (NO, lambda: between(0.59049, 1.0, chain, 4, 8)),
    "S2-37": (NO, lambda: not fails(lambda: eval("ExponentialLR(self.opt, gamma=0.9)"), NameError)),
    "S2-38": (NO_LONGER, lambda: as_written("ConstantLR")),
    "S2-39": (YES, lambda: between(0.2, 0.4, HALF, 0, 3)),
    "S2-40": (YES, lambda: sum(x < 0.4 for x in rates(0.4, HALF, 20)) == 4),
    "S2-41": (YES, lambda: at(0.4, 0.4, HALF, 4)),
    **{f"S2-{42 + t}": (YES, lambda t=t: at(0.025, 0.05, HALF, t)) for t in range(4)},
    "S2-46": (YES, lambda: between(0.05, 0.05, HALF, 4, 20)),
    "S2-47": (YES, lambda: runs(0.05, HALF)),
    "S2-48": (NO, lambda: not last_epoch_works()),
    "S2-49": (NO_LONGER, lambda: any("verbose" in text for text in SIGNATURES.values())),
    "S2-50": (YES, lambda: at(0.25, 0.5, lambda o: CosineAnnealingLR(o, 10), 5)),
    "S2-52": (YES, lambda: (turn := rates(0.1, cyclic, 12, momentum=0.5))[:4] * 3 == pytest.approx(turn[:12])),
    "S2-53": (YES, lambda: np.diff(rates(0.1, cyclic, 8, momentum=0.5)).all()),
    "S2-54": (NO_LONGER, lambda: as_written("CyclicLR")),
    "S2-55": (YES, lambda: min(rates(0.9, cyclic, 12, momentum=0.5)) == rates(0.9, cyclic, 0, momentum=0.5)[0] == 0.1),
    "S2-56": (YES, lambda: max(rates(0.9, cyclic, 12, momentum=0.5)) == 0.5),
    "S2-57": (
        YES,
        lambda: (
            np.argmax(rates(0.1, lambda o: CyclicLR(o, 0.1, 0.5, 3, 5, cycle_momentum=False), 8)) == 3
            and rates(0.1, lambda o: CyclicLR(o, 0.1, 0.5, 3, 5, cycle_momentum=False), 8)[8] == 0.1
            and rates(0.1, lambda o: CyclicLR(o, 0.1, 0.5, 3, cycle_momentum=False), 6)[6] == 0.1
        ),
    ),
    "S2-58": (
        YES,
        lambda: (
            all(cyclic(make(0.1, momentum=0.5), mode=m) for m in ("triangular", "triangular2", "exp_range"))
            and fails(lambda: cyclic(make(0.1, momentum=0.5), mode="square"), ValueError)
        ),
    ),
    "S2-59": (NO, lambda: rates(1.0, EXP_RANGE, 12)[::4] != [1.0] * 4),
    "S2-60": (
        YES,
        lambda: (
            rates(0.1, lambda o: cyclic(o, mode="triangular2", scale_fn=lambda x: 0.5, cycle_momentum=False), 6)
            == rates(0.1, lambda o: cyclic(o, scale_fn=lambda x: 0.5, cycle_momentum=False), 6)
        ),
    ),
    "S2-62": (NO, lambda: arguments_of_scale_fn("cycle") == list(range(8))),
    "S2-63": (YES, lambda: arguments_of_scale_fn("iterations") == list(range(8))),
    "S2-64": (
        YES,
        lambda: np.corrcoef(rates(0.1, cyclic, 9, momentum=0.5), rates(0.1, cyclic, 9, **MOMENTUM))[0, 1] < -0.999,
    ),
    "S2-65": (
        YES,
        lambda: min(rates(0.1, lambda o: cyclic(o, base_momentum=0.7), 9, **MOMENTUM)) == pytest.approx(0.7),
    ),
    "S2-66": (YES, lambda: max(rates(0.1, lambda o: cyclic(o, max_momentum=0.95), 9, **MOMENTUM)) == 0.95),
    "S2-67": (NO_LONGER, lambda: as_written("ExponentialLR")),
    "S2-68": (YES, lambda: rates(1.0, lambda o: ExponentialLR(o, 0.9), 9) == pytest.approx(0.9**TEN, rel=1e-12)),
    "S2-69": (NO_LONGER, lambda: as_written("LambdaLR")),
    "S2-70": (YES, lambda: group_rates(lambda o: LambdaLR(o, [f30, f95]), 60) == pytest.approx([0.2, 0.1 * 0.95**60])),
    "S2-71": (YES, lambda: at(0.1 * 0.95**7, 0.1, lambda o: LambdaLR(o, f95), 7)),
    "S2-72": (YES, lambda: runs(0.1, lambda o: LambdaLR(o, [f30, f95]), 2)),
    "S2-73": (NO_LONGER, lambda: as_written("LinearLR")),
    "S2-74": (YES, lambda: at(0.05, 0.1, LINE, 0) and np.ptp(np.diff(rates(0.1, LINE, 4))) < 1e-15),
    "S2-75": (YES, lambda: at(0.08, 0.1, lambda o: LinearLR(o, 0.5, 0.8, 4), 9)),
    "S2-76": (YES, lambda: at(0.1, 0.1, LINE, 4) and not at(0.1, 0.1, LINE, 3)),
    "S2-77": (YES, lambda: rates(0.1, LINE, 4) == pytest.approx(np.linspace(0.05, 0.1, 5))),
    **{f"S2-{78 + t}": (YES, lambda t=t: at(0.05 + 0.0125 * t, 0.1, LINE, t)) for t in range(4)},
    "S2-82": (YES, lambda: between(0.1, 0.1, LINE, 4, 20)),
    "S2-83": (NO, lambda: not fails(lambda: eval("LinearLR(self.opt, start_factor=0.5)"), NameError)),
    "S2-84": (NO_LONGER, lambda: as_written("MultiplicativeLR")),
    "S2-85": (
        YES,
        lambda: group_rates(lambda o: MultiplicativeLR(o, [f95, lambda t: 0.5]), 1) == pytest.approx([0.095, 0.05]),
    ),
    "S2-86": (NO, lambda: at(0.1 * f95(3), 0.1, lambda o: MultiplicativeLR(o, f95), 3)),
    "S2-87": (NO, lambda: rates(0.1, lambda o: MultiplicativeLR(o, f30), 60)[1] != 0),
    "S2-88": (NO_LONGER, lambda: as_written("MultiStepLR")),
    "S2-89": (NO, lambda: fails(lambda: MultiStepLR(make(0.1), [9, 3, 3]), ValueError)),
    "S2-90": (YES, lambda: at(0.03, 0.1, lambda o: MultiStepLR(o, [2], gamma=0.3), 2)),
    "S2-91": (YES, lambda: [*np.flatnonzero(np.diff(rates(0.05, steps, 100))) + 1] == [30, 80]),
    "S2-92": (YES, lambda: between(0.05, 0.05, steps, 0, 29)),
    "S2-93": (YES, lambda: between(0.005, 0.05, steps, 30, 79)),
    "S2-94": (YES, lambda: between(0.0005, 0.05, steps, 80, 100)),
    "S2-95": (YES, lambda: runs(0.05, steps)),
    "S2-97": (NO_LONGER, lambda: as_written("SequentialLR")),
    "S2-98": (YES, lambda: rates(1.0, sequence, 3) == pytest.approx([0.1, 0.1, 1.0, 0.9])),
    "S2-99": (YES, lambda: fails(lambda: sequence(make(1.0), (5, 2)), ValueError)),
    "S2-100": (
        YES,
        lambda: rates(1.0, lambda o: sequence(o, (2, 4)), 5) == pytest.approx([0.1, 0.1, 1.0, 0.9, 0.5, 0.5]),
    ),
    "S2-101": (YES, lambda: at(0.1, 1.0, sequence, 0)),
    "S2-102": (YES, lambda: at(0.1, 1.0, sequence, 1)),
    "S2-103": (NO, lambda: at(0.9, 1.0, sequence, 2)),
    "S2-104": (NO, lambda: at(0.81, 1.0, sequence, 3)),
    "S2-105": (NO, lambda: at(0.729, 1.0, sequence, 4)),
    "S2-106": (YES, lambda: runs(1.0, sequence)),
    "S2-107": (NO_LONGER, lambda: as_written("StepLR")),
    "S2-108": (YES, lambda: rates(0.8, lambda o: StepLR(o, 2, 0.5), 4) == [0.8, 0.8, 0.4, 0.4, 0.2]),
    "S2-109": (YES, lambda: at(0.8 * 0.5**5, 0.8, lambda o: StepLR(o, 2, 0.5), 11)),
    "S2-110": (YES, lambda: between(0.05, 0.05, lambda o: StepLR(o, 30), 0, 29)),
    "S2-111": (YES, lambda: between(0.005, 0.05, lambda o: StepLR(o, 30), 30, 59)),
    "S2-112": (YES, lambda: between(0.0005, 0.05, lambda o: StepLR(o, 30), 60, 89)),
    "S2-113": (YES, lambda: runs(0.05, lambda o: StepLR(o, 30))),
    "S2-114": (YES, lambda: drops([1.0] * 20) == [11] and drops([1 / (t + 1) for t in range(20)]) == []),
    "S2-115": (YES, lambda: noisy_loss(0.2) > noisy_loss(0.1) > noisy_loss(0.02)),
    "S2-116": (YES, lambda: drops([1.0] * 6, patience=4) == [5]),
    "S2-117": (NO_LONGER, lambda: as_written("ReduceLROnPlateau")),
    "S2-118": (YES, lambda: drops(TEN + 1.0, mode="max", patience=1) == [] and drops(TEN + 1.0, patience=1) != []),
    "S2-119": (YES, lambda: plateau_rate(factor=0.3, patience=0, metrics=[1.0, 1.0]) == 0.3),
    "S2-120": (YES, lambda: drops([1.0] * 7, patience=2) == [3, 6]),
    "S2-121": (
        YES,
        lambda: drops(1 - 1e-3 * TEN, patience=2, threshold=0.1) != [] == drops(1 - 1e-3 * TEN, patience=2),
    ),
    "S2-122": (
        YES,
        lambda: (
            drops([10.0, 9.5, 9.5], patience=0, threshold=0.1) == [1, 2]
            and drops([10.0, 9.5, 9.0], patience=0, threshold=0.1, threshold_mode="abs") == []
        ),
    ),
    "S2-123": (YES, lambda: drops([1.0] * 9, patience=0, cooldown=3) == [1, 5]),
    "S2-124": (
        YES,
        lambda: (
            plateau_rate(patience=0, metrics=[1.0] * 9, min_lr=0.03) == 0.03
            and plateau_rate(patience=0, metrics=[1.0] * 9, min_lr=[0.02]) == 0.02
        ),
    ),
    "S2-125": (YES, lambda: plateau_rate(patience=0, metrics=[1.0] * 9, factor=0.5, eps=0.5) == 1.0),
    "S4-7": (NO_LONGER, lambda: FACTS["step_count"]),
    "U1": (NO, lambda: at(0.05, 0.05, lambda o: ChainedScheduler([ConstantLR(o, 0.1, 20), ExponentialLR(o, 0.9)]), 0)),
    "U2": (NO, lambda: abs(rates(0.05, lambda o: LinearLR(o, 0.05, total_iters=40), 0)[0] - 0.003687) < 1e-5),
    "U3": (NO, lambda: abs(rates(0.05, lambda o: PolynomialLR(o, 50, 0.9), 0)[0] - 0.0490) < 5e-4),
    "U4": (NO, lambda: arguments_of_scale_fn("iterations") == [0, 1, 2, 3, 0, 1, 2, 3]),
}


class in_order:
    """What ChainedScheduler is said to be."""

    def __init__(self, optimizer):
        self.parts = [ConstantLR(optimizer, 0.1, 2), ExponentialLR(optimizer, 0.9)]

    def step(self):
        for part in self.parts:
            part.step()


def plateau_rate(metrics, **options):
    optimizer = make(1.0)
    schedule = ReduceLROnPlateau(optimizer, **options)
    for metric in metrics:
        schedule.step(metric)
    return optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("key", MEASURED)
def test_a_statement_and_its_verdict(key):
    verdict, measure = MEASURED[key]
    row = claims.statements()[key]
    assert row["verdict"] == verdict
    claims.claim(key, bool(measure()))  # an AssertionError where the measurement says otherwise
    assert re.search("[\u4e00-\u9fff]", row["zh"])
    assert ("zh_now" in row) == ("en_now" in row) == (verdict != YES), "what is right instead"


def test_what_is_right_instead():
    """The numbers that stand beside a wrong statement."""
    assert rates(1.0, chain, 5) == pytest.approx([0.1, 0.09, 0.81, 0.729, 0.6561, 0.59049])
    both = rates(0.05, lambda o: ChainedScheduler([ConstantLR(o, 0.1, 20), ExponentialLR(o, 0.9)]), 20)
    assert [both[t] for t in (0, 1, 20)] == pytest.approx([0.005, 0.0045, 0.006079], rel=1e-4)
    assert rates(0.05, lambda o: LinearLR(o, 0.05, total_iters=40), 1) == pytest.approx([0.0025, 0.0036875])
    assert rates(0.05, lambda o: PolynomialLR(o, 50, 0.9), 1) == pytest.approx([0.05, 0.0491], rel=1e-3)
    assert arguments_of_scale_fn("cycle") == [1, 1, 1, 1, 2, 2, 2, 2]
    assert rates(1.0, EXP_RANGE, 12)[2::4] == pytest.approx([4.24, 3.126, 2.395], rel=1e-3)
