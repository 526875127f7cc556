"""The functions of lists, `optim.adam.adam` and its like, against torch's and against the classes."""

import importlib
import inspect
import itertools

import numpy as np
import pytest

import optimlab as ol
import oracle
from optimlab import optim
from optimlab.optim import _functional

TWO = {"beta1": 0.8, "beta2": 0.95}
OPTIONS = {  # by module: the options, and by list what its tensors begin as (None: not a tensor yet; absent: an empty list)
    "sgd": (
        {"weight_decay": 0.1, "momentum": 0.9, "lr": 0.1, "dampening": 0.5, "nesterov": False, "maximize": True},
        {"momentum_buffer_list": None},
    ),
    "asgd": ({"lambd": 0.1, "lr": 0.1, "t0": 1, "alpha": 0.5, "weight_decay": 0.1}, {"axs": 0, "mus": 1, "etas": 0.1}),
    "rprop": (
        {"step_size_min": 1e-6, "step_size_max": 50, "etaminus": 0.5, "etaplus": 1.2},
        {"prevs": 0, "step_sizes": 0.1},
    ),
    "adagrad": (
        {"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.1, "eps": 1e-10, "maximize": False},
        {"state_sums": 0},
    ),
    "adadelta": (
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.1, "maximize": False},
        {"square_avgs": 0, "acc_deltas": 0},
    ),
    "rmsprop": (
        {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.5, "centered": False},
        {"square_avgs": 0, "momentum_buffer_list": 0},
    ),
    "adam": (
        {"amsgrad": True, **TWO, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8, "maximize": False},
        {"exp_avgs": 0, "exp_avg_sqs": 0, "max_exp_avg_sqs": 0},
    ),
    "adamw": (
        {"amsgrad": False, **TWO, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8, "maximize": True},
        {"exp_avgs": 0, "exp_avg_sqs": 0},
    ),
    "adamax": ({"eps": 1e-8, **TWO, "lr": 0.1, "weight_decay": 0.1}, {"exp_avgs": 0, "exp_infs": 0}),
    "nadam": (
        {**TWO, "lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.01, "eps": 1e-8, "decoupled_weight_decay": True},
        {"exp_avgs": 0, "exp_avg_sqs": 0, "mu_products": 1},
    ),
    "radam": ({**TWO, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8}, {"exp_avgs": 0, "exp_avg_sqs": 0}),
    "_adafactor": (
        {"d": 1.0, "lr": 0.1, "beta2_decay": -0.8, "weight_decay": 0.1, "eps1": 1e-8, "eps2": 1e-3, "maximize": False},
        {"row_vars": (2, 1), "col_vars": (1, 3), "variances": None},
    ),
    "_muon": (
        {
            "lr": 0.1,
            "weight_decay": 0.1,
            "momentum": 0.9,
            "nesterov": True,
            "eps": 1e-7,
            "ns_steps": 5,
            "ns_coefficients": (3.4445, -4.775, 2.0315),
            "adjust_lr_fn": None,
            "has_complex": False,
        },
        {"muon_momentum_bufs": 0},
    ),
}


def function(lib, module):
    return getattr(importlib.import_module(f"{lib.__name__}.optim.{module}"), module.removeprefix("_"))


def path(lib, module, steps=9):
    """Two matrices and all that is kept of them, as arrays, after each of some steps; the function is called in torch's order."""
    options, starts = OPTIONS[module]
    draw, call = np.random.default_rng(0), function(lib, module)

    def tensors(name):
        start = 0 if name == "state_steps" else starts.get(name, ())
        if start in (None, ()):
            return [None, None] if start is None else []
        if name in ("mus", "etas", "mu_products", "state_steps"):
            return [lib.tensor(start, dtype=lib.float64) for _ in range(2)]
        shape, value = (start, 0.0) if isinstance(start, tuple) else ((2, 3), start)
        return [lib.full(shape, float(value), dtype=lib.float64) for _ in range(2)]

    params = [lib.tensor(draw.standard_normal((2, 3)), requires_grad=True) for _ in range(2)]
    names = [
        n
        for n, p in inspect.signature(call).parameters.items()
        if p.default is p.empty and p.kind is not p.KEYWORD_ONLY
    ]
    lists = [tensors(name) for name in names[2:]]
    found = []
    for _ in range(steps):
        grads = [lib.tensor(draw.standard_normal((2, 3))) for _ in params]
        with lib.no_grad():
            assert call(params, grads, *lists, **options) is None
        assert all(p.grad is None for p in params)
        found.append([x.detach().numpy().copy() for x in itertools.chain(params, *lists) if x is not None])
    return found


@pytest.mark.parametrize("module", OPTIONS)
def test_they_are_torchs(module):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ours, theirs = (
        [(p.name, p.kind, p.default) for p in inspect.signature(function(lib, module)).parameters.values()]
        for lib in (ol, torch)
    )
    assert ours == theirs
    with oracle.default_dtype(torch, "float64"):  # in float32 it rounds the numbers of ASGD
        expected = path(torch, module)
    for a, b in zip(path(ol, module), expected, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-14)  # sums of rounded terms near zero


@pytest.mark.parametrize("module", OPTIONS)
def test_a_step_is_that_of_the_class(module):
    name = module.removeprefix("_")
    options = {k: v for k, v in OPTIONS[module][0].items() if k != "has_complex"}
    for option, pair in _functional.PAIRS.items():
        if pair[0] in options:
            options[option] = tuple(options.pop(half) for half in pair)
    extra = {"adamw": {"decoupled_weight_decay": True}, "rprop": {"lr": 0.1}}.get(name, {})
    draw = np.random.default_rng(0)
    params = [ol.tensor(draw.standard_normal((2, 3)), requires_grad=True) for _ in range(2)]
    optimizer = _functional.FORMS[name][0](params, **options, **extra)
    for found in path(ol, module):
        for p in params:
            p.grad = ol.tensor(draw.standard_normal((2, 3)))
        optimizer.step()
        assert [p.tolist() for p in params] == [x.tolist() for x in found[:2]]


def test_gradients_flow_through_it():
    lr = ol.tensor(0.1, dtype=ol.float64, requires_grad=True)
    p, m, v, t = (
        ol.tensor([1.0], dtype=ol.float64) * 1,
        *(ol.zeros(1, dtype=ol.float64) for _ in range(2)),
        ol.tensor(0.0),
    )
    options = {**OPTIONS["adam"][0], "amsgrad": False, "lr": lr, "weight_decay": 0}
    for _ in range(2):
        optim.adam.adam([p], [p * 2], [m], [v], [], [t], differentiable=True, **options)
    p.sum().backward()
    # two steps against gradients of nearly one size: each goes about lr
    assert lr.grad.item() == pytest.approx(-2, abs=0.1) and m.grad_fn is not None and t.item() == 2


def test_what_does_not_fit_is_refused_and_nothing_changes():
    p = ol.tensor([1.0], requires_grad=True)
    p.grad = ol.tensor([7.0])
    options = OPTIONS["sgd"][0]
    for grads, buffers, given, error, words in [
        ([], [None], {}, ValueError, "d_p_list has 0 tensors"),
        ([ol.ones(1)], [None, None], {}, ValueError, "momentum_buffer_list has 2 tensors"),
        ([ol.ones(1)], [], {}, ValueError, "momentum_buffer_list has 0 tensors"),
        ([ol.ones(1)], [ol.ones(2)], {}, ValueError, r"\(2,\)"),
        ([ol.ones(1)], [None], {"lr": -1}, ValueError, "Invalid learning rate"),
        ([ol.ones(1)], [None], {"grad_scale": ol.ones(1)}, ValueError, "grad_scale"),
    ]:
        with pytest.raises(error, match=words):
            optim.sgd.sgd([p], grads, buffers, **{**options, **given})
        assert (p.tolist(), p.grad.tolist()) == ([1], [7])
    means = [[ol.zeros(1)], [ol.zeros(1)]]
    for lists, error, words in [
        ((*means, [], []), ValueError, "state_steps"),
        (([], [], [], [ol.ones(())]), KeyError, "exp_avg"),
    ]:
        with pytest.raises(error, match=words):
            optim.adam.adam([p], [ol.ones(1)], *lists, **OPTIONS["adam"][0])
        assert (p.tolist(), p.grad.tolist()) == ([1], [7])
    with pytest.raises(TypeError, match="weight_decay"):
        optim.sgd.sgd([p], [ol.ones(1)], [None])
    assert (
        optim.sgd.sgd([], [], [], **options) is None
    )  # torch's own steps call it so where no parameter has a gradient
    assert "SGD" in _functional.sgd.__doc__
