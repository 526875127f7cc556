"""The 124 wrong inputs with which torch tests its own optimizers: the same class, a message that begins with torch's."""

import re
import sys
import unittest
import warnings
from types import SimpleNamespace

import pytest

import optimlab
from cases import CONFIGURATIONS, Lr

# params of a constructor, made with torch's or optimlab's functions; options too where they hold tensors


def leaf(torch):
    return torch.nn.Parameter(torch.ones(1, 1))


def one(torch):
    return [leaf(torch)]


def twice(torch):
    return one(torch) * 2


def in_two_groups(torch):
    return [{"params": p} for p in twice(torch)]


def partly_named(torch):
    return [("weight", leaf(torch)), leaf(torch)]


def one_group_named(torch):
    return [{"params": one(torch), "lr": 0.01}, {"params": [("weight", leaf(torch))]}]


def cube(torch):
    return [torch.ones(2, 2, 2)]


def plane(torch):
    return [torch.ones(2, 3)]


def sparse(torch):
    return [torch.sparse_coo_tensor(torch.zeros(1, 0).long(), torch.zeros(0), (1,))]


def sparse_in_a_group(torch):
    return [{"params": sparse(torch)}]


COMMON = [
    (leaf, {}, TypeError, "params argument given to the optimizer should be an iterable of Tensors or dicts"),
    (twice, {}, UserWarning, "optimizer contains a parameter group with duplicate parameters"),
    (in_two_groups, {}, ValueError, "some parameters appear in more than one parameter group"),
    (one, lambda t: {"lr": t.tensor([0.001, 0.001])}, ValueError, "Tensor lr must be 1-element"),
    (partly_named, {}, ValueError, "all optimizer params should be with/without names. Some param names are missing"),
    (
        one_group_named,
        {},
        ValueError,
        "all optimizer param groups should be with/without names. cannot add param group with names to the optimizer",
    ),
]
ADAM = [
    (one, {"betas": (1.0, 0.0)}, "Invalid beta parameter at index 0: 1.0"),
    (one, {"weight_decay": -1}, "Invalid weight_decay value: -1"),
    (one, lambda t: {"betas": (0.9, t.tensor(0.99))}, "betas must be either both floats or both Tensors"),
    (one, lambda t: {"betas": (t.tensor(0.9), 0.99)}, "betas must be either both floats or both Tensors"),
    (
        one,
        lambda t: {"lr": t.tensor(0.001), "foreach": True},
        "lr as a Tensor is not supported for capturable=False and foreach=True",
    ),
    (
        one,
        lambda t: {"betas": (t.tensor(0.9), t.tensor(0.99)), "foreach": True},
        "betas[0] as a Tensor is not supported for capturable=False and foreach=True",
    ),
]
OWN = {
    "SGD": [(one, {"momentum": -0.5}, "Invalid momentum value: -0.5")],
    "ASGD": [(one, {"weight_decay": -0.5}, "Invalid weight_decay value: -0.5")],
    "Rprop": [(one, {"etas": (1.0, 0.5)}, "Invalid eta values: 1.0, 0.5")],
    "Adagrad": [(one, {"lr_decay": -0.5}, "Invalid lr_decay value: -0.5")],
    "Adadelta": [(one, {"rho": 1.1}, "Invalid rho value: 1.1")],
    "RMSprop": [(one, {"momentum": -1.0}, "Invalid momentum value: -1.0")],
    "Adam": ADAM,
    "AdamW": ADAM,
    "Adamax": [(one, {"betas": (0.0, 1.0)}, "Invalid beta parameter at index 1: 1.0")],
    "NAdam": [*ADAM[:1], (one, {"momentum_decay": -0.2}, "Invalid momentum_decay value: -0.2")],
    "RAdam": ADAM[:2],
    "LBFGS": [],
    "Adafactor": [
        (one, {"eps": (-1e-30, 1e-3)}, "epsilon1 should be >= 0"),
        (one, {"d": 0.0}, "Clipping threshold d should be >= 1"),
        (one, {"beta2_decay": 0.8}, "beta2_decay should be <= 0"),
    ],
    "Muon": [
        (cube, {}, "Muon only supports 2D parameters"),
        (plane, {"adjust_lr_fn": "arbitrary"}, "Adjust learning rate function arbitrary is not supported"),
    ],
    "SparseAdam": [
        *ADAM[:1],
        (sparse, {}, "Sparse params at indices [[0, 0]]: SparseAdam requires dense parameter tensors"),
        (sparse_in_a_group, {}, "Sparse params at indices [[0, 0]]: SparseAdam requires dense parameter tensors"),
    ],
}
ROWS = [(name, *row) for name in OWN for row in COMMON]
ROWS += [(name, params, options, ValueError, text) for name, rows in OWN.items() for params, options, text in rows]


def refused(torch, row, wanted):
    name, params, options, _, text = row
    with pytest.raises(wanted, match=re.escape(text)) as error:
        getattr(torch.optim, name)(params(torch), **(options(torch) if callable(options) else options))
    return error.value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[4]}")
def test_refused(row):
    name, params, options, wanted, text = row
    if (
        wanted is UserWarning
    ):  # torch goes on, and moves such parameters twice a step; its text says that this will change
        wanted = ValueError
    if name == "LBFGS" and params in (in_two_groups, one_group_named):  # whatever the second group is
        text = "LBFGS doesn't support per-parameter options (parameter groups)"
    error = refused(optimlab, (name, params, options, wanted, text), wanted)
    assert str(error).startswith(text) and len(str(error)) > len(text)  # and then what to do


def test_the_rows_are_torchs():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for row in ROWS:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "Sparse invariant checks")
            refused(torch, row, row[3])


def test_no_row_and_no_configuration_of_torch_is_missing(monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    # torch's table imports a test runner's helper, of which it needs one name
    monkeypatch.setitem(sys.modules, "expecttest", SimpleNamespace(TestCase=unittest.TestCase))
    # and would freeze torch's flags for every program that this process runs afterwards
    monkeypatch.setattr(torch.backends, "disable_global_flags", lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own modules warn of each other
        from torch.testing._internal.common_optimizers import optim_db

    def plain(options):
        numbers = {k: round(v.item(), 6) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
        return repr(sorted((k, float(v) if isinstance(v, Lr) else v) for k, v in numbers.items()))

    count = 0
    for info in optim_db:
        name = info.optim_cls.__name__
        if name in CONFIGURATIONS:
            wanted = {plain(x.kwargs) for x in info.optim_inputs_func(device="cpu")}
            assert wanted == set(map(plain, CONFIGURATIONS[name])), name
        texts = [row[4] for row in ROWS if row[0] == name]
        for x in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
            count += 1
            found = any(re.search(x.error_regex, text) for text in texts)
            assert found or "complex" in x.error_regex, (name, x.error_regex)  # numbers are real here
    assert count == len(ROWS) + 3 == 124
