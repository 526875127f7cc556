"""One table of what is compared with torch: every optimizer with its options.

``Lr`` marks a learning rate given as a tensor, ``Betas`` the betas of Adam as tensors; "groups" holds the options of each of
two parameter groups.
"""


class Lr(float):
    """A learning rate that is given as a one-element tensor."""


class Betas(tuple):
    """Betas that are given as one-element tensors."""


WD, MAX = {"weight_decay": 0.1}, {"maximize": True}
ADAMS = [{}, {"lr": 0.01}, WD, {**WD, **MAX}, {**WD, "amsgrad": True}]
CONFIGURATIONS = {  # torch's own, with which it tests its optimizers on the CPU
    "SGD": [
        *[{}, {"lr": 0.01}, {"lr": Lr(0.001)}, {"weight_decay": 0.5}, {"momentum": 0.9}, {**WD, **MAX}],
        *[{"momentum": 0.9, "dampening": 0.5}, {"momentum": 0.9, **WD}, {"momentum": 0.9, "nesterov": True, **WD}],
    ],
    "ASGD": [{}, {"lambd": 0.1}, {"lr": 0.02}, {"t0": 100}, MAX, WD, {**WD, **MAX}],
    "Rprop": [{}, {"lr": 2e-4}, {"etas": (0.5, 1.5)}, {"step_sizes": (2e-6, 100)}, MAX],
    "Adagrad": [
        *[{}, WD, {**WD, **MAX}, {"lr": 0.1}, {"initial_accumulator_value": 0.1, **WD}],
        *[{"lr": 0.1, "lr_decay": 0.5, **WD}, {"lr": Lr(0.001)}],
    ],
    "Adadelta": [{}, {"lr": 0.01}, WD, MAX, {**WD, **MAX}, {"rho": 0.95, "weight_decay": 0.9}],
    "RMSprop": [
        *[{}, {"lr": 1e-3}, WD, MAX, {**WD, "centered": True}, {**WD, **MAX}],
        *[{**WD, "centered": True, "momentum": 0.1}, {**WD, "centered": True, "momentum": 0.1, **MAX}],
    ],
    "Adam": ADAMS,
    "AdamW": ADAMS,
    "Adamax": [{}, {"lr": 0.1}, WD, MAX, {**WD, **MAX}],
    "NAdam": [
        *[{}, {"lr": 1e-3}, {"momentum_decay": 6e-3}, WD, {**WD, "momentum_decay": 6e-3}],
        *[{**WD, "momentum_decay": 6e-3, "decoupled_weight_decay": True}, {**WD, **MAX}],
    ],
    "RAdam": [{}, {"lr": 2e-3}, {"eps": 1e-6}, WD, {**WD, "decoupled_weight_decay": True}, {**WD, **MAX}],
    "SparseAdam": [{}, {"lr": 0.01}, {"lr": Lr(0.001)}, MAX],
    "Adafactor": [{}, {"lr": 0.01, **WD}, {**WD, **MAX}, {"beta2_decay": -1.0}, {"d": 1.5}],
    "Muon": [
        *[{}, {"lr": 0.01}, {"lr": Lr(0.001)}, {"weight_decay": 0.2}, {"momentum": 0.8}, {"ns_steps": 6}],
        {"ns_coefficients": (3.4, -4.7, 2.0)},
    ],
    "LBFGS": [{}, {"lr": 0.01}, {"lr": Lr(0.001)}, {"tolerance_grad": 1e-6}, {"line_search_fn": "strong_wolfe"}],
}
EXTRAS = {  # ours, run on the first problem alone
    "SGD": [
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, **MAX},
        {"lr": 0.1, "momentum": 0.9, "dampening": 1, **WD, **MAX},
        {"lr": 0.1, "momentum": 0.5, "foreach": True},
        {"lr": 0.1, "momentum": 0.5, "fused": True},
    ],
    "ASGD": [{"t0": 5}, {"t0": 0}, {"t0": 2.5, "alpha": 0.5, "lr": 0.1}],
    "Rprop": [{"lr": 1e-9}, {"lr": Lr(0.01)}],
    "Adagrad": [{"eps": 0.1}],
    "Adadelta": [{"rho": 0.5, "eps": 1e-3}],
    "RMSprop": [{"centered": True, "momentum": 0.9, "alpha": 0.9}],
    "Adam": [
        {"amsgrad": True, **MAX},
        {"lr": Lr(0.01)},
        {"lr": 0.01, **WD, "decoupled_weight_decay": True},
        {"lr": 0.01, **WD, "decoupled_weight_decay": True, "amsgrad": True},
        {"lr": 0.01, "betas": (0.5, 0.9)},
        {"lr": 0.01, "betas": (0.0, 0.0)},
        {"lr": 0.01, "betas": Betas((0.8, 0.99))},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "foreach": True},
        {"lr": 0.01, "fused": True, **WD},
        {"lr": 0.01, "groups": ({"betas": (0.5, 0.9)}, {"lr": 0.1, **WD})},
    ],
    "AdamW": [{"weight_decay": 0}],
    "Adamax": [{"betas": (0.5, 0.9)}],
    "NAdam": [{"betas": (0.8, 0.99)}],
    "RAdam": [{"betas": (0.9, 0.9)}, {"betas": (0.9, 0.5)}],
    "SparseAdam": [{"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}],
    "Adafactor": [{"eps": (1e-8, 1e-2)}, {"lr": Lr(0.5), **WD}, {"lr": 0.5, "foreach": True}],
    "Muon": [{"adjust_lr_fn": "match_rms_adamw"}, {"nesterov": False}, {"adjust_lr_fn": "original", "momentum": 0.3}],
    "LBFGS": [{"history_size": 3}, {"max_iter": 5}, {"max_eval": 7}, {"lr": 0.5, "line_search_fn": "strong_wolfe"}],
}
OPTIMIZERS = {name: [*rows, *EXTRAS.get(name, [])] for name, rows in CONFIGURATIONS.items()}
PROBLEMS = dict.fromkeys(  # those of oracle.PROBLEMS that each runs on
    OPTIMIZERS, ("gradients", "rosenbrock", "linear")
) | {"SparseAdam": ("rows",), "Muon": ("matrices", "plane"), "LBFGS": ("rosenbrock", "linear", "network")}


def flat(table):
    """The table as (name, options) pairs."""
    return [(name, options) for name, rows in table.items() for options in rows]


def label(name, options):
    """A test's name: ``SGD(lr=0.1, momentum=0.9)``; tensors are marked by their class."""
    words = [f"{k}={type(v).__name__}{v}" if isinstance(v, (Lr, Betas)) else f"{k}={v}" for k, v in options.items()]
    return f"{name}({', '.join(words)})"
