"""What is compared with torch among schedules: one table of 87, and the programs that run them with torch or optimlab."""

import math
import warnings
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np


class Schedule(NamedTuple):
    """A schedule as a program would build it; an argument may be a list of Schedules, built before it in order."""

    name: str
    arguments: dict[str, Any] = {}
    steps: Any = None  # a function of the epoch that returns what step is given
    optimizer: str = "SGD"  # with momentum 0.9; or "Adam"

    def __str__(self):
        words = [f"{key}={_word(value)}" for key, value in self.arguments.items()]
        words += [self.steps.__name__] if self.steps else []
        words += [self.optimizer] if self.optimizer != "SGD" else []
        return f"{self.name}({', '.join(words)})"

    def module(self, torch):
        """Where the class is found."""
        return torch.optim.swa_utils if self.name == "SWALR" else torch.optim.lr_scheduler

    def build(self, torch, optimizer):
        """The schedule, of torch or of whoever stands for it."""

        def built(value):
            if isinstance(value, list) and value and isinstance(value[0], Schedule):
                return [schedule.build(torch, optimizer) for schedule in value]
            return value

        module = self.module(torch)
        arguments = {key: built(value) for key, value in self.arguments.items()}
        if self.name == "ChainedScheduler":
            return module.ChainedScheduler(**arguments)
        return getattr(module, self.name)(optimizer, **arguments)


def _word(value):
    if isinstance(value, list):
        return f"[{', '.join(map(_word, value))}]"
    return getattr(value, "__name__", None) or str(value)


# ---- functions of the epoch, as factors, amplitudes, steps and metrics


def tenths(epoch):
    return epoch // 10 / 10


def decay(epoch):
    return 0.95**epoch


def hyperbola(epoch):
    return 1 / (1 + epoch)


def wave(x):
    return 0.5 * (1 + math.sin(x * math.pi / 2))


def power(x):
    return 0.999**x


def thirds(epoch):
    return (epoch / 3,)


def forth_and_back(epoch):
    return ([0, 7, 2.5, 40, 3][epoch % 5],)


def now_and_then(epoch):
    return (epoch + 0.25,) if epoch % 4 == 0 else ()


def falling(epoch):
    return (10.0 - epoch / 10,)


def flat(epoch):
    return (1.0,)


