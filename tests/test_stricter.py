"""The list of where optimlab is stricter than torch: each entry runs on both, and is true of optimlab alone."""

import copy
import re
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest

import optimlab

STRICTER = tomllib.loads((Path(optimlab.__file__).parent / "lab" / "stricter.toml").read_text(encoding="utf-8"))
TRIALS = {}


def trial(function):
    """A function that is given torch or optimlab and returns whether all is well."""
    TRIALS[function.__name__.replace("_", "-")] = function
    return function


def leaf(torch, *values, dtype=None):
    return torch.tensor(list(values or (1.0, 2.0)), dtype=dtype, requires_grad=True)


def optimizer(torch, name="Adam", steps=1, **options):
    """An optimizer that has taken steps."""
    p = leaf(torch)
    made = getattr(torch.optim, name)([p], **options)
    for _ in range(steps):
        p.grad = torch.ones(2)
        made.step()
    return made


def refuses(call, errors=(ValueError, TypeError)):
    try:
        call()
    except errors:
        return True
    return False


def everything(torch, made):
    """What must be as before after an error, as text."""
    state = {i: {k: v.tolist() for k, v in s.items()} for i, s in made.state_dict()["state"].items()}
    return repr((state, [p.tolist() for g in made.param_groups for p in g["params"]]))


@trial
def hyper_parameters_finite(torch):
    return all(
        refuses(lambda lr=lr: torch.optim.SGD([leaf(torch)], lr=lr)) for lr in (float("nan"), float("inf"), True)
    )


@trial
def groups_checked(torch):
    made = torch.optim.SGD([leaf(torch)])
    made.param_groups[0]["lr"] = -1
    return refuses(made.step) and refuses(lambda: torch.optim.SGD([{"params": [leaf(torch)], "lr": -1}]))


@trial
def duplicates_refused(torch):
    return refuses(lambda: torch.optim.SGD([leaf(torch)] * 2))


@trial
def whole_numbers_refused(torch):
    return refuses(lambda: torch.optim.SGD([torch.tensor([1, 2])]))


@trial
def options_in_range(torch):
    wrong = [
        ("SGD", {"momentum": 0.9, "dampening": -5}),
        ("RMSprop", {"alpha": 2.0}),
        ("ASGD", {"lambd": -1.0}),
        ("ASGD", {"alpha": -1.0}),
        ("ASGD", {"t0": -1.0}),
        ("Rprop", {"step_sizes": (50, 1e-6)}),
    ]
    return all(refuses(lambda n=n, o=o: getattr(torch.optim, n)([leaf(torch)], **o)) for n, o in wrong)


@trial
def step_whole(torch):
    made = torch.optim.Adam([leaf(torch), leaf(torch)])
    for _ in range(2):
        for p in made.param_groups[0]["params"]:
            p.grad = torch.ones(2)
        if made.state:
            made.state[p]["exp_avg"] = torch.ones(3)
            before = everything(torch, made)
            return refuses(made.step, (ValueError, RuntimeError)) and everything(torch, made) == before
        made.step()
    return None


@trial
def load_whole(torch):
    made = optimizer(torch)
    before = everything(torch, made)
    wrong = optimizer(torch, "SGD", lr=0.1, momentum=0.9).state_dict()

    def load_and_step():
        made.load_state_dict(wrong)
        made.step()

    return refuses(load_and_step, (ValueError, KeyError)) and everything(torch, made) == before


@trial
def load_fits(torch):
    made = optimizer(torch)
    saved = copy.deepcopy(made.state_dict())
    saved["state"][0]["exp_avg"] = torch.ones(1)
    other = optimizer(torch, "RMSprop", lr=0.1).state_dict()
    return refuses(lambda: made.load_state_dict(saved)) and refuses(lambda: made.load_state_dict(other))


