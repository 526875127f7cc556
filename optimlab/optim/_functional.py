"""The optimizers as functions of lists, ``torch.optim.adam.adam`` and its like: one step, and nothing is remembered.

函数形式的优化器：对一列张量更新一步，自己不记住任何东西。
"""

import sys
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any

from optimlab.optim.adam import Adam, Adamax, NAdam, RAdam
from optimlab.optim.adaptive import Adadelta, Adagrad, RMSprop
from optimlab.optim.matrix import Adafactor, Muon
from optimlab.optim.optimizer import Optimizer
from optimlab.optim.sgd import ASGD, SGD, Rprop

MEANS = {"exp_avgs": "exp_avg", "exp_avg_sqs": "exp_avg_sq"}
MAXIMA, STEPS = {"max_exp_avg_sqs": "max_exp_avg_sq"}, {"state_steps": "step"}
SCALER, BETAS = "grad_scale found_inf", "beta1 beta2 lr weight_decay"
SWITCHES = f"foreach capturable differentiable fused {SCALER} has_complex"
# name: the class; the key in the state of each list, which follow the parameters and the gradients; arguments that may be left
# out; those that must be given by name. All in torch's order.
FORMS: dict[str, tuple[type[Optimizer], dict[str, str], str, str]] = {
    "sgd": (
        SGD,
        {"momentum_buffer_list": "momentum_buffer"},
        f"has_sparse_grad foreach fused {SCALER}",
        "weight_decay momentum lr dampening nesterov maximize",
    ),
    "asgd": (
        ASGD,
        {"axs": "ax", "mus": "mu", "etas": "eta", **STEPS},
        "foreach maximize differentiable capturable has_complex",
        "lambd lr t0 alpha weight_decay",
    ),
    "rprop": (
        Rprop,
        {"prevs": "prev", "step_sizes": "step_size", **STEPS},
        "foreach capturable maximize differentiable has_complex",
        "step_size_min step_size_max etaminus etaplus",
    ),
    "adagrad": (
        Adagrad,
        {"state_sums": "sum", **STEPS},
        f"fused {SCALER} has_sparse_grad foreach differentiable has_complex",
        "lr weight_decay lr_decay eps maximize",
    ),
    "adadelta": (
        Adadelta,
        {"square_avgs": "square_avg", "acc_deltas": "acc_delta", **STEPS},
        "capturable foreach differentiable has_complex",
        "lr rho eps weight_decay maximize",
    ),
    "rmsprop": (
        RMSprop,
        {"square_avgs": "square_avg", "grad_avgs": "grad_avg", "momentum_buffer_list": "momentum_buffer", **STEPS},
        "foreach maximize differentiable capturable has_complex",
        "lr alpha eps weight_decay momentum centered",
    ),
    "adam": (Adam, MEANS | MAXIMA | STEPS, f"{SWITCHES} decoupled_weight_decay", f"amsgrad {BETAS} eps maximize"),
    "adamw": (Adam, MEANS | MAXIMA | STEPS, SWITCHES, f"amsgrad {BETAS} eps maximize"),
    "adamax": (
        Adamax,
        {"exp_avgs": "exp_avg", "exp_infs": "exp_inf", **STEPS},
        "foreach maximize differentiable capturable has_complex",
        f"eps {BETAS}",
    ),
    "nadam": (
        NAdam,
        {**MEANS, "mu_products": "mu_product", **STEPS},
        "decoupled_weight_decay foreach capturable differentiable has_complex maximize",
        f"{BETAS} momentum_decay eps",
    ),
    "radam": (
        RAdam,
        MEANS | STEPS,
        "decoupled_weight_decay foreach differentiable capturable has_complex maximize",
        f"{BETAS} eps",
    ),
    "adafactor": (
        Adafactor,
        {"row_vars": "row_var", "col_vars": "col_var", "variances": "variance", **STEPS},
        f"foreach {SCALER} has_complex",
        "d lr beta2_decay weight_decay eps1 eps2 maximize",
    ),
    "muon": (
        Muon,
        {"muon_momentum_bufs": "momentum_buffer"},
        "",
        "foreach lr weight_decay momentum nesterov ns_coefficients ns_steps eps adjust_lr_fn has_complex",
    ),
}
PAIRS = {  # options that are two arguments here
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("step_size_min", "step_size_max"),
    "eps": ("eps1", "eps2"),
}
NONE = ("foreach", "fused", "grad_scale", "found_inf")  # unless given; other arguments that may be left out are False


def form(name: str) -> Callable[..., None]:
    """The function that takes one step of an optimizer, with torch's arguments. 某个优化器的函数形式。"""
    cls, lists, switches, options = FORMS[name]
    gradients = "d_p_list" if name == "sgd" else "grads"
    positional, named = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY
    arguments = Signature(
        [
            *[Parameter(x, positional, annotation=list) for x in ("params", gradients, *lists)],
            *[Parameter(x, positional, default=None if x in NONE else False) for x in switches.split()],
            *[Parameter(x, named, default=None if x in NONE else Parameter.empty) for x in options.split()],
        ],
        return_annotation=None,
    )

    def step(*args: Any, **kwargs: Any) -> None:
        bound = arguments.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments | ({"decoupled_weight_decay": True} if name == "adamw" else {})
        params, grads = given["params"], given[gradients]
        needed = {gradients, "state_steps"} | (set(lists) if name in ("sgd", "muon") and given["momentum"] else set())
        for x in (gradients, *lists):
            if len(given[x]) != len(params) and (given[x] or x in needed):
                raise ValueError(f"{x} has {len(given[x])} tensors; it must have {len(params)}, as params has")
        if not params:
            return
        if given.get("grad_scale") is not None or given.get("found_inf") is not None:
            raise ValueError("grad_scale and found_inf must be None; divide the gradients by the scale yourself")
        group = {x: given[x] for x in signature(cls).parameters if x in given and x not in lists and x != "params"}
        group |= {x: tuple(given[half] for half in pair) for x, pair in PAIRS.items() if pair[0] in given}
        optimizer = cls(params, **group)
        for i, p in enumerate(params):
            state = {key: given[x][i] for x, key in lists.items() if given[x]}
            optimizer.state[p] = {key: value for key, value in state.items() if value is not None}
        before = [p._grad for p in params]  # `grad` of a computed tensor warns
        try:
            for p, g in zip(params, grads, strict=True):
                p.grad = g
            cls.step.__wrapped__(optimizer)  # type: ignore[attr-defined]  # without hooks, as in torch
        finally:
            for p, g in zip(params, before, strict=True):
                p.grad = g
        for x, key in lists.items():
            for i, old in enumerate(given[x]):
                new = optimizer.state[params[i]].get(key)
                if old is None:
                    given[x][i] = new
                elif new is not old:  # where gradients flow through
                    old.copy_(new)

    step.__signature__ = arguments  # type: ignore[attr-defined]
    step.__name__ = step.__qualname__ = name
    step.__module__ = cls.__module__
    step.__doc__ = (
        f"One step of `{cls.__name__}` on lists of tensors, which change in place. 对一列张量更新一步，就地修改。\n\n"
        f"{', '.join(lists)}: as many as ``params``, or none where the options need none. Raises what `{cls.__name__}` raises, "
        "and then nothing has changed."
    )
    return step


for name in FORMS:  # `from torch.optim.adam import adam`
    globals()[name] = form(name)
    setattr(sys.modules[FORMS[name][0].__module__], name, globals()[name])
del name
