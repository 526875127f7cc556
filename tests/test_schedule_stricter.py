"""What the list "stricter than torch" says of schedules and averages: each entry is true of optimlab and not of torch."""

import tomllib
import warnings
from pathlib import Path

import pytest

import optimlab

STRICTER = tomllib.loads((Path(optimlab.__file__).parent / "lab" / "stricter.toml").read_text(encoding="utf-8"))
TRIALS = {}


def trial(function):
    """A function that is given torch or optimlab and returns whether the entry holds; an error is no."""
    TRIALS[f"schedule-{function.__name__.replace('_', '-')}"] = function
    return function


def make(torch, lr=0.1, **options):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, **options)


def lr_of(optimizer):
    return optimizer.param_groups[0]["lr"]


def follow(optimizer, schedule, epochs):
    """The learning rates from now on."""
    rates = [lr_of(optimizer)]
    for _ in range(epochs):
        optimizer.step()
        schedule.step()
        rates.append(lr_of(optimizer))
    return rates


def refuses(call):
    try:
        call()
    except (ValueError, TypeError):
        return True
    return False


def warned(call):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call()
    return any("nan" in str(w.message) for w in said)


@trial
def resume_any_order(torch):
    optimizer = make(torch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer)
    follow(optimizer, schedule, 3)
    again = make(torch)
    again.load_state_dict(optimizer.state_dict())
    late = torch.optim.lr_scheduler.LinearLR(again)
    late.load_state_dict(schedule.state_dict())
    return follow(again, late, 5) == follow(optimizer, schedule, 5)


def sequence(torch, optimizer, factors, milestones):
    parts = [torch.optim.lr_scheduler.ConstantLR(optimizer, factor=f, total_iters=50) for f in factors]
    return torch.optim.lr_scheduler.SequentialLR(optimizer, parts, milestones)


@trial
def nested_sequence(torch):
    flat, nested = make(torch), make(torch)
    wanted = follow(flat, sequence(torch, flat, [0.5, 0.2, 0.1], [2, 4]), 6)
    parts = [
        sequence(torch, nested, [0.5, 0.2], [2]),
        torch.optim.lr_scheduler.ConstantLR(nested, factor=0.1, total_iters=50),
    ]
    return follow(nested, torch.optim.lr_scheduler.SequentialLR(nested, parts, [4]), 6) == wanted


def chain(torch, optimizer):
    scheduler = torch.optim.lr_scheduler
    return scheduler.ChainedScheduler([scheduler.LinearLR(optimizer), scheduler.ExponentialLR(optimizer, 0.9)])


@trial
def nested_chain(torch):
    alone, nested = make(torch), make(torch)
    wanted = follow(alone, chain(torch, alone), 3)
    parts = [chain(torch, nested), torch.optim.lr_scheduler.ConstantLR(nested)]
    return follow(nested, torch.optim.lr_scheduler.SequentialLR(nested, parts, [9]), 3) == wanted


@trial
def arguments(torch):
    scheduler, nan = torch.optim.lr_scheduler, float("nan")
    wrong = [
        lambda o: scheduler.StepLR(o, 0),
        lambda o: scheduler.StepLR(o, 3, nan),
        lambda o: scheduler.ConstantLR(o, factor=0),
        lambda o: scheduler.ExponentialLR(o, nan),
        lambda o: scheduler.ExponentialLR(o, -1),
        lambda o: scheduler.CosineAnnealingLR(o, 0),
        lambda o: scheduler.CosineAnnealingLR(o, 5, eta_min=-0.1),
        lambda o: scheduler.OneCycleLR(o, nan, 9),
        lambda o: scheduler.ReduceLROnPlateau(o, patience=-1),
    ]
    refused = [refuses(lambda call=call: call(make(torch, momentum=0.9))) for call in wrong]
    assert len(set(refused)) == 1, refused  # torch takes every one of them
    return all(refused)


@trial
def milestones_in_order(torch):
    return refuses(lambda: sequence(torch, make(torch), [0.5, 0.2, 0.1], [5, 2]))


def goes_on(torch, build):
    """Whether a run goes on as it would have: after three steps, the third of which is taken by building with last_epoch=2."""
    optimizer = make(torch)
    schedule = build(optimizer, -1)
    follow(optimizer, schedule, 3)
    again = make(torch)
    again.load_state_dict(optimizer.state_dict())
    late = build(again, 2)
    return follow(again, late, 4) == follow(optimizer, schedule, 4)