@trial
def load_nonnegative(torch):
    made = optimizer(torch)
    for wrong in (-1.0, float("nan")):
        saved = copy.deepcopy(made.state_dict())
        saved["state"][0]["exp_avg_sq"][1] = wrong
        if not refuses(lambda saved=saved: made.load_state_dict(saved)):
            return False
    return True


@trial
def load_copies(torch):
    made = optimizer(torch)
    saved = made.state_dict()
    twin = optimizer(torch)
    twin.load_state_dict(saved)
    kept = twin.state[twin.param_groups[0]["params"][0]]["exp_avg"]
    saved["state"][0]["exp_avg"].zero_()
    return bool((kept != 0).all())


@trial
def adamw_stays_adamw(torch):
    return refuses(lambda: optimizer(torch, "AdamW").load_state_dict(optimizer(torch).state_dict()))


@trial
def rmsprop_variance(torch):
    p = leaf(torch, 0.0, dtype=torch.float32)
    made = torch.optim.RMSprop([p], centered=True, alpha=0.9)
    for _ in range(200):
        p.grad = torch.tensor([0.7], dtype=torch.float32)
        made.step()
    return np.isfinite(p.item())


@trial
def half_precision_in_single(torch):
    p = leaf(torch, dtype=torch.float16)
    made = torch.optim.Adam([p], lr=0.125)
    for _ in range(2):
        p.grad = torch.full((2,), 1e-5, dtype=torch.float16)
        made.step()
    return abs(p[0].item() - 0.75) < 1e-3


@trial
def float64_stays_float64(torch):
    names = {"NAdam": ["mu_product"], "ASGD": ["eta", "mu"]}
    for name, keys in names.items():
        p = leaf(torch, 1.0, dtype=torch.float64)
        made = getattr(torch.optim, name)([p])
        p.grad = torch.ones(1, dtype=torch.float64)
        made.step()
        if not all(made.state[p][key].dtype == torch.float64 for key in keys):
            return False
    return True


@trial
def hypergradients_whole(torch):
    """d loss / d lr against differences, for the three that begin with it."""

    def loss(name, lr, start, differentiable, **options):
        p = start * 1.0
        made = getattr(torch.optim, name)([p], lr=lr, differentiable=differentiable, **options)
        for _ in range(3):
            p.grad = p * 1.0 if differentiable else p.detach() * 1.0
            made.step()
        return (p * p).sum()

    start = torch.tensor([1.0, -2.0], dtype=torch.float64)
    for name, options in [("ASGD", {"lambd": 0.1}), ("Rprop", {}), ("SGD", {"momentum": 0.9})]:
        lr = leaf(torch, 0.1, dtype=torch.float64)
        first = leaf(torch, 1.0, -2.0, dtype=torch.float64)
        loss(name, lr[0], first, True, **options).backward()
        ends = [loss(name, 0.1 + h, start, False, **options).item() for h in (1e-6, -1e-6)]
        moved = [
            loss(name, 0.1, start + torch.tensor([h, 0.0], dtype=start.dtype), False, **options).item()
            for h in (1e-6, -1e-6)
        ]
        # central differences: rounding of 1e-16 / 1e-6
        for ours, (a, b) in [(lr.grad, ends), (first.grad, moved)]:
            if ours is None or abs(ours.reshape(-1)[0].item() - (a - b) / 2e-6) > 1e-7:
                return False
    return True


@trial
def swap_counts(torch):
    made = optimizer(torch)
    state = copy.deepcopy(made.state_dict())
    swap = torch.optim.swap_in_optimizer_params_and_state

    def enter():
        with swap(made, {"a": leaf(torch), "b": leaf(torch)}, state):
            pass

    return refuses(enter, RuntimeError)


@trial
def closure_does_not_step(torch):
    made = optimizer(torch)
    return refuses(lambda: made.step(lambda: made.step()), RuntimeError)


