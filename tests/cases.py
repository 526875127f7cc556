"""One table of what is compared with torch: every optimizer with its options, every schedule with its arguments.

``Lr`` marks a learning rate given as a tensor, ``Betas`` the betas of Adam as tensors.
"""


class Lr(float):
    """A learning rate that is given as a one-element tensor."""


class Betas(tuple):
    """Betas that are given as one-element tensors."""


OPTIMIZERS = {
    "SGD": [
        {},
        {"lr": 0.01},
        {"lr": Lr(0.001)},
        {"lr": 0.1, "weight_decay": 0.5},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 1, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.1, "momentum": 0.5, "foreach": True},
        {"lr": 0.1, "momentum": 0.5, "fused": True},
    ],
    "Adam": [
        {},
        {"lr": 0.01},
        {"lr": Lr(0.01)},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0.1, "maximize": True},
        {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True},
        {"lr": 0.01, "amsgrad": True, "maximize": True},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "amsgrad": True},
        {"lr": 0.01, "betas": (0.5, 0.9)},
        {"lr": 0.01, "betas": (0.0, 0.0)},
        {"lr": 0.01, "betas": Betas((0.8, 0.99))},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "foreach": True},
        {"lr": 0.01, "fused": True, "weight_decay": 0.1},
    ],
}

SCHEDULES = {
    "StepLR": [
        {"step_size": 30},
        {"step_size": 1, "gamma": 0.9},
        {"step_size": 7, "gamma": 0.5},
        {"step_size": 4, "gamma": 1.5},
        {"step_size": 3, "gamma": 0.0},
    ],
    "CosineAnnealingLR": [
        {"T_max": 10},
        {"T_max": 5, "eta_min": 0.01},
        {"T_max": 60},
        {"T_max": 1},
        {"T_max": 7, "eta_min": 0.3},
    ],
}


def flat(table):
    """The table as (name, options) pairs."""
    return [(name, options) for name, rows in table.items() for options in rows]


def label(name, options):
    """A test's name: ``SGD(lr=0.1, momentum=0.9)``; tensors are marked by their class."""
    words = [f"{k}={type(v).__name__}{v}" if isinstance(v, (Lr, Betas)) else f"{k}={v}" for k, v in options.items()]
    return f"{name}({', '.join(words)})"
