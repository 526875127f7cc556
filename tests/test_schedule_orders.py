"""Where schedules do better than torch's: resuming in any order, nesting, groups added later, changes that happen whole."""

import copy
import gc
import itertools
import random

import numpy as np
import pytest

import optimlab as ol
import schedules
from interrupts import interrupt
from optimlab import optim
from optimlab.optim import lr_scheduler
from schedules import CYCLE, SCHEDULES, WARM, Schedule, decay

S = Schedule


def groups(tensor_lr=False, lrs=(0.05, 0.5)):
    make = ol.tensor if tensor_lr else float
    return [{"params": [ol.zeros(1, requires_grad=True)], "lr": make(lr)} for lr in lrs]


def fresh(cases, tensor_lr=False):
    return optim.Adam(groups(tensor_lr)) if cases[0].optimizer == "Adam" else optim.SGD(groups(tensor_lr), momentum=0.9)


def run(optimizer, built, cases, epochs):
    record = []
    for epoch in epochs:
        optimizer.step()
        for schedule, case in zip(built, cases, strict=True):
            schedule.step(*(case.steps(epoch) if case.steps else ()))
        record.append(schedules.rates(optimizer))
    return record


def by_hand(optimizer, factor):
    """A program that changes a learning rate, and a momentum, itself."""
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], ol.Tensor):
        group["lr"].mul_(factor)
    else:
        group["lr"] *= factor
    if "momentum" in group:
        group["momentum"] *= factor


def orders(n):
    """Every order in which a program may load the optimizer (O), build n schedules (their number) and load them (~)."""
    events = ["O", *range(n), *(~i for i in range(n))]
    return [o for o in itertools.permutations(events) if all(o.index(i) < o.index(~i) for i in range(n))]


def check_every_order(cases, tensor_lr, orders):
    """Save after 7 epochs and a change by hand, go on for 9: in every order the same bits as without the break."""
    with schedules.default_dtype(ol, "float64"):
        optimizer = fresh(cases, tensor_lr)
        built = [case.build(ol, optimizer) for case in cases]
        run(optimizer, built, cases, range(3))
        by_hand(optimizer, 0.7)
        run(optimizer, built, cases, range(3, 7))
        by_hand(optimizer, 1.3)
        # what is saved shares no memory with the run that goes on, as if it had been in a file
        saved = fresh(cases, tensor_lr)
        saved.load_state_dict(optimizer.state_dict())
        states = [copy.deepcopy(schedule.state_dict()) for schedule in built]
        wanted = [schedules.rates(optimizer), *run(optimizer, built, cases, range(7, 16))]
        for order in orders:
            again, made = fresh(cases, tensor_lr), {}
            for event in order:
                if event == "O":
                    again.load_state_dict(saved.state_dict())
                elif event >= 0:
                    made[event] = cases[event].build(ol, again)
                else:
                    made[~event].load_state_dict(states[~event])
            parts = [made[i] for i in range(len(cases))]
            assert [schedules.rates(again), *run(again, parts, cases, range(7, 16))] == wanted, (cases, order)


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_a_schedule_resumes_in_any_order(case):
    for tensor_lr in (False, True):
        check_every_order([case], tensor_lr, orders(1))


PAIRS = [
    [S("LinearLR"), S("ExponentialLR", {"gamma": 0.9})],
    [S("CyclicLR", CYCLE), S("StepLR", {"step_size": 3})],
    [S("CosineAnnealingLR", {"T_max": 10}), S("ReduceLROnPlateau", {"patience": 1}, schedules.flat)],
    [S("OneCycleLR", {"max_lr": 1.0, "total_steps": 30}), S("MultiplicativeLR", {"lr_lambda": decay})],
    [S("SequentialLR", {"schedulers": [WARM, S("ConstantLR")], "milestones": [9]}), S("SWALR", {"swa_lr": 0.02})],
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "+".join(case.name for case in pair))
def test_two_schedules_resume_in_any_order(pair):
    assert len(orders(1)) == 3 and len(orders(2)) == 30
    check_every_order(pair, False, orders(2))


