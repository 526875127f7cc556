"""Bad input to schedules and averages: the wanted class, a message that says what is allowed, and nothing changed.

Where torch refuses it too, in so many words: its class, and a message that begins with its text.
"""

import copy
import warnings

import pytest

import optimlab
import schedules
from schedules import Schedule

NAN, INF = float("nan"), float("inf")


def optimizer(torch, name="SGD", **options):
    """An optimizer with one group that has taken a step."""
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    made = getattr(torch.optim, name)([p], **options)
    p.grad = torch.ones(2)
    made.step()
    return made


def call(name, *arguments, **options):
    """What builds a schedule."""

    def build(torch, made):
        return getattr(Schedule(name).module(torch), name)(made, *arguments, **options)

    build.builds = True
    return build


def step(name, *arguments, **options):
    """What builds a schedule and gives ``step`` the last argument."""
    return lambda torch, made: call(name, *arguments[:-1], **options)(torch, made).step(arguments[-1])


def load(name, change, **options):
    """What loads a state dict that has been spoilt."""

    def run(torch, made):
        schedule = call(name, **options)(torch, made)
        schedule.load_state_dict(change(schedule.state_dict()))

    return run


def without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


def but(**changes):
    return lambda state: state | changes


def chained(*names, other=False, plateau=False):
    """A chain; with a member of another optimizer, or with one that wants a metric."""

    def build(torch, made):
        members = [call(name)(torch, made) for name in names]
        members += [call("ConstantLR")(torch, optimizer(torch))] if other else []
        members += [call("ReduceLROnPlateau")(torch, made)] if plateau else []
        return torch.optim.lr_scheduler.ChainedScheduler(members)

    return build


def sequence(*milestones, members=2, other=False, plateau=False):
    def build(torch, made):
        parts = [call("ConstantLR")(torch, made) for _ in range(members)]
        parts += [call("ConstantLR")(torch, optimizer(torch))] if other else []
        parts += [call("ReduceLROnPlateau")(torch, made)] if plateau else []
        return torch.optim.lr_scheduler.SequentialLR(made, parts, list(milestones))

    return build


def raises(epoch):
    return 1 / 0 if epoch == 1 else 1.0


def stepped(name, *arguments, steps=1):
    """What builds a schedule and steps it."""

    def run(torch, made):
        schedule = call(name, *arguments)(torch, made)
        for _ in range(steps):
            made.step()
            schedule.step()

    return run


def averaged(model=None, other=None, **options):
    """What averages a model, or another one than it was made for."""

    def run(torch, made):
        torch.manual_seed(0)
        first = torch.nn.Linear(2, 1) if model is None else model
        average = torch.optim.swa_utils.AveragedModel(first, **{k: v(torch) for k, v in options.items()})
        average.update_parameters(first if other is None else other(torch))

    return run


def swa(name, *arguments):
    return lambda torch, made: getattr(torch.optim.swa_utils, name)(*arguments)


