"""Schedules against torch 2.13.0: recorded values always, torch itself where it is installed."""

import functools

import numpy as np
import pytest

import optimlab
import schedules
from oracle import GOLDENS
from schedules import CLOSED_FORM, LONG, SCHEDULES, Schedule

WAYS = {
    "float": {},
    "tensor": {"tensor_lr": True},
    "resumed": {"resume_at": 7},
    "by hand": {"by_hand": 20},
    "long": {"epochs": LONG},
}
KEPT = {"by hand": slice(None, None, 5), "long": slice(None, None, 50)}  # what is recorded of these


@functools.cache
def goldens():
    with np.load(GOLDENS / "schedules.npz") as arrays:
        return dict(arrays)


def close(ours, theirs, case):
    """To 1e-12 relative: a thousand products, each rounded to 1e-16. Where a cosine turns over, above the initial rate, its
    foot is reached by multiplying with numbers near infinity and back, which costs a digit. A rate at the foot of a curve
    is a difference of numbers of size 1, hence the floor."""
    turned = case.name == "CosineAnnealingLR" and case.arguments.get("eta_min", 0) > 0.05
    np.testing.assert_allclose(ours, theirs, rtol=1e-11 if turned else 1e-12, atol=1e-15)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_schedule(case, way):
    if way == "long" and case.name == "OneCycleLR":
        with pytest.raises(ValueError, match="Tried to step"):
            schedules.schedule_run(optimlab, case, epochs=LONG)
        return
    key = f"{case}/{way}" if way in KEPT else str(case)
    close(schedules.schedule_run(optimlab, case, **WAYS[way])[KEPT.get(way, ...)], goldens()[key], case)


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_a_state_prints_in_torchs_order(case):
    torch = pytest.importorskip("torch", reason="torch is not installed; the order of a state is its own")
    ours, theirs = (list(schedules.schedule_begin(t, case)[1].state_dict()) for t in (optimlab, torch))
    assert ours == theirs


CLOSED = [case for case in SCHEDULES if f"{case}/closed" in goldens()]


@pytest.mark.parametrize("case", CLOSED, ids=str)
def test_closed_form(case):
    close(schedules.closed_form_run(optimlab, case), goldens()[f"{case}/closed"], case)


@pytest.mark.parametrize("case", CLOSED, ids=str)
def test_closed_form_is_what_the_recursion_gives(case):
    stepped = schedules.schedule_run(optimlab, case, epochs=LONG)[:, :, 0]
    _, schedule = schedules.schedule_begin(optimlab, case)
    with np.errstate(all="raise"):
        closed = [[schedule.closed_form(i, t) for i in range(2)] for t in range(LONG + 1)]
    close(stepped, closed, case)
    assert {c.name for c in CLOSED} == set(CLOSED_FORM)


def test_exponential_is_right_when_its_rate_is_1e_266():
    optimizer, schedule = schedules.schedule_begin(optimlab, Schedule("ExponentialLR", {"gamma": 0.96}))
    optimizer.step()
    for _ in range(15000):
        schedule.step()
    # each of 15,000 products is rounded to 1e-16
    assert schedule.get_last_lr() == pytest.approx([0.05 * 0.96**15000, 0.5 * 0.96**15000], rel=1e-11, abs=0)


# ---- where torch is installed


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed; the recorded values stand for it")


def test_goldens_are_torchs(torch):
    """The recorded values are what the installed torch computes, and nothing else is recorded."""
    recorded = dict(goldens())
    for key, array in schedules.schedule_runs(torch):
        np.testing.assert_allclose(array, recorded.pop(key), rtol=1e-14, atol=0, err_msg=key)  # plain Python arithmetic
    assert not recorded