def test_what_is_changed_by_hand_before_the_schedule_loads_stays():
    optimizer = optim.SGD(groups(), momentum=0.9)
    schedule = lr_scheduler.LinearLR(optimizer)
    run(optimizer, [schedule], [S("LinearLR")], range(2))
    states = optimizer.state_dict(), schedule.state_dict()
    again = optim.SGD(groups(), momentum=0.9)
    again.load_state_dict(states[0])
    resumed = lr_scheduler.LinearLR(again)
    again.param_groups[0]["lr"] = 0.123
    resumed.load_state_dict(states[1])
    assert [g["lr"] for g in again.param_groups] == [0.123, optimizer.param_groups[1]["lr"]]
    # and once a step has run, what was loaded is no longer the truth
    again.load_state_dict(states[0])
    late = lr_scheduler.ConstantLR(again, factor=0.5)
    again.step()
    late.load_state_dict(late.state_dict())
    assert again.param_groups[1]["lr"] == optimizer.param_groups[1]["lr"] * 0.5


def test_a_run_that_goes_on_with_last_epoch_keeps_its_learning_rate():
    """At a milestone torch's StepLR, MultiStepLR and ConstantLR multiply what was loaded once more."""
    for case in [
        c for c in SCHEDULES if c.name not in ("ReduceLROnPlateau", "ChainedScheduler", "SequentialLR", "SWALR")
    ]:
        if case.steps:
            continue  # its state is more than an epoch
        for last in (2, 3, 4, 6):
            optimizer = fresh([case])
            built = case.build(ol, optimizer)
            run(optimizer, [built], [case], range(last + 1))
            again = fresh([case])
            again.load_state_dict(optimizer.state_dict())
            late = Schedule(case.name, case.arguments | {"last_epoch": last}).build(ol, again)
            assert schedules.rates(again) == schedules.rates(optimizer), (str(case), last)
            ours, theirs = (run(o, [s], [case], range(5)) for o, s in ((again, late), (optimizer, built)))
            np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=0)


def test_a_sequence_goes_on_with_last_epoch():
    parts = [WARM, S("CosineAnnealingLR", {"T_max": 8}), S("LambdaLR", {"lr_lambda": decay})]
    case = S("SequentialLR", {"schedulers": parts, "milestones": [4, 9]})
    for last in (0, 3, 5, 8, 11):
        optimizer = fresh(parts)
        built = case.build(ol, optimizer)
        run(optimizer, [built], [case], range(last + 1))
        again = fresh(parts)
        again.load_state_dict(optimizer.state_dict())
        late = [part._replace(arguments=part.arguments | {"last_epoch": last}) for part in parts]
        resumed = S("SequentialLR", {"schedulers": late, "milestones": [4, 9], "last_epoch": last}).build(ol, again)
        assert schedules.rates(again) == schedules.rates(optimizer)
        assert run(again, [resumed], [case], range(9)) == run(optimizer, [built], [case], range(9)), last


# ---- nesting


COMPOSED = ("ReduceLROnPlateau", "SequentialLR", "ChainedScheduler", "OneCycleLR")
LEAVES = [c for c in SCHEDULES if c.name not in COMPOSED and not c.steps and c.optimizer == "SGD"]


def flat_and_nested(draw):
    """A random SequentialLR, and the same with neighbours put together into SequentialLRs and ChainedSchedulers."""
    leaves = [c for c in LEAVES if c.arguments.get("total_iters") != 0]  # where torch's closed form fails
    parts = [(draw.choice(leaves), draw.randint(1, 6)) for _ in range(draw.randint(2, 6))]

    def sequence(parts):
        ends = list(itertools.accumulate(length for _, length in parts))[:-1]
        return S("SequentialLR", {"schedulers": [part for part, _ in parts], "milestones": ends})

    nested = list(parts)
    while len(nested) > 1:
        start = draw.randrange(len(nested) - 1)
        end = draw.randint(start + 1, len(nested))
        inside = nested[start:end]
        nested[start:end] = [(sequence(inside), sum(length for _, length in inside))]
        if draw.random() < 0.3:
            nested[start] = (S("ChainedScheduler", {"schedulers": [nested[start][0]]}), nested[start][1])
    return sequence(parts), nested[0][0]


