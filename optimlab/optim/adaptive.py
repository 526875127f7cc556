"""A learning rate for each element, from the gradients it has seen. 由历史梯度为每个元素确定学习率。"""

from typing import Any

import numpy as np

from optimlab.checks import Flag, Number
from optimlab.optim.elementwise import EPS, LR, MOMENTUM, WEIGHT_DECAY, Elementwise, decay, flags
from optimlab.optim.optimizer import ParamsT


class Adagrad(Elementwise):
    """Divide the gradient by the root of the sum of all its squares so far: rare features keep long steps.
    梯度除以至今梯度平方和的平方根：少见的特征能保持较大的步长。

    Update:

    {update}

    Of a sparse gradient only the rows it has are looked at, with the same result. Weight decay does not go with it.

    Arguments:
        {params}
        {lr}
        lr_decay: κ, >= 0; makes the learning rate fall as 1/(1 + (t-1)κ).
        {weight_decay}
        initial_accumulator_value: >= 0; where the sum starts.
        {eps}
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"sum"`` s, like p. Both are there from the start, before any gradient; for groups that are added later,
    from their first step.

    {raises}

    torch and the paper: ``lr_decay`` is torch's own. The paper's projection, and its form with full matrices, are not here.

    Source: Duchi, Hazan, Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", Journal of
    Machine Learning Research 12, 2011.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.Adagrad([p], lr=0.1)
    >>> for g in (3.0, 4.0):  # first 3/3, then 4/5 of the learning rate
    ...     p.grad = tensor([g])
    ...     opt.step()
    >>> p
    tensor([0.8200], requires_grad=True)
    """

    letters = {"s": "sum"}
    nonnegative = ("s",)
    shown = {"lr_decay": 0.1}
    checks = {
        "lr": LR,
        "lr_decay": Number("Invalid lr_decay value: {value}", low=0),
        "eps": EPS,
        "weight_decay": WEIGHT_DECAY,
        "initial_accumulator_value": Number("Invalid initial_accumulator_value value: {value}", low=0),
        **flags("foreach", "maximize", "differentiable", "fused"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, locals())
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self._new_state(p, self.initial(group))

    def share_memory(self) -> None:
        """Nothing: torch moves the state to memory that processes share. 无操作，为兼容 torch 而设。"""

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
        return {"s": group["initial_accumulator_value"]}

    @staticmethod
    def takes_sparse(group: dict[str, Any]) -> str:
        return "rows"

    @staticmethod
    def rule(p, g, s, *, t, lr, lr_decay, weight_decay, eps):
        p, g = decay(p, g, lr, weight_decay)
        s = s + g**2
        step_size = lr / (1 + (t - 1) * lr_decay)
        return {"p": p - step_size * (g / (np.sqrt(s) + eps)), "s": s}


class Adadelta(Elementwise):
    """Multiply the gradient by the ratio of two running sizes, that of the steps and that of the gradients: units agree.
    梯度乘以步长与梯度两者滑动均方根之比：更新量与参数单位一致。

    Update:

    {update}

    Arguments:
        {params}
        lr: η, >= 0; multiplies the step. The paper has none, which is 1.
        rho: ρ in [0, 1]; how much of the two running means a step keeps.
        eps: ε, >= 0; inside the root, above and below. It starts the motion: the first step is about √(ε/(1-ρ)) long.
        {weight_decay}
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"square_avg"`` v, the mean of squared gradients, and ``"acc_delta"`` u, that of squared steps, like p.

    {raises}

    torch and the paper: the same at lr = 1. Both take two roots, of u + ε and of v + ε; here it is one, of their quotient, to
    spare a pass. In float32 this loses digits once v is some 10³⁸ times u, that is with gradients beyond 10¹⁶.

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv 1212.5701, 2012.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.Adadelta([p])
    >>> p.grad = tensor([5.0])
    >>> opt.step()
    >>> p
    tensor([0.9968], requires_grad=True)
    """

    letters = {"v": "square_avg", "u": "acc_delta"}
    nonnegative = ("v", "u")
    counts_steps = True
    checks = {
        "lr": LR,
        "rho": Number("Invalid rho value: {value}", low=0, high=1),
        "eps": EPS,
        "weight_decay": WEIGHT_DECAY,
        **flags("maximize", "capturable", "foreach", "differentiable"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @staticmethod
    def rule(p, g, v, u, *, lr, rho, eps, weight_decay):
        p, g = decay(p, g, lr, weight_decay)
        v = rho * v + (1 - rho) * g**2
        delta = np.sqrt((u + eps) / (v + eps)) * g
        u = rho * u + (1 - rho) * delta**2
        return {"p": p - lr * delta, "v": v, "u": u}


class RMSprop(Elementwise):
    """Divide the gradient by its running root mean square. 梯度除以它的滑动均方根。

    Update (centered, with momentum):

    {update}

    Arguments:
        {params}
        {lr}
        alpha: α in [0, 1]; how much of the running means a step keeps.
        eps: ε, >= 0; added to the denominator outside the root.
        {weight_decay}
        momentum: μ, >= 0; the share of the buffer b that a step keeps.
        centered: divide by the standard deviation: subtract the squared mean of the gradient.
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"square_avg"`` v, like p; with momentum ``"momentum_buffer"`` b, when centered ``"grad_avg"`` m, like p.

    {raises}

    torch and the paper: torch puts the learning rate outside the buffer and ε outside the root; Graves has both inside.
    Where a gradient hardly changes, v - m² is a difference of equal numbers: torch may take the root of a negative one, and
    the parameter is NaN for ever; here the variance is at least 0.

    Sources: Tieleman, Hinton, "Lecture 6.5: rmsprop", Neural Networks for Machine Learning, Coursera, 2012. Centered: Graves,
    "Generating Sequences With Recurrent Neural Networks", arXiv 1308.0850, 2013.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.RMSprop([p], lr=0.1, alpha=0.75)
    >>> p.grad = tensor([5.0])
    >>> opt.step()  # 5 / √(25/4), twice the learning rate: the mean starts at 0 and is not corrected
    >>> p
    tensor([0.8000], requires_grad=True)
    """

    letters = {"v": "square_avg", "b": "momentum_buffer", "m": "grad_avg"}
    nonnegative = ("v",)
    counts_steps = True
    shown = {"centered": True, "momentum": 0.9}
    checks = {
        "lr": LR,
        "momentum": MOMENTUM,
        "alpha": Number("Invalid alpha value: {value}", low=0, high=1),
        "eps": EPS,
        "centered": Flag(),
        "weight_decay": WEIGHT_DECAY,
        **flags("capturable", "foreach", "maximize", "differentiable"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
        return {"v": 0.0} | ({"b": 0.0} if group["momentum"] else {}) | ({"m": 0.0} if group["centered"] else {})

    @staticmethod
    def rule(p, g, v, b=None, m=None, *, lr, alpha, eps, weight_decay, momentum, centered):
        p, g = decay(p, g, lr, weight_decay)
        v = alpha * v + (1 - alpha) * g**2
        if centered:
            m = alpha * m + (1 - alpha) * g
        variance = np.maximum(v - m**2, 0) if centered else v
        step = g / (np.sqrt(variance) + eps)
        if momentum:
            b = momentum * b + step
            step = b
        return {"p": p - lr * step, "v": v, "b": b, "m": m}