def plain(state):
    """A state dict in which tensors are numbers."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [plain(value) for value in state]
    return state.item() if hasattr(state, "item") else state


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_state_dict_is_torchs(case, torch):
    states = []
    for module in (torch, optimlab):
        with schedules.default_dtype(module, "float64"):
            optimizer, schedule = schedules.schedule_begin(module, case)
            for epoch in range(7):
                schedules.schedule_step(optimizer, schedule, case, epoch)
            states.append(plain(schedule.state_dict()))
    assert_near(*states)


def assert_near(theirs, ours):
    if isinstance(theirs, dict):
        assert theirs.keys() == ours.keys()
        theirs, ours = [theirs[key] for key in theirs], [ours[key] for key in theirs]
    if isinstance(theirs, list):
        assert len(theirs) == len(ours)
        for a, b in zip(theirs, ours, strict=True):
            assert_near(a, b)
    else:
        assert ours == (pytest.approx(theirs, rel=1e-12, abs=1e-15) if isinstance(theirs, float) else theirs)


# ---- the older interface, and classes in torch's style


def test_every_schedule_is_an_instance_of_the_older_base():
    for case in SCHEDULES:
        _, schedule = schedules.schedule_begin(optimlab, case)
        assert isinstance(schedule, optimlab.optim.lr_scheduler._LRScheduler), case


def test_verbose_prints_every_update(capsys):
    for case in SCHEDULES:
        if case.name in ("SWALR", "ChainedScheduler"):
            continue  # which never had it
        case = case._replace(arguments=case.arguments | {"verbose": True})
        optimizer, schedule = schedules.schedule_begin(optimlab, case)
        capsys.readouterr()
        for epoch in range(3):
            schedules.schedule_step(optimizer, schedule, case, epoch)
        printed = capsys.readouterr().out
        lr = float(optimizer.param_groups[1]["lr"])
        if case.name != "ReduceLROnPlateau":  # that one prints when it lowers it
            assert printed.endswith(f"djusting learning rate of group 1 to {lr:.4e}.\n"), case
            assert printed.count("\n") == 6, case
        elif printed:
            assert f": reducing learning rate of group 1 to {lr:.4e}.\n" in printed, case


def warm_up(base):
    """A schedule as published for torch: it overrides get_lr and step, and hands over to another one."""

    class WarmUp(base):
        def __init__(self, optimizer, multiplier, epochs, after):
            self.multiplier, self.epochs, self.after, self.finished = multiplier, epochs, after, False
            super().__init__(optimizer)

        def get_lr(self):
            if self.last_epoch > self.epochs:
                if not self.finished:
                    self.after.base_lrs = [lr * self.multiplier for lr in self.base_lrs]
                    self.finished = True
                return self.after.get_last_lr()
            return [lr * ((self.multiplier - 1) * self.last_epoch / self.epochs + 1) for lr in self.base_lrs]

        def step(self, epoch=None):
            if self.finished:
                self.after.step()
                self._last_lr = self.after.get_last_lr()
            else:
                super().step(epoch)

    return WarmUp


def halving(base):
    """One with a closed form, which a SequentialLR starts anew."""

    class Halving(base):
        def get_lr(self):
            return [group["lr"] * (0.5 if self.last_epoch else 1.0) for group in self.optimizer.param_groups]

        def _get_closed_form_lr(self):
            return [lr * 0.5**self.last_epoch for lr in self.base_lrs]

    return Halving


def style_run(module, composed):
    scheduler = module.optim.lr_scheduler
    with schedules.default_dtype(module, "float64"):
        optimizer = module.optim.SGD([module.zeros(1, requires_grad=True)], lr=0.1)
        warm = warm_up(scheduler.LRScheduler)(optimizer, 8, 3, scheduler.CosineAnnealingLR(optimizer, 5))
        schedule = warm
        if composed == "chain":
            schedule = scheduler.ChainedScheduler([warm, scheduler.ConstantLR(optimizer, 0.5, 4)])
        if composed == "sequence":
            parts = [scheduler.ExponentialLR(optimizer, 0.9), halving(scheduler.LRScheduler)(optimizer)]
            schedule = scheduler.SequentialLR(optimizer, parts, [4])
        record = [optimizer.param_groups[0]["lr"]]
        for _ in range(12):
            optimizer.step()
            schedule.step()
            record.append(optimizer.param_groups[0]["lr"])
    return record


@pytest.mark.parametrize("composed", ["alone", "chain", "sequence"])
def test_classes_in_torchs_style_work_unchanged(composed, torch):
    np.testing.assert_allclose(style_run(optimlab, composed), style_run(torch, composed), rtol=1e-13, atol=1e-16)


def knowing_itself(base, way):
    """One that keeps a function which knows it."""

    class Knowing(base):
        def __init__(self, optimizer):
            self.kept = {"method": self.share, "closure": lambda: self.share(), "list": [self.share]}[way]
            super().__init__(optimizer)

        def share(self):
            return 1 / (1 + self.last_epoch)

        def get_lr(self):
            share = self.kept[0] if way == "list" else self.kept
            return [lr * share() for lr in self.base_lrs]

    return Knowing


@pytest.mark.parametrize("way", ["method", "closure", "list"])
@pytest.mark.parametrize("composed", ["alone", "chain", "sequence"])
def test_a_schedule_may_keep_a_function_that_knows_it(way, composed):
    scheduler = optimlab.optim.lr_scheduler
    optimizer = optimlab.optim.SGD([optimlab.zeros(1, requires_grad=True)], lr=0.1)
    own = schedule = knowing_itself(scheduler.LRScheduler, way)(optimizer)
    wanted = [0.1 / (1 + t) for t in range(6)]
    if composed == "chain":
        schedule = scheduler.ChainedScheduler([own, scheduler.ConstantLR(optimizer, 0.5, 1)])
        wanted = [0.05, 0.1, *wanted[2:]]  # at 1 the constant one divides by its factor
    if composed == "sequence":
        schedule = scheduler.SequentialLR(optimizer, [scheduler.ConstantLR(optimizer, 0.5, 9), own], [2])
        wanted = [0.05, 0.05, *wanted[:4]]
    for lr in wanted:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr, rel=1e-15)
        assert own.optimizer is optimizer
        optimizer.step()
        schedule.step()


def successor(base, build):
    """One that builds the next schedule as its own time is over."""

    class Starting(base):
        after, parts = None, ()

        def get_lr(self):
            if self.last_epoch == 2:
                self.after = build(self.optimizer)
                self.parts = [self.after]
            if self.last_epoch == 3 and self.parts:
                raise ZeroDivisionError
            return [group["lr"] for group in self.optimizer.param_groups]

    return Starting


def test_a_schedule_that_is_built_within_a_step_belongs_to_the_optimizer():
    scheduler = optimlab.optim.lr_scheduler
    for build, arguments in [
        (lambda o: scheduler.ExponentialLR(o, 0.5), ()),
        (lambda o: scheduler.ReduceLROnPlateau(o, factor=0.5, patience=0), (1.0,)),
        (lambda o: scheduler.ChainedScheduler([scheduler.ExponentialLR(o, 0.5)]), ()),
    ]:
        optimizer = optimlab.optim.SGD([optimlab.zeros(1, requires_grad=True)], lr=0.8)
        schedule = successor(scheduler.LRScheduler, build)(optimizer)
        for _ in range(2):
            optimizer.step()
            schedule.step()
        for _ in range(3):
            optimizer.step()
            schedule.after.step(*arguments)
        assert optimizer.param_groups[0]["lr"] == (0.1 if not arguments else 0.2)  # the first metric is the best so far
        # and after an error the schedule, its attributes and what it holds are as before
        before = dict(vars(schedule)), dict(vars(schedule.after))
        with pytest.raises(ZeroDivisionError):
            schedule.step()
        assert (dict(vars(schedule)), dict(vars(schedule.after))) == before and schedule.optimizer is optimizer


def test_a_class_that_defines_get_lr_is_asked_at_a_given_epoch_too():
    """Where torch has no closed form: CyclicLR, OneCycleLR, LambdaLR."""
    scheduler = optimlab.optim.lr_scheduler
    for name, arguments in [("CyclicLR", (0.1, 0.5, 4)), ("OneCycleLR", (0.4, 9)), ("LambdaLR", (schedules.decay,))]:
        base = getattr(scheduler, name)

        class Halved(base):
            def get_lr(self):
                return [lr / 2 for lr in super().get_lr()]

        rates = []
        for cls in (base, Halved):
            optimizer = optimlab.optim.SGD([optimlab.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
            schedule = cls(optimizer, *arguments)
            optimizer.step()
            with pytest.warns(UserWarning, match="The epoch parameter"):
                schedule.step(2)
            rates.append(optimizer.param_groups[0]["lr"])
        assert rates[1] == rates[0] / 2, name


# what get_lr() gives outside of a step, with a warning: here before the first one, from a learning rate of 0.1
ASKED = [
    ("ExponentialLR", (0.9,), 0.09),
    ("PolynomialLR", (5,), 0.1 / 1.2),
    ("CosineAnnealingLR", (3,), 0.1 / 0.75),
    ("StepLR", (2,), 0.1),
    ("MultiStepLR", ([0], 0.5), 0.025),
    ("ConstantLR", (0.5,), 0.025),
    ("LinearLR", (0.5,), 0.025),
    ("MultiplicativeLR", (lambda epoch: 0.5,), 0.05),
    ("LambdaLR", (lambda epoch: 0.5,), 0.05),
    ("CosineAnnealingWarmRestarts", (3,), 0.1),
    ("SWALR", (0.02, 4), 0.1),
]


def asked(torch, name, arguments):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = Schedule(name).module(torch).__dict__[name](optimizer, *arguments)
    with pytest.warns(UserWarning, match="To get the last learning rate computed by the scheduler"):
        return schedule.get_lr()


@pytest.mark.parametrize(("name", "arguments", "wanted"), ASKED, ids=[name for name, *_ in ASKED])
def test_get_lr_before_the_first_step(name, arguments, wanted):
    assert asked(optimlab, name, arguments) == pytest.approx([wanted], rel=1e-12)


def test_get_lr_is_torchs(torch):
    for name, arguments, wanted in ASKED:
        assert asked(torch, name, arguments) == pytest.approx([wanted], rel=1e-12), name


def test_a_metric_is_whatever_float_takes():
    optimizer = optimlab.optim.SGD([optimlab.zeros(1, requires_grad=True)], lr=0.1)
    schedule = optimlab.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    for metric in (optimlab.tensor(3.0), np.float32(2.0), "1.5", True):
        schedule.step(metric)
        assert schedule.best == float(metric)
    with pytest.raises(ValueError, match=r"Invalid metrics: tensor\(\[1., 2.\]\); metrics must be a number"):
        schedule.step(optimlab.tensor([1.0, 2.0]))


def test_every_state_is_plain_data(tmp_path):
    """It goes through a file, and back, as it is."""
    states = {}
    for case in SCHEDULES:
        optimizer, schedule = schedules.schedule_begin(optimlab, case, tensor_lr=True)
        for epoch in range(5):
            schedules.schedule_step(optimizer, schedule, case, epoch)
        states[str(case)] = schedule.state_dict()
    optimlab.save(states, tmp_path / "states")
    assert plain(optimlab.load(tmp_path / "states")) == plain(states)


def test_a_callable_object_keeps_its_state():
    class Falling:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, epoch):
            return self.rate**epoch

    def build(rate):
        optimizer = optimlab.optim.SGD([optimlab.zeros(1, requires_grad=True)], lr=0.1)
        return optimizer, optimlab.optim.lr_scheduler.LambdaLR(optimizer, Falling(rate))

    (_, first), (optimizer, second) = build(0.5), build(0.9)
    second.load_state_dict(first.state_dict())
    optimizer.step()
    second.step()
    assert second.lr_lambdas[0].rate == 0.5 and optimizer.param_groups[0]["lr"] == 0.05
    with pytest.raises(
        ValueError, match="not from a ConstantLR"
    ):  # and where the rest does not fit, the object is as it was
        chain = optimlab.optim.lr_scheduler.ChainedScheduler(
            [second, optimlab.optim.lr_scheduler.ConstantLR(optimizer)]
        )
        state = build(0.7)[1].state_dict()
        chain.load_state_dict({"_last_lr": [0.1], "_schedulers": [state, {"factor": 5}]})
    assert second.lr_lambdas[0].rate == 0.5 and second.last_epoch == 1
