"""Stopped at any step and resumed from a file, in any order of building and loading, a run goes on bit for bit."""

import io
import math

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim
from optimlab.optim import lr_scheduler as S
from optimlab.optim.swa_utils import SWALR

LAST = 20  # stopped at every step up to this
AHEAD = 4  # and compared that many steps further on

OPTIMIZERS = {
    "SGD": lambda ps: optim.SGD(ps, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True),
    "ASGD": lambda ps: optim.ASGD(ps, lr=0.05, t0=5),
    "Rprop": lambda ps: optim.Rprop(ps, lr=0.05),
    "Adagrad": lambda ps: optim.Adagrad(ps, lr=0.05, lr_decay=0.1),
    "Adadelta": lambda ps: optim.Adadelta(ps, lr=0.5),
    "RMSprop": lambda ps: optim.RMSprop(ps, lr=0.05, momentum=0.5, centered=True),
    "Adam": lambda ps: optim.Adam(ps, lr=0.05, amsgrad=True),
    "AdamW": lambda ps: optim.AdamW(ps, lr=0.05),
    "Adamax": lambda ps: optim.Adamax(ps, lr=0.05),
    "NAdam": lambda ps: optim.NAdam(ps, lr=0.05),
    "RAdam": lambda ps: optim.RAdam(ps, lr=0.05),
    "Adafactor": lambda ps: optim.Adafactor(ps, lr=0.05),
    "Muon": lambda ps: optim.Muon(ps, lr=0.05),
    "LBFGS": lambda ps: optim.LBFGS(ps, lr=0.05, max_iter=3),
    "LBFGS, strong Wolfe": lambda ps: optim.LBFGS(ps, lr=1, max_iter=2, line_search_fn="strong_wolfe"),
    "ConjugateGradient": lambda ps: optim.ConjugateGradient(ps),
    "SparseAdam": lambda ps: optim.SparseAdam(ps, lr=0.05),
}
SCHEDULES = {
    "StepLR": lambda o: S.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [2, 7, 7], 0.5),
    "ConstantLR": lambda o: S.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda o: S.LinearLR(o, 0.1, 0.9, 9),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: S.PolynomialLR(o, 12, 2.0),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 7, 0.001),
    "LambdaLR": lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)),
    "MultiplicativeLR": lambda o: S.MultiplicativeLR(o, lambda t: 0.95),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.01, 0.1, 3, cycle_momentum=False),
    "CyclicLR, momentum": lambda o: S.CyclicLR(o, 0.01, 0.1, 3, cycle_momentum=has_momentum(o)),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 0.1, total_steps=60, cycle_momentum=False),
    "OneCycleLR, momentum": lambda o: S.OneCycleLR(o, 0.1, total_steps=60, cycle_momentum=has_momentum(o)),
    "ReduceLROnPlateau": lambda o: S.ReduceLROnPlateau(o, patience=1),
    "SequentialLR": lambda o: S.SequentialLR(o, [S.LinearLR(o, 0.1, 1.0, 4), S.CosineAnnealingLR(o, 9)], [4]),
    "SWALR": lambda o: SWALR(o, 0.01, 7),
    "ChainedScheduler": lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.5, 4), S.ExponentialLR(o, 0.9)]),
}


def has_momentum(optimizer):
    return not {"momentum", "betas"}.isdisjoint(optimizer.defaults)


ORDERS = [  # a schedule has to be made before its own state can be loaded
    ("make schedule", "load optimizer", "load schedule"),
    ("make schedule", "load schedule", "load optimizer"),
    ("load optimizer", "make schedule", "load schedule"),
]


class Program:
    """A small training: a bowl that is steeper along one axis, an optimizer, a schedule, an lr changed by hand."""

    def __init__(self, make_optimizer):
        self.p = ol.tensor(np.array([[2.0, -1.0], [0.5, 3.0]]), requires_grad=True)
        self.optimizer = make_optimizer([self.p])
        self.schedule, self.epoch = None, 0

    def loss(self):
        self.optimizer.zero_grad()
        loss = (ol.tensor(np.array([[1.0, 4.0], [9.0, 0.25]])) * self.p**2).sum()
        loss.backward()
        if isinstance(self.optimizer, optim.SparseAdam):
            self.p.grad = self.p.grad.to_sparse(1)
        return loss

    def run(self, epochs):
        for _ in range(epochs):
            loss = self.optimizer.step(self.loss)
            if self.epoch == 6:
                self.optimizer.param_groups[0]["lr"] *= 0.7
            wants_metric = isinstance(self.schedule, S.ReduceLROnPlateau)
            self.schedule.step(*([loss.item()] if wants_metric else []))
            self.epoch += 1

    def saved(self):
        file = io.BytesIO()
        state = {"p": self.p.detach(), "optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}
        ol.save(state, file)
        return file.getvalue()


def resumed(make_optimizer, make_schedule, saved, epoch, order):
    state, program = ol.load(io.BytesIO(saved)), Program(make_optimizer)
    program.p.data.copy_(state["p"])
    program.epoch = epoch
    for action in order:
        if action == "make schedule":
            program.schedule = make_schedule(program.optimizer)
        elif action == "load optimizer":
            program.optimizer.load_state_dict(state["optimizer"])
        else:
            program.schedule.load_state_dict(state["schedule"])
    return program


def test_every_optimizer_and_schedule_is_here():
    assert {name.partition(",")[0] for name in OPTIMIZERS} == set(optim.__all__) & set(dir(optim)) - {
        *("Optimizer", "lr_scheduler", "swa_utils"),
        "swap_in_optimizer_params_and_state",
    } - {name for name in optim.__all__ if not isinstance(getattr(optim, name), type)}
    assert {name.partition(",")[0] for name in SCHEDULES} == set(S.__all__) - {"LRScheduler"} | {"SWALR"}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_at_every_step(optimizer):
    make_optimizer = OPTIMIZERS[optimizer]
    for name, make_schedule in SCHEDULES.items():
        straight = Program(make_optimizer)
        straight.schedule = make_schedule(straight.optimizer)
        files = [straight.saved()]
        for _ in range(LAST + AHEAD):
            straight.run(1)
            files.append(straight.saved())
        assert np.isfinite(straight.p.detach().numpy()).all() and math.isfinite(
            straight.optimizer.param_groups[0]["lr"]
        )
        for k in range(LAST + 1):
            for order in ORDERS:
                program = resumed(make_optimizer, make_schedule, files[k], k, order)
                program.run(AHEAD)
                assert program.saved() == files[k + AHEAD], (name, k, order)  # parameters, all state, all options