def valley(torch, failure=None, at=0, **options):
    """L-BFGS on Rosenbrock's valley, whose closure fails at its call number ``at``; parameter, optimizer and closure."""
    p = leaf(torch, -1.2, 1.0)
    made, calls = torch.optim.LBFGS([p], **options), []

    def closure():
        calls.append(0)
        made.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        if len(calls) == at:
            failure()
        return loss.detach() * (float("nan") if len(calls) == at else 1)

    return p, made, closure


@trial
def lbfgs_one_iteration_moves(torch):
    p, made, closure = valley(torch, max_iter=1, line_search_fn="strong_wolfe")
    for _ in range(20):
        made.step(closure)
    return p.tolist() != leaf(torch, -1.2, 1.0).tolist()


@trial
def lbfgs_rests(torch):
    def failure():
        raise ZeroDivisionError

    p, made, closure = valley(torch, failure, 2, line_search_fn="strong_wolfe")  # the second call is the first trial
    return refuses(lambda: made.step(closure), ZeroDivisionError) and p.tolist() == leaf(torch, -1.2, 1.0).tolist()


@trial
def lbfgs_finite(torch):
    p, made, closure = valley(torch, lambda: None, 2)
    return refuses(lambda: made.step(closure), FloatingPointError) and p.tolist() == leaf(torch, -1.2, 1.0).tolist()


@trial
def lbfgs_options_in_range(torch):
    wrong = [{"max_iter": -1}, {"max_eval": 0}, {"history_size": 0}, {"line_search_fn": "wolfe"}]
    return all(refuses(lambda o=o: torch.optim.LBFGS([leaf(torch)], **o)) for o in wrong)


@trial
def lbfgs_closure_without_backward(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return refuses(lambda: torch.optim.LBFGS([leaf(torch)]).step(lambda: torch.zeros(())), UserWarning)


@trial
def adafactor_epsilon_of_each_dtype(torch):
    moved = []
    for dtypes in ((torch.float32, torch.float64), (torch.float64, torch.float32)):
        ps = {dtype: leaf(torch, 1.0, 1.0, dtype=dtype) for dtype in dtypes}
        made = torch.optim.Adafactor(list(ps.values()))
        for p in ps.values():
            p.grad = p.detach() * 1e-10
        made.step()
        moved.append(ps[torch.float64].tolist())
    return moved[0] == moved[1]


@trial
def adafactor_without_elements(torch):
    p = torch.zeros(0, requires_grad=True)
    made = torch.optim.Adafactor([p])
    p.grad = torch.zeros(0)
    return not refuses(made.step, ZeroDivisionError)


@trial
def adafactor_foreach_with_tensors(torch):
    made = torch.optim.Adafactor([leaf(torch), leaf(torch)], lr=torch.tensor(0.8), foreach=True)

    def steps():
        for t in range(2):
            for i, p in enumerate(made.param_groups[0]["params"]):
                p.grad = torch.ones(2) if t >= i else None
            made.step()

    return not refuses(steps)


@trial
def muon_options_in_range(torch):
    matrix = torch.ones(2, 2).requires_grad_()
    wrong = [{"ns_steps": 200}, {"ns_coefficients": (1.0, 2.0)}, {"momentum": 1.5}]
    added = torch.optim.Muon([matrix])
    return all(refuses(lambda o=o: torch.optim.Muon([matrix], **o)) for o in wrong) and refuses(
        lambda: added.add_param_group({"params": [leaf(torch)]})
    )


@pytest.mark.parametrize("name", TRIALS)
def test_true_of_optimlab(name):
    assert TRIALS[name](optimlab)


@pytest.mark.parametrize("name", TRIALS)
def test_not_of_torch(name):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the duplicates
        assert not TRIALS[name](torch)


def test_every_trial_has_its_entry():
    assert TRIALS.keys() <= STRICTER.keys()
    for key, entry in STRICTER.items():
        assert {"zh", "en", "torch"} <= entry.keys() <= {"zh", "en", "torch", "torch_zh"}, key
        assert re.search("[\u4e00-\u9fff]", entry["zh"]) and entry["en"].endswith("."), key