CASES = [
    # what is no optimizer
    *[
        (lambda torch, made, n=n, a=a, x=x: call(n, *a)(torch, x), TypeError, "is not an Optimizer", "SGD(params)")
        for n, *a in [("StepLR", 3), ("CyclicLR", 0.1, 1.0), ("OneCycleLR", 1.0, 10), ("ReduceLROnPlateau",)]
        for x in (None, 5)
    ],
    # multiplying
    *[(call("StepLR", x), ValueError, "step_size", ">= 1") for x in (0, -2)],
    *[(call("StepLR", x), TypeError, "step_size", "integer") for x in (1.5, "3", None, True)],
    *[(call("StepLR", 3, x), ValueError, "gamma", ">= 0") for x in (NAN, INF, -1)],
    (call("StepLR", 3, "x"), TypeError, "gamma", "number"),
    (call("StepLR", 3, last_epoch=-5), ValueError, "last_epoch", ">= -1"),
    (call("StepLR", 3, last_epoch=5), KeyError, "param 'initial_lr' is not specified", "load"),
    *[(call("MultiStepLR", x), TypeError, "milestones", "integers >= 0 in a list") for x in (3, "30", None)],
    (call("MultiStepLR", [-1]), ValueError, "milestones", ">= 0"),
    (call("MultiStepLR", [1.5]), TypeError, "milestones", "integer"),
    (call("MultiStepLR", [3], -1), ValueError, "gamma", ">= 0"),
    *[(call("ConstantLR", x), ValueError, "Constant multiplicative factor expected", "> 0") for x in (2, -1, 0, NAN)],
    (call("ConstantLR", 0.5, -1), ValueError, "total_iters", ">= 0"),
    *[(call("LinearLR", x), ValueError, "Starting multiplicative factor expected", "> 0") for x in (0, 1.5, NAN)],
    *[(call("LinearLR", 0.5, x), ValueError, "Ending multiplicative factor expected", "<= 1") for x in (2, -0.5, NAN)],
    (call("LinearLR", 0.5, 1, -1), ValueError, "total_iters", ">= 0"),
    *[(call("ExponentialLR", x), ValueError, "gamma", ">= 0") for x in (NAN, INF, -1)],
    *[(call("PolynomialLR", 5, x), ValueError, "power", ">= 0") for x in (-1, NAN)],
    (call("PolynomialLR", -5), ValueError, "total_iters", ">= 0"),
    *[(call("CosineAnnealingLR", x), ValueError, "T_max", "> 0") for x in (0, -3, NAN)],
    *[(call("CosineAnnealingLR", 5, x), ValueError, "eta_min", ">= 0") for x in (INF, -0.1)],
    # functions
    *[
        (call(n, [raises] * 2), ValueError, "Expected 1 lr_lambdas, but got 2", "one a group")
        for n in ("LambdaLR", "MultiplicativeLR")
    ],
    *[
        (call(n, 0.5), TypeError, "lr_lambda should be a function, but got float", "epoch")
        for n in ("LambdaLR", "MultiplicativeLR")
    ],
    (call("LambdaLR", lambda t: None), TypeError, "lr_lambdas[0](0)", "number"),
    *[(call("LambdaLR", lambda t, x=x: x), ValueError, "lr_lambdas[0](0)", ">= 0") for x in (NAN, INF, -1)],
    (stepped("LambdaLR", raises), ZeroDivisionError, "division", ""),
    # restarts
    *[
        (call("CosineAnnealingWarmRestarts", x), ValueError, "Expected positive integer T_0, but got", ">= 1")
        for x in (0, -1, 1.5)
    ],
    *[
        (call("CosineAnnealingWarmRestarts", 3, x), ValueError, "Expected integer T_mult >= 1, but got", ">= 1")
        for x in (0, 1.5)
    ],
    (call("CosineAnnealingWarmRestarts", 3, 1, "a"), ValueError, "Expected float or int eta_min, but got a", ">= 0"),
    (step("CosineAnnealingWarmRestarts", 3, -1), ValueError, "Expected non-negative epoch, but got -1", ">= 0"),
    (step("CosineAnnealingWarmRestarts", 3, "x"), TypeError, "epoch", "number"),
    (step("StepLR", 3, -1), ValueError, "epoch", ">= 0"),
    # cycles
    (call("CyclicLR", 1.0, 0.1), ValueError, "base_lr", "<= max_lr"),
    *[(call("CyclicLR", x, 1.0), ValueError, "base_lr", ">= 0") for x in (-1, NAN)],
    (
        call("CyclicLR", [0.1, 0.2], 1.0),
        ValueError,
        "base_lr must have the same length as optimizer.param_groups.",
        "2",
    ),
    (call("CyclicLR", 0.1, 1.0, mode="x"), ValueError, "mode is invalid and scale_fn is None", "triangular2"),
    (call("CyclicLR", 0.1, 1.0, 0), ValueError, "step_size_up", "> 0"),
    (call("CyclicLR", 0.1, 1.0, 5, -1), ValueError, "step_size_down", ">= 0"),
    (call("CyclicLR", 0.1, 1.0, scale_fn=3), TypeError, "scale_fn", "function"),
    (call("CyclicLR", 0.1, 1.0, scale_fn=lambda x: NAN), ValueError, "scale_fn", "finite"),
    (call("CyclicLR", 0.1, 1.0, scale_fn=schedules.decay, scale_mode="x"), ValueError, "scale_mode", "iterations"),
    (call("OneCycleLR", 0.1), ValueError, "You must define either total_steps OR (epochs AND steps_per_epoch)", ""),
    *[
        (call("OneCycleLR", 0.1, x), ValueError, "Expected positive integer total_steps, but got", ">= 1")
        for x in (0, -1, 1.5)
    ],
    (
        call("OneCycleLR", 0.1, epochs=0, steps_per_epoch=3),
        ValueError,
        "Expected positive integer epochs, but got 0",
        ">= 1",
    ),
    (
        call("OneCycleLR", 0.1, epochs=3, steps_per_epoch=0.5),
        ValueError,
        "Expected positive integer steps_per_epoch",
        ">= 1",
    ),
    *[
        (
            call("OneCycleLR", 0.1, 9, pct_start=x),
            ValueError,
            f"Expected float between 0 and 1 pct_start, but got {x}",
            "",
        )
        for x in (1.5, -0.1, 1)
    ],
    (
        call("OneCycleLR", 0.1, 9, anneal_strategy="x"),
        ValueError,
        "anneal_strategy must be one of 'cos' or 'linear', instead got x",
        "",
    ),
    (call("OneCycleLR", [0.1] * 2, 9), ValueError, "max_lr must have the same length as optimizer.param_groups.", "2"),
    *[(call("OneCycleLR", x, 9), ValueError, "max_lr", ">= 0") for x in (-1, NAN)],
    *[(call("OneCycleLR", 0.1, 9, **{x: 0}), ValueError, x, "> 0") for x in ("div_factor", "final_div_factor")],
    (
        stepped("OneCycleLR", 0.1, 2, steps=3),
        ValueError,
        "Tried to step 3 times. The specified number of total steps is 2",
        "batches",
    ),
    *[
        (
            lambda torch, made, n=n, a=a: call(n, *a)(torch, optimizer(torch, "Adagrad")),
            ValueError,
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled",
            "False",
        )
        for n, a in [("CyclicLR", (0.1, 1.0)), ("OneCycleLR", (0.1, 9))]
    ],
    # plateau
    (call("ReduceLROnPlateau", "x"), ValueError, "mode x is unknown!", "max"),
    (call("ReduceLROnPlateau", threshold_mode="x"), ValueError, "threshold mode x is unknown!", "abs"),
    *[(call("ReduceLROnPlateau", "min", x), ValueError, "Factor should be < 1.0.", ">= 0") for x in (1, 1.5, -1, NAN)],
    (call("ReduceLROnPlateau", patience=-1), ValueError, "patience", ">= 0"),
    (call("ReduceLROnPlateau", patience=1.5), TypeError, "patience", "integer"),
    (call("ReduceLROnPlateau", min_lr=[0.1] * 2), ValueError, "expected 1 min_lrs, got 2", "each group"),
    (call("ReduceLROnPlateau", min_lr=-1), ValueError, "min_lr", ">= 0"),
    (lambda torch, made: call("ReduceLROnPlateau")(torch, made).step(), TypeError, "metrics", ""),
    (step("ReduceLROnPlateau", "x"), ValueError, "metrics", "number"),
    (step("ReduceLROnPlateau", None), TypeError, "metrics", "number"),
    # compositions
    (sequence(members=0), ValueError, "SequentialLR expects at least one scheduler, but got no scheduler.", ""),
    (sequence(3, 5), ValueError, "Sequential Schedulers expects number of schedulers provided to be one more", "2"),
    (sequence(5, 2, members=3), ValueError, "milestones", "in order"),
    (sequence(-1), ValueError, "milestones[0]", ">= 0"),
    (sequence(1.5), TypeError, "milestones[0]", "integer"),
    (
        sequence(3, members=1, other=True),
        ValueError,
        "SequentialLR expects all schedulers to belong to the same optimizer",
        "index 1",
    ),
    (
        sequence(3, members=1, plateau=True),
        ValueError,
        "SequentialLR does not support `ReduceLROnPlateau` scheduler",
        "index 1",
    ),
    (
        lambda torch, made: torch.optim.lr_scheduler.SequentialLR(made, [3], []),
        TypeError,
        "SequentialLR at index 0 should have `optimizer`",
        "int",
    ),
    (chained(), ValueError, "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.", ""),
    (
        chained("ConstantLR", other=True),
        ValueError,
        "ChainedScheduler expects all schedulers to belong to the same optimizer",
        "index 1",
    ),
    (
        chained("ConstantLR", plateau=True),
        ValueError,
        "ChainedScheduler does not support `ReduceLROnPlateau` scheduler",
        "index 1",
    ),
    # states
    (load("ConstantLR", lambda state: {}), ValueError, "not from a ConstantLR", "factor"),
    (load("ConstantLR", lambda state: None), TypeError, "must be a dict", "NoneType"),
    (load("ConstantLR", but(junk=1)), ValueError, "not from a ConstantLR", "junk"),
    (load("ConstantLR", but(get_lr=5)), ValueError, "not from a ConstantLR", "get_lr"),
    (load("ConstantLR", without("factor")), KeyError, "lacks", "factor"),
    (load("StepLR", but(step_size="q"), step_size=3), TypeError, "step_size", "integer"),
    (load("StepLR", lambda state: {"T_max": 3}, step_size=3), ValueError, "not from a StepLR", "T_max"),
    (load("ConstantLR", but(last_epoch=-5)), ValueError, "last_epoch", ">= -1"),
    (load("ConstantLR", but(base_lrs=[1, 2])), ValueError, "base_lrs", "one a group"),
    (load("ConstantLR", but(_last_lr=["x"])), TypeError, "_last_lr[0]", "number"),
    (load("MultiStepLR", but(milestones={1: "x"}), milestones=[1]), TypeError, "milestones", "integer"),
    (load("LambdaLR", but(lr_lambdas=[None] * 2), lr_lambda=[schedules.decay]), ValueError, "lr_lambdas", "1"),
    (load("LambdaLR", but(lr_lambdas=5), lr_lambda=schedules.decay), ValueError, "lr_lambdas", "list"),
    (load("CyclicLR", but(mode="x"), base_lr=0.1, max_lr=1.0), ValueError, "mode", "triangular"),
    (load("CyclicLR", but(_scale_fn_custom={}), base_lr=0.1, max_lr=1.0), ValueError, "_scale_fn_custom", "None"),
    (load("ReduceLROnPlateau", but(best="x")), ValueError, "best", "number"),
    (
        lambda torch, made: [
            s.load_state_dict(s.state_dict() | {"_schedulers": []}) for s in [sequence(3)(torch, made)]
        ],
        ValueError,
        "_schedulers",
        "2 states",
    ),
    (
        lambda torch, made: [
            s.load_state_dict(s.state_dict() | {"_milestones": [3, 4]}) for s in [sequence(3)(torch, made)]
        ],
        ValueError,
        "_milestones",
        "1",
    ),
    (
        lambda torch, made: [
            s.load_state_dict(s.state_dict() | {"_schedulers": [s.state_dict()["_schedulers"][0], {}]})
            for s in [sequence(3)(torch, made)]
        ],
        ValueError,
        "ConstantLR",
        "lacks",
    ),
    # averages
    (call("SWALR", 0.1, -1), ValueError, "anneal_epochs must be equal or greater than 0, got -1", ">= 0"),
    (call("SWALR", 0.1, 1.5), ValueError, "anneal_epochs must be equal or greater than 0, got 1.5", "integer"),
    (call("SWALR", 0.1, 5, "x"), ValueError, "anneal_strategy must be one of 'cos' or 'linear', instead got x", ""),
    (call("SWALR", [0.1] * 2), ValueError, "swa_lr must have the same length as optimizer.param_groups.", "2"),
    *[(call("SWALR", x), ValueError, "swa_lr", ">= 0") for x in (-1, NAN)],
    *[
        (
            swa(f"get_ema_{kind}_fn", x),
            ValueError,
            f"Invalid decay value {x} provided. Please provide a value in [0,1] range.",
            ">= 0",
        )
        for kind in ("avg", "multi_avg")
        for x in (1.5, -0.1, NAN)
    ],
    (averaged(5), TypeError, "model", "Module"),
    (averaged(other=lambda torch: torch.nn.Linear(3, 1)), ValueError, "(1, 3)", "(1, 2)"),
    (averaged(other=lambda torch: torch.nn.Linear(2, 1, bias=False)), ValueError, "(1, 2)", "(1,)"),
    (
        averaged(avg_fn=lambda torch: len, multi_avg_fn=lambda torch: len),
        AssertionError,
        "Only one of avg_fn and multi_avg_fn should be provided",
        "None",
    ),
    (averaged(avg_fn=lambda torch: 3), TypeError, "avg_fn", "function"),
    (lambda torch, made: torch.optim.swa_utils.update_bn([], 5), TypeError, "model", "Module"),
]


