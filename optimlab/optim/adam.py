"""Adam and its relatives."""

from typing import Any

import numpy as np

from optimlab.checks import Flag, Number, Numbers
from optimlab.optim.elementwise import BETAS, EPS, LR, WEIGHT_DECAY, Betas, Elementwise, decay, flags
from optimlab.optim.optimizer import ParamsT
from optimlab.tensor import Tensor


class Adam(Elementwise):
    """Divide a running mean of the gradient by the root of a running mean of its square.
    用梯度平方的滑动平均的平方根，去除梯度的滑动平均。

    Update (with weight decay):

    {update}

    ``decoupled_weight_decay`` shrinks p by 1 - ηλ instead of adding λp to the gradient (then the method is AdamW);
    ``amsgrad`` divides by the largest v so far.

    Arguments:
        params: iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and options of their own.
        lr: learning rate η, >= 0; about the size of a step. A one-element tensor is changed in place by schedules.
        betas: (β₁, β₂), each in [0, 1): how much of the two running means a step keeps. Floats, or two tensors.
        eps: ε, >= 0; added to the denominator outside the root.
        weight_decay: λ, >= 0.
        amsgrad: keep the maximum of v (Reddi et al.).
        maximize: climb instead of descending.
        foreach, capturable, fused: accepted for torch's sake, without effect.
        differentiable: let gradients flow through the step.
        decoupled_weight_decay: decay p itself, not through the gradient.

    State: ``state[p]["step"]``, a number of steps as a 0-d tensor; ``"exp_avg"`` m and ``"exp_avg_sq"`` v, like p; with
    amsgrad ``"max_exp_avg_sq"``, like p.

    Raises TypeError for an argument of a wrong kind, ValueError for one out of range.

    torch and the paper: torch keeps the maximum of AMSGrad before the bias correction; Reddi et al. have no correction.

    Sources: Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015. Reddi, Kale, Kumar, "On the Convergence of
    Adam and Beyond", ICLR 2018. Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.Adam([p], lr=0.1)
    >>> for g in (3.0, 0.3):
    ...     p.grad = tensor([g])
    ...     opt.step()
    >>> p
    tensor([0.8259], requires_grad=True)
    """

    letters = {"m": "exp_avg", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}
    shown = {"weight_decay": 0.1}
    checks = {
        "lr": LR,
        "betas": Betas(BETAS),
        "eps": EPS,
        "weight_decay": WEIGHT_DECAY,
        "amsgrad": Flag(),
        **flags("maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @classmethod
    def check_group(cls, group: dict[str, Any]) -> None:
        super().check_group(group)
        for name, value in [("lr", group["lr"]), ("betas[0]", group["betas"][0])]:
            if isinstance(value, Tensor) and group["foreach"] and not group["capturable"]:
                raise ValueError(
                    f"{name} as a Tensor is not supported for capturable=False and foreach=True; leave foreach=None"
                )

    @staticmethod
    def initial(group: dict[str, Any]) -> dict[str, Any]:
        return {"m": 0.0, "v": 0.0, "v_max": 0.0} if group["amsgrad"] else {"m": 0.0, "v": 0.0}

    @staticmethod
    def rule(p, g, m, v, v_max=None, *, t, lr, betas, eps, weight_decay, decoupled_weight_decay, amsgrad):
        beta1, beta2 = betas
        p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        if amsgrad:
            v_max = np.maximum(v_max, v)
        denominator = np.sqrt(v_max if amsgrad else v) / (1 - beta2**t) ** 0.5 + eps
        step_size = lr / (1 - beta1**t)
        return {"p": p - step_size * m / denominator, "m": m, "v": v, "v_max": v_max}


class NAdam(Elementwise):
    """Adam with Nesterov's momentum: the mean looks one step ahead. 带 Nesterov 动量的 Adam：均值提前看一步。

    Update:

    {update}
    """

    letters = {"m": "exp_avg", "v": "exp_avg_sq"}
    numbers = {"mu_product": "mu_product"}
    checks = {
        "lr": LR,
        "betas": Numbers(BETAS),
        "eps": EPS,
        "weight_decay": WEIGHT_DECAY,
        "momentum_decay": Number("Invalid momentum_decay value: {value}", low=0),
        **flags("decoupled_weight_decay", "maximize", "foreach", "capturable", "differentiable"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @staticmethod
    def initial(group: dict[str, Any]) -> dict[str, Any]:
        return {"mu_product": 1.0, "m": 0.0, "v": 0.0}

    @staticmethod
    def rule(p, g, m, v, mu_product, *, t, lr, betas, eps, weight_decay, decoupled_weight_decay, momentum_decay):
        beta1, beta2 = betas
        p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        mu_product = mu_product * mu
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        denominator = np.sqrt(v / (1 - beta2**t)) + eps
        p = p - lr * (1 - mu) / (1 - mu_product) * g / denominator
        p = p - lr * mu_next / (1 - mu_product * mu_next) * m / denominator
        return {"p": p, "m": m, "v": v, "mu_product": mu_product}
