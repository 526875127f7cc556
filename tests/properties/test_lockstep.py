"""Property 36: random programs, each action done by torch and by optimlab, which must agree after every one."""

import copy
import io
import os
import warnings

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import optimlab

torch = pytest.importorskip("torch", reason="torch is not installed; it is what programs are compared with")

METHODS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "maximize": True}),
    ("ASGD", {"lr": 0.1, "t0": 2}),
    ("Rprop", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
    ("Adadelta", {"lr": 0.5}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.1}),
    ("Adamax", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.1}),
    ("Adafactor", {"lr": 0.1}),
]
SHAPES = [(2, 3), (3,), (), (1, 1)]


class Side:
    """A program's state in one library."""

    def __init__(self, lib, name, options):
        self.lib, self.name, self.options, self.schedule = lib, name, options, None
        self.ps = []
        self.ps = [self.leaf(k, shape) for k, shape in enumerate(SHAPES[:2])]
        self.optimizer = self.build()

    def build(self):
        n = 0
        groups = []
        sizes = (
            [len(g["params"]) for g in self.optimizer.param_groups] if hasattr(self, "optimizer") else [len(self.ps)]
        )
        for size in sizes:
            groups.append({"params": self.ps[n : n + size]})
            n += size
        return getattr(self.lib.optim, self.name)(groups, **self.options)

    def leaf(self, k, shape):
        numbers = np.random.default_rng(k).standard_normal(shape)
        return self.lib.tensor(numbers, dtype=self.lib.float64, requires_grad=True)


class Lockstep(RuleBasedStateMachine):
    @initialize(method=st.sampled_from(METHODS))
    def begin(self, method):
        self.sides = [Side(lib, *method) for lib in (torch, optimlab)]

    @rule(seed=st.integers(0, 2**32 - 1), missing=st.sampled_from([None, 0, 1]))
    def step(self, seed, missing):
        for side in self.sides:
            random = np.random.default_rng(seed)
            for i, p in enumerate(side.ps):
                g = random.standard_normal(tuple(p.shape))
                p.grad = side.lib.tensor(g, dtype=side.lib.float64) if p.requires_grad and i != missing else None
            side.optimizer.step()

    @rule(set_to_none=st.booleans())
    def zero_grad(self, set_to_none):
        for side in self.sides:
            side.optimizer.zero_grad(set_to_none=set_to_none)
            side.optimizer.step()  # on zeros, momentum goes on

    @precondition(lambda self: len(self.sides[0].ps) < len(SHAPES))
    @rule(lr=st.sampled_from([0.01, 0.3]))
    def add_group(self, lr):
        for side in self.sides:
            k = len(side.ps)
            side.ps.append(side.leaf(k, SHAPES[k]))
            side.optimizer.add_param_group({"params": [side.ps[-1]], "lr": lr})

    @rule(lr=st.sampled_from([0.0, 0.02, 0.2]))
    def set_lr(self, lr):
        for side in self.sides:
            side.optimizer.param_groups[0]["lr"] = lr

    @rule(i=st.integers(0, 1), on=st.booleans())
    def freeze(self, i, on):
        for side in self.sides:
            side.ps[i].requires_grad_(not on)
            side.ps[i].grad = None

    @rule()
    def save_and_load(self):
        for side in self.sides:
            file = io.BytesIO()
            side.lib.save(side.optimizer.state_dict(), file)
            file.seek(0)
            side.optimizer = side.build()
            side.optimizer.load_state_dict(side.lib.load(file))
            side.schedule = None

    @rule()
    def exchange_states(self):
        """Each side loads the state of the other."""
        theirs, ours = self.sides
        states = [side.optimizer.state_dict() for side in (ours, theirs)]
        for side, state in zip((theirs, ours), states, strict=True):
            side.optimizer.load_state_dict(convert(state, side.lib))

    @rule()
    def copy(self):
        for side in self.sides:
            side.ps, side.optimizer = copy.deepcopy((side.ps, side.optimizer))
            side.schedule = None

    @precondition(lambda self: self.sides[0].schedule is None)
    @rule(kind=st.sampled_from([("StepLR", {"step_size": 2}), ("ExponentialLR", {"gamma": 0.9})]))
    def schedule(self, kind):
        name, arguments = kind
        for side in self.sides:
            side.schedule = getattr(side.lib.optim.lr_scheduler, name)(side.optimizer, **arguments)

    @precondition(lambda self: self.sides[0].schedule is not None)
    @rule()
    def step_schedule(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the order of steps is free here
            for side in self.sides:
                side.schedule.step()

    @invariant()
    def agree(self):
        if not hasattr(self, "sides"):
            return
        theirs, ours = self.sides
        for p, q in zip(theirs.ps, ours.ps, strict=True):
            # torch fuses multiply and add in places, and its square root is an ulp off in places
            np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=1e-12, atol=1e-12)
        for a, b in zip(theirs.optimizer.param_groups, ours.optimizer.param_groups, strict=True):
            assert abs(float(a["lr"]) - float(b["lr"])) <= 1e-15


def convert(value, lib):
    """A state with the tensors of another library."""
    if isinstance(value, dict):
        return {k: convert(v, lib) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(convert(v, lib) for v in value)
    return lib.tensor(value.detach().numpy().copy()) if hasattr(value, "detach") else value


@pytest.fixture(autouse=True, scope="module")
def double_precision():
    """torch keeps steps and other single numbers in the default dtype."""
    for lib in (torch, optimlab):
        lib.set_default_dtype(lib.float64)
    yield
    for lib in (torch, optimlab):
        lib.set_default_dtype(lib.float32)


TestLockstep = Lockstep.TestCase
TestLockstep.settings = hypothesis.settings(
    max_examples=5 * int(os.environ.get("OPTIMLAB_EXAMPLES", "200")), stateful_step_count=12
)