def built_run(module, case, epochs=30, hand=None):
    with schedules.default_dtype(module, "float64"):
        leaf = {"params": [module.zeros(1, requires_grad=True)]}
        optimizer = module.optim.SGD(
            [leaf | {"lr": 0.05}, {"params": [module.zeros(1, requires_grad=True)], "lr": 0.5}], momentum=0.9
        )
        schedule, record = case.build(module, optimizer), [schedules.rates(optimizer)]
        for epoch in range(epochs):
            if epoch == hand:
                optimizer.param_groups[0]["lr"] *= 0.5
            optimizer.step()
            schedule.step()
            record.append(schedules.rates(optimizer))
    return np.array(record)


def test_nested_compositions_equal_the_flat_one():
    for seed in range(60):
        draw = random.Random(seed)
        flat, nested = flat_and_nested(draw)
        hand = draw.choice([None, draw.randrange(25)])
        np.testing.assert_array_equal(
            built_run(ol, nested, hand=hand), built_run(ol, flat, hand=hand), err_msg=str(nested)
        )


def test_the_flat_ones_are_torchs():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for seed in range(60):
        flat, _ = flat_and_nested(random.Random(seed))
        np.testing.assert_allclose(
            built_run(ol, flat), built_run(torch, flat), rtol=1e-12, atol=1e-15, err_msg=str(flat)
        )


def test_a_chain_in_a_sequence_starts_as_its_members_do():
    """What torch gives too low: there a chain at the start of a sequence multiplies once too often."""
    chain = S("ChainedScheduler", {"schedulers": [S("LinearLR"), S("ExponentialLR", {"gamma": 0.9})]})
    alone = built_run(ol, chain, epochs=4)
    sequence = S("SequentialLR", {"schedulers": [chain, S("ConstantLR")], "milestones": [5]})
    np.testing.assert_array_equal(built_run(ol, sequence, epochs=4), alone)
    second = S("SequentialLR", {"schedulers": [S("ConstantLR"), chain], "milestones": [3]})
    np.testing.assert_allclose(built_run(ol, second, epochs=7)[3:], alone, rtol=1e-15)
    deep = S("ChainedScheduler", {"schedulers": [chain, S("StepLR", {"step_size": 3})]})
    flat = S("ChainedScheduler", {"schedulers": [*chain.arguments["schedulers"], S("StepLR", {"step_size": 3})]})
    np.testing.assert_array_equal(built_run(ol, deep), built_run(ol, flat))


def test_a_chain_may_stand_twice_in_a_sequence():
    optimizer = fresh([WARM])
    chain = S("ChainedScheduler", {"schedulers": [S("LinearLR"), S("ExponentialLR", {"gamma": 0.9})]}).build(
        ol, optimizer
    )
    between = lr_scheduler.ConstantLR(optimizer)
    schedule = lr_scheduler.SequentialLR(optimizer, [chain, between, chain], [3, 5])
    record = [schedules.rates(optimizer), *run(optimizer, [schedule], [WARM], range(8))]
    np.testing.assert_allclose(record[5:8], record[:3], rtol=1e-15)


# ---- random programs


def random_program(draw):
    """Schedules, chained or one by one, with learning rates changed between epochs."""
    changes = {draw.randrange(30): draw.uniform(0.3, 2) for _ in range(3)}
    return [draw.choice(LEAVES) for _ in range(draw.randint(1, 3))], changes


def program_run(module, cases, changes, chained, tensor_lr):
    with schedules.default_dtype(module, "float64"):
        lrs = [module.tensor(lr) if tensor_lr else lr for lr in (0.05, 0.5)]
        optimizer = module.optim.SGD(
            [{"params": [module.zeros(1, requires_grad=True)], "lr": lr} for lr in lrs], momentum=0.9
        )
        built = [case.build(module, optimizer) for case in cases]
        if chained:
            built = [module.optim.lr_scheduler.ChainedScheduler(built)]
        record = [schedules.rates(optimizer)]
        for epoch in range(30):
            if epoch in changes:
                optimizer.param_groups[0]["lr"] *= changes[epoch]
            optimizer.step()
            for schedule in built:
                schedule.step()
            record.append(schedules.rates(optimizer))
    return np.array(record)