@pytest.mark.parametrize("i", range(len(CASES)))
def test_refused(i):
    run, wanted, *words = CASES[i]
    made = optimizer(optimlab)
    before = copy.deepcopy([{k: v for k, v in group.items() if k != "params"} for group in made.param_groups])
    with pytest.raises(wanted) as error:
        run(optimlab, made)
    for word in words:
        assert word in str(error.value), str(error.value)
    if getattr(run, "builds", False):  # nothing was built, so nothing has been set
        assert [{k: v for k, v in group.items() if k != "params"} for group in made.param_groups] == before


def test_as_torch_says_it():
    """Where torch raises a ValueError or AssertionError itself: that class, and its text comes first."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    compared = 0
    for run, *_ in CASES:
        errors = []
        for module in (torch, optimlab):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch says that a schedule should step after its optimizer
                try:
                    run(module, optimizer(module))
                except Exception as error:
                    errors.append(error)
        deliberate = isinstance(errors[0], (ValueError, AssertionError)) and "could not convert" not in str(errors[0])
        if len(errors) == 2 and deliberate:
            compared += 1
            theirs, ours = (str(error) for error in errors)
            assert isinstance(errors[1], type(errors[0])), errors
            assert ours.startswith(theirs[:40].rstrip(".")), (theirs, ours)
    assert compared > 40