def stairs(epoch):
    return (10.0 - epoch // 7,)


def rising(epoch):
    return (0.1 * epoch,)


def bumps(epoch):
    return (1.0 + (epoch % 5) / 10,)


def negative(epoch):
    return (-1.0 + 0.001 * (epoch % 3),)


def slow(epoch):
    return (1.0 - 1e-5 * epoch,)


S = Schedule
CYCLE = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4}
LISTS = {
    "base_lr": [0.1, 0.2],
    "max_lr": [0.5, 1.0],
    "step_size_up": 6,
    "base_momentum": [0.7, 0.8],
    "max_momentum": 0.9,
}
UNEVEN = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "step_size_down": 8}
WARM = S("LinearLR", {"start_factor": 0.1, "total_iters": 10})
SCHEDULES = [
    S("LambdaLR", {"lr_lambda": tenths}),
    S("LambdaLR", {"lr_lambda": [tenths, decay]}),
    S("LambdaLR", {"lr_lambda": hyperbola}),
    S("MultiplicativeLR", {"lr_lambda": wave}),
    S("MultiplicativeLR", {"lr_lambda": [decay, hyperbola]}),
    S("MultiplicativeLR", {"lr_lambda": power}),
    S("StepLR", {"step_size": 30}),
    S("StepLR", {"step_size": 1, "gamma": 0.9}),
    S("StepLR", {"step_size": 4, "gamma": 1.5}),
    S("StepLR", {"step_size": 3, "gamma": 0.0}),
    S("MultiStepLR", {"milestones": [2, 5, 9]}),
    S("MultiStepLR", {"milestones": [2, 2, 5], "gamma": 0.5}),
    S("MultiStepLR", {"milestones": [40, 7, 20], "gamma": 0.3}),
    S("MultiStepLR", {"milestones": [0, 3], "gamma": 2.0}),
    S("ConstantLR"),
    S("ConstantLR", {"factor": 0.1, "total_iters": 8}),
    S("ConstantLR", {"factor": 0.5, "total_iters": 0}),
    S("ConstantLR", {"factor": 1.0, "total_iters": 3}),
    S("LinearLR"),
    S("LinearLR", {"start_factor": 0.5, "total_iters": 40}),
    S("LinearLR", {"start_factor": 0.5, "end_factor": 0.0, "total_iters": 6}),
    S("LinearLR", {"start_factor": 1.0, "end_factor": 0.25, "total_iters": 9}),
    S("LinearLR", {"start_factor": 0.5, "total_iters": 0}),
    S("ExponentialLR", {"gamma": 0.9}),
    S("ExponentialLR", {"gamma": 1.01}),
    S("ExponentialLR", {"gamma": 0.0}),
    S("PolynomialLR"),
    S("PolynomialLR", {"total_iters": 50, "power": 0.9}),
    S("PolynomialLR", {"total_iters": 20, "power": 2}),
    S("PolynomialLR", {"total_iters": 0}),
    S("CosineAnnealingLR", {"T_max": 10}),
    S("CosineAnnealingLR", {"T_max": 60, "eta_min": 0.01}),
    S("CosineAnnealingLR", {"T_max": 1}),
    S("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.3}),
    S("CosineAnnealingWarmRestarts", {"T_0": 5}),
    S("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    S("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 4}),
    S("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}, thirds),
    S("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}, now_and_then),
    S("CyclicLR", CYCLE),
    S("CyclicLR", CYCLE | {"mode": "triangular2"}),
    S("CyclicLR", CYCLE | {"mode": "exp_range", "gamma": 0.97}),
    S("CyclicLR", LISTS),
    S("CyclicLR", LISTS | {"mode": "triangular2"}, optimizer="Adam"),
    S("CyclicLR", LISTS | {"mode": "exp_range", "gamma": 0.9}),
    S("CyclicLR", UNEVEN),
    S("CyclicLR", UNEVEN | {"mode": "triangular2", "cycle_momentum": False}),
    S("CyclicLR", UNEVEN | {"mode": "exp_range", "gamma": 0.99}),
    S("CyclicLR", CYCLE | {"scale_fn": hyperbola}),
    S("CyclicLR", CYCLE | {"scale_fn": power, "scale_mode": "iterations"}),
    S("OneCycleLR", {"max_lr": 1.0, "total_steps": 60}),
    S("OneCycleLR", {"max_lr": 1.0, "total_steps": 70, "anneal_strategy": "linear"}),
    S("OneCycleLR", {"max_lr": [0.1, 1.0], "total_steps": 60, "three_phase": True}),
    S("OneCycleLR", {"max_lr": 0.5, "total_steps": 80, "three_phase": True, "anneal_strategy": "linear"}),
    S("OneCycleLR", {"max_lr": 0.5, "total_steps": 61}, optimizer="Adam"),
    S("OneCycleLR", {"max_lr": 0.5, "epochs": 7, "steps_per_epoch": 9, "pct_start": 0.5}),
    S(
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 65, "cycle_momentum": False, "div_factor": 5, "final_div_factor": 10},
    ),
    S("ReduceLROnPlateau", {}, flat),
    S("ReduceLROnPlateau", {"factor": 0.5, "patience": 3}, stairs),
    S("ReduceLROnPlateau", {"mode": "max", "patience": 2}, falling),
    S("ReduceLROnPlateau", {"mode": "max", "patience": 2}, rising),
    S("ReduceLROnPlateau", {"patience": 0, "factor": 0.7}, flat),
    S("ReduceLROnPlateau", {"patience": 1, "cooldown": 3, "factor": 0.6}, bumps),
    S("ReduceLROnPlateau", {"patience": 2, "threshold_mode": "abs", "threshold": 0.5}, stairs),
    S("ReduceLROnPlateau", {"patience": 2, "threshold": 0.1}, falling),
    S("ReduceLROnPlateau", {"patience": 2, "min_lr": [0.01, 0.1]}, flat),
    S("ReduceLROnPlateau", {"patience": 1, "eps": 1e-3}, flat),
    S("ReduceLROnPlateau", {"patience": 2, "threshold": 0.1}, negative),
    S("ReduceLROnPlateau", {"mode": "max", "threshold_mode": "abs", "patience": 5}, slow),
    S(
        "SequentialLR",
        {
            "schedulers": [S("ConstantLR", {"factor": 0.1, "total_iters": 2}), S("ExponentialLR", {"gamma": 0.9})],
            "milestones": [2],
        },
    ),
    S("SequentialLR", {"schedulers": [WARM, S("CosineAnnealingLR", {"T_max": 40})], "milestones": [10]}),
    S(
        "SequentialLR",
        {
            "schedulers": [
                S("ExponentialLR", {"gamma": 0.9}),
                S("StepLR", {"step_size": 5, "gamma": 0.5}),
                S("PolynomialLR", {"total_iters": 20}),
            ],
            "milestones": [5, 30],
        },
    ),
    S(
        "SequentialLR",
        {
            "schedulers": [S("ExponentialLR", {"gamma": 0.8}), S("MultiplicativeLR", {"lr_lambda": wave})],
            "milestones": [4],
        },
    ),
    S("SequentialLR", {"schedulers": [S("CyclicLR", CYCLE), S("ExponentialLR", {"gamma": 0.9})], "milestones": [13]}),
    S(
        "SequentialLR",
        {"schedulers": [WARM, S("CosineAnnealingWarmRestarts", {"T_0": 8, "T_mult": 2})], "milestones": [10]},
    ),
    S(
        "SequentialLR",
        {"schedulers": [S("StepLR", {"step_size": 3}), S("LambdaLR", {"lr_lambda": decay})], "milestones": [0]},
    ),
    S("ChainedScheduler", {"schedulers": [S("StepLR", {"step_size": 3})]}),
    S(
        "ChainedScheduler",
        {"schedulers": [S("ConstantLR", {"factor": 0.1, "total_iters": 2}), S("ExponentialLR", {"gamma": 0.9})]},
    ),
    S(
        "ChainedScheduler",
        {
            "schedulers": [
                S("MultiStepLR", {"milestones": [4, 8]}),
                S("ExponentialLR", {"gamma": 0.95}),
                S("StepLR", {"step_size": 3, "gamma": 1.1}),
            ]
        },
    ),
    S("ChainedScheduler", {"schedulers": [S("CosineAnnealingLR", {"T_max": 25}), S("LinearLR", {"total_iters": 12})]}),
    S(
        "ChainedScheduler",
        {
            "schedulers": [
                S("PolynomialLR", {"total_iters": 30}),
                S("MultiplicativeLR", {"lr_lambda": power}),
                S("ConstantLR"),
            ]
        },
    ),
    S(
        "ChainedScheduler",
        {"schedulers": [S("LambdaLR", {"lr_lambda": hyperbola}), S("ExponentialLR", {"gamma": 0.9})]},
    ),
    S("SWALR", {"swa_lr": 0.02, "anneal_epochs": 4}),
    S("SWALR", {"swa_lr": 0.02, "anneal_epochs": 40, "anneal_strategy": "linear"}),
    S("SWALR", {"swa_lr": [0.01, 0.7]}),
    S("SWALR", {"swa_lr": 0.1, "anneal_epochs": 0}),
    S("SWALR", {"swa_lr": 0.0, "anneal_epochs": 5, "anneal_strategy": "linear"}),
]
CLOSED_FORM = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR", "CosineAnnealingLR"]


# ---- programs, handed torch or optimlab as ``torch``

EPOCHS = 60


@contextmanager
def default_dtype(torch, name):
    """The default dtype set for a while: torch keeps step counts and tensor rates in it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def schedule_begin(torch, case, tensor_lr=False):
    """An optimizer with two groups, and the schedule of a case."""
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.05, 0.5)]
    if tensor_lr:
        groups = [group | {"lr": torch.tensor(group["lr"])} for group in groups]
    optimizer = torch.optim.SGD(groups, momentum=0.9) if case.optimizer == "SGD" else torch.optim.Adam(groups)
    return optimizer, case.build(torch, optimizer)


def rates(optimizer):
    """What a schedule sets: (groups, 2), learning rate and momentum or beta1."""
    return [[float(g["lr"]), float(g.get("momentum", g.get("betas", [0])[0]))] for g in optimizer.param_groups]


def schedule_step(optimizer, schedule, case, epoch):
    """One epoch of a program."""
    optimizer.step()
    schedule.step(*(case.steps(epoch) if case.steps else ()))


def schedule_run(torch, case, tensor_lr=False, resume_at=None, by_hand=None, epochs=EPOCHS):
    """What the schedule sets over the epochs: (epochs + 1, groups, 2).

    ``resume_at`` goes through state dicts; at epoch ``by_hand`` the program halves the learning rate of the first group.
    """
    with default_dtype(torch, "float64"), warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer, schedule = schedule_begin(torch, case, tensor_lr)
        record = [rates(optimizer)]
        for epoch in range(epochs):
            if epoch == resume_at:
                saved = optimizer.state_dict(), schedule.state_dict()
                optimizer, schedule = schedule_begin(torch, case, tensor_lr)
                optimizer.load_state_dict(saved[0])
                schedule.load_state_dict(saved[1])
            if epoch == by_hand:
                group = optimizer.param_groups[0]
                group["lr"] = group["lr"] * 0.5
            schedule_step(optimizer, schedule, case, epoch)
            record.append(rates(optimizer))
            assert [lr for lr, _ in record[-1]] == [float(x) for x in schedule.get_last_lr()]
    return np.array(record)


def closed_form_run(torch, case):
    """The learning rates at epochs given by ``step(epoch)``: forth and back."""
    with default_dtype(torch, "float64"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn that the argument is deprecated; that has a test of its own
        optimizer, schedule = schedule_begin(torch, case)
        record = []
        for epoch in (3, 17, 0, 8, 40, 1):
            schedule.step(epoch)
            record.append(rates(optimizer))
    return np.array(record)


LONG = 1000  # epochs, of which every 50th is kept


def schedule_runs(torch):
    """Every recorded run of a schedule as (key, array)."""
    for case in SCHEDULES:
        yield str(case), schedule_run(torch, case)
        yield f"{case}/by hand", schedule_run(torch, case, by_hand=20)[::5]
        if case.name != "OneCycleLR":  # which ends
            yield f"{case}/long", schedule_run(torch, case, epochs=LONG)[::50]
        # of no iterations torch's closed form divides by zero, or says other than the recursion
        if case.name in CLOSED_FORM and case.arguments.get("total_iters") != 0:
            yield f"{case}/closed", closed_form_run(torch, case)