def test_random_programs_are_torchs():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    compared = 0
    for seed in range(150):
        draw = random.Random(seed)
        cases, changes = random_program(draw)
        chained, tensor_lr = draw.random() < 0.5, draw.random() < 0.3
        theirs = program_run(torch, cases, changes, chained, tensor_lr)
        if theirs.min() < 0:  # a cosine above the initial rate, chained with another: the optimizer refuses to climb
            with pytest.raises(ValueError, match="Invalid learning rate: -"):
                program_run(ol, cases, changes, chained, tensor_lr)
            continue
        ours = program_run(ol, cases, changes, chained, tensor_lr)
        compared += 1
        # a cosine above the initial rate loses a digit at its foot, and what is chained with it another
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-15, err_msg=str([str(c) for c in cases]))
    assert compared > 130


# ---- groups that are added later


def add_group(optimizer, lr=0.2):
    optimizer.add_param_group({"params": [ol.zeros(1, requires_grad=True)], "lr": lr})


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_a_group_added_later_joins_in(case):
    optimizer = fresh([case])
    built = case.build(ol, optimizer)
    run(optimizer, [built], [case], range(4))
    add_group(optimizer)
    own_values = any(isinstance(v, list) and not isinstance(v[0], (int, S)) for v in case.arguments.values())
    if own_values and (case.name not in ("ReduceLROnPlateau",)):
        before = schedules.rates(optimizer), built.state_dict()
        with pytest.raises(ValueError, match="append those of the new groups"):
            run(optimizer, [built], [case], range(4, 5))
        assert (schedules.rates(optimizer), built.state_dict()) == before
        return
    if own_values:
        with pytest.raises(RuntimeError, match=r"number of param groups in the `optimizer` \(3\) differs"):
            run(optimizer, [built], [case], range(4, 20))
        return
    run(optimizer, [built], [case], range(4, 12))
    assert len(built.get_last_lr()) == 3
    # and what was saved then, from a program that adds the group at once, goes on from there
    again = fresh([case])
    add_group(again)
    again.load_state_dict(optimizer.state_dict())
    late = case.build(ol, again)
    late.load_state_dict(copy.deepcopy(built.state_dict()))
    assert run(again, [late], [case], range(12, 20)) == run(optimizer, [built], [case], range(12, 20))


def grown(torch, name, arguments, options, lists):
    """What groups have at the end that began with values of their own, and were joined by one that has its own too."""
    optimizer = torch.optim.SGD(
        [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.05, 0.5)], momentum=0.9
    )
    schedule = S(name, arguments).build(torch, optimizer)
    for epoch in range(5):
        if epoch == 2:
            optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": 0.2} | options)
            for key, value in lists.items():
                getattr(schedule, key).append(value)
        optimizer.step()
        schedule.step()
    return schedules.rates(optimizer)


GROWN = [
    ("LambdaLR", {"lr_lambda": [decay, schedules.hyperbola]}, {}, {"lr_lambdas": schedules.power, "base_lrs": 0.3}),
    ("MultiplicativeLR", {"lr_lambda": [decay, schedules.hyperbola]}, {}, {"lr_lambdas": schedules.power}),
    (
        "CyclicLR",
        {"base_lr": [0.1, 0.2], "max_lr": [0.5, 1.0], "step_size_up": 4},
        {},
        {"base_lrs": 0.1, "max_lrs": 0.3, "base_momentums": 0.8, "max_momentums": 0.9},
    ),
    (
        "OneCycleLR",
        {"max_lr": [0.5, 1.0], "total_steps": 9},
        {"initial_lr": 0.01, "max_lr": 0.3, "min_lr": 1e-5, "max_momentum": 0.9, "base_momentum": 0.8},
        {},
    ),
    ("SWALR", {"swa_lr": [0.05, 0.2], "anneal_epochs": 4}, {"swa_lr": 0.07}, {}),
]


@pytest.mark.parametrize("case", GROWN, ids=[name for name, *_ in GROWN])
def test_a_group_that_is_added_with_values_of_its_own_keeps_them(case):
    ours = np.array(grown(ol, *case))
    assert len(ours) == 3 and len(set(ours[:, 0])) == 3
    torch = pytest.importorskip("torch", reason="torch is not installed")
    np.testing.assert_allclose(ours, grown(torch, *case), rtol=1e-12)