@trial
def last_epoch(torch):
    scheduler = torch.optim.lr_scheduler

    def sequential(o, last):
        parts = [scheduler.ConstantLR(o, 0.5, 9, last), scheduler.StepLR(o, 2, last_epoch=last)]
        return scheduler.SequentialLR(o, parts, [2], last)

    ways = [sequential, lambda o, last: scheduler.StepLR(o, 3, last_epoch=last)]
    kept = [goes_on(torch, build) for build in ways]
    assert len(set(kept)) == 1, kept
    return all(kept)


@trial
def group_joins(torch):
    optimizer = make(torch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    follow(optimizer, schedule, 1)
    optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": 0.4})
    if refuses(lambda: follow(optimizer, schedule, 1)):
        return False
    return [group["lr"] for group in optimizer.param_groups] == [0.025, 0.1]


@trial
def step_whole(torch):
    optimizer = make(torch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 - epoch))
    optimizer.step()
    with pytest.raises(ZeroDivisionError):
        schedule.step()
    return schedule.last_epoch == 0


@trial
def state_checked(torch):
    def spoilt(change):
        schedule = torch.optim.lr_scheduler.StepLR(make(torch), 3)
        return refuses(lambda: schedule.load_state_dict(change(schedule.state_dict())))

    return all(
        map(spoilt, [lambda state: {}, lambda state: state | {"get_lr": 5}, lambda state: state | {"step_size": "q"}])
    )


@trial
def nan_metric(torch):
    return warned(lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(make(torch)).step(float("nan")))


@trial
def restart_found(torch):
    optimizer = make(torch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=1, T_mult=3)
    rates = []
    for epoch in (1, 4, 13, 40, 121, 364):
        schedule.step(epoch)
        rates.append(lr_of(optimizer))
    return rates == [0.1] * 6


@trial
def one_cycle_ends(torch):
    optimizer = make(torch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 8, anneal_strategy="linear", cycle_momentum=False)
    return min(follow(optimizer, schedule, 8)) >= 0


@trial
def one_cycle_short_rise(torch):
    optimizer = make(torch)
    try:
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 10, pct_start=0.1, cycle_momentum=False)
    except ZeroDivisionError:
        return False
    return lr_of(optimizer) == 1.0  # the rise is over as it begins


@trial
def bounds_in_order(torch):
    return refuses(lambda: torch.optim.lr_scheduler.CyclicLR(make(torch), 1.0, 0.1, cycle_momentum=False))


@trial
def factor(torch):
    return all(
        refuses(lambda x=x: torch.optim.lr_scheduler.LambdaLR(make(torch), lambda epoch: x))
        for x in (-1.0, float("nan"))
    )


@trial
def no_iterations(torch):
    kept = []
    for name in ("LinearLR", "PolynomialLR", "ConstantLR"):
        optimizer = make(torch)
        schedule = getattr(torch.optim.lr_scheduler, name)(optimizer, total_iters=0)
        wanted = follow(optimizer, schedule, 3)[-1]
        try:
            schedule.step(3)
            kept.append(lr_of(optimizer) == wanted)
        except ZeroDivisionError:
            kept.append(False)
    assert len(set(kept)) == 1, kept
    return all(kept)


@trial
def average_fits(torch):
    average = torch.optim.swa_utils.AveragedModel(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)))
    return refuses(lambda: average.update_parameters(torch.nn.Sequential(torch.nn.Linear(2, 3))))


@trial
def average_of_nan(torch):
    model = torch.nn.Linear(1, 1)
    average = torch.optim.swa_utils.AveragedModel(model)
    with torch.no_grad():
        model.weight.fill_(float("nan"))
    return warned(lambda: average.update_parameters(model))


@trial
def training_flags(torch):
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Sequential(torch.nn.Linear(2, 1)))
    model[1].eval()
    torch.optim.swa_utils.update_bn([torch.tensor([[1.0, 2.0], [3.0, 5.0]])], model)
    return model.training and not model[1].training


@pytest.mark.parametrize("key", TRIALS)
def test_true_of_optimlab(key):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter")
        assert TRIALS[key](optimlab)


@pytest.mark.parametrize("key", TRIALS)
def test_not_of_torch(key):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not TRIALS[key](torch)


def test_every_entry_has_its_trial():
    assert {key for key in STRICTER if key.startswith("schedule-")} == set(TRIALS)