def test_what_a_group_gets_that_is_added_later():
    got = {}
    for name, arguments in [
        ("ExponentialLR", {"gamma": 0.5}),
        ("LambdaLR", {"lr_lambda": lambda t: 0.5**t}),
        ("CyclicLR", CYCLE),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9}),
        ("SWALR", {"swa_lr": 0.0, "anneal_epochs": 5, "anneal_strategy": "linear"}),
    ]:
        case = S(name, arguments)
        optimizer = fresh([case])
        built = case.build(ol, optimizer)
        run(optimizer, [built], [case], range(2))
        add_group(optimizer, lr=0.2)
        got[name] = run(optimizer, [built], [case], range(2, 3))[0][1:]
    assert got["ExponentialLR"][1] == [0.1, 0.9]  # goes on from its own rate
    assert got["LambdaLR"][1][0] == pytest.approx(0.2 * 0.5**3)  # which is its initial one
    assert got["CyclicLR"][0] == got["CyclicLR"][1]  # same bounds for all
    assert got["OneCycleLR"][0] == got["OneCycleLR"][1]
    assert got["SWALR"][1][0] == pytest.approx(0.2 * 2 / 3)


# ---- changes that happen whole

CHAIN = S("ChainedScheduler", {"schedulers": [S("LinearLR", {"total_iters": 3}), S("ExponentialLR", {"gamma": 0.9})]})
INNER = S("SequentialLR", {"schedulers": [CHAIN, S("CosineAnnealingLR", {"T_max": 5})], "milestones": [2]})
WHOLE = [
    (S("SequentialLR", {"schedulers": [INNER, S("ConstantLR")], "milestones": [4]}), 3),
    (S("CyclicLR", CYCLE), 2),
    (S("ReduceLROnPlateau", {"patience": 1}, schedules.flat), 2),
]


def failing(epoch):
    return 1 / (2 - epoch)


def test_steps_leave_no_garbage():
    """No circle of references, which would keep schedules, parameters and models alive until Python searches for such."""

    class Own(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [group["lr"] for group in self.optimizer.param_groups]

    def program(case):
        optimizer = fresh([case])
        built = [case.build(ol, optimizer), Own(optimizer)]
        run(optimizer, built, [case, S("LRScheduler")], range(3))
        built[0].load_state_dict(built[0].state_dict())
        return optimizer, built

    gc.collect()
    gc.disable()
    try:
        alive = [program(case) for case in SCHEDULES]
        schedule = lr_scheduler.LambdaLR(alive[0][0], failing)
        schedule.step()
        with pytest.raises(ZeroDivisionError):
            schedule.step()
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(("case", "epochs"), WHOLE, ids=lambda x: getattr(x, "name", ""))
@pytest.mark.parametrize("what", ["step", "load", "build"])
@pytest.mark.usefixtures("no_finalizers")
def test_a_change_happens_whole_or_not_at_all(case, epochs, what):
    """Interrupted at any instruction of bytecode, a step, a load or the building of a schedule has happened or has not."""
    made = {}

    def change():
        optimizer = made["optimizer"] = fresh([case], tensor_lr=True)
        if what == "build":  # of a composition, itself: its parts are there already
            parts = [part.build(ol, optimizer) for part in case.arguments.get("schedulers", [])]
            made["schedule"] = None
            return lambda: case._replace(
                arguments=case.arguments | {"schedulers": parts} if parts else case.arguments
            ).build(ol, optimizer)
        schedule = made["schedule"] = case.build(ol, optimizer)
        run(optimizer, [schedule], [case], range(epochs))
        if what == "load":
            saved = copy.deepcopy(schedule.state_dict())
            run(optimizer, [schedule], [case], range(epochs, epochs + 2))
            return lambda: schedule.load_state_dict(saved)
        optimizer.step()
        return lambda: schedule.step(*(case.steps(epochs) if case.steps else ()))

    def snapshot():
        state = made["schedule"].state_dict() if made["schedule"] else {}
        return repr((schedules.rates(made["optimizer"]), sorted(made["optimizer"].param_groups[0]), state))

    step = change()
    before = snapshot()
    step()
    after = snapshot()
    assert before != after or what == "build"
    count = interrupt(change())
    points = {*random.Random(0).sample(range(count), 60), *range(count - 40, count)}  # all those around the commit
    seen = []
    for point in points:
        interrupt(change(), point)
        seen.append(snapshot())
    assert set(seen) == {before, after}
