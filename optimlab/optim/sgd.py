"""Stochastic gradient descent, its average, and descent by signs alone. 随机梯度下降及其变体。"""

import warnings
from typing import Any

import numpy as np

from optimlab.checks import Flag, Number, Numbers
from optimlab.optim.elementwise import LR, MOMENTUM, WEIGHT_DECAY, Elementwise, decay, flags
from optimlab.optim.optimizer import ParamsT


class SGD(Elementwise):
    """Step against the gradient; with momentum, along a velocity that gathers past gradients.
    沿负梯度走一步；有动量时，沿着由过去的梯度积累成的速度走。

    Update (t > 1, with momentum and weight decay):

    {update}

    On the first step the velocity is the gradient itself, undamped. ``nesterov`` adds another μ times the velocity to the
    gradient.

    Of a sparse gradient only the rows it has move; with momentum all do, each by its velocity. Weight decay does not go with it.

    Arguments:
        {params}
        {lr}
        momentum: μ, >= 0; the share of the velocity that a step keeps.
        dampening: τ in [0, 1]; the share of a new gradient that does not enter the velocity.
        {weight_decay}
        nesterov: look ahead by one velocity; needs momentum > 0 and dampening = 0.
        {maximize}
        {differentiable}
        {ignored}

    State: ``state[p]["momentum_buffer"]``, like p, from the first step with momentum.

    {raises}

    torch and the paper: Sutskever et al. put the learning rate into the velocity (v = μv + ηg, p = p - v), which is the same
    while lr is constant, and another rule when it changes. Under ``differentiable`` torch cuts the history of the first
    velocity; here gradients flow through it too.

    Sources: Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Computational Mathematics and
    Mathematical Physics, 1964. Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep
    learning", ICML 2013.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.SGD([p], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     p.grad = tensor([1.0])
    ...     opt.step()
    >>> p
    tensor([0.7100], requires_grad=True)
    """

    letters = {"v": "momentum_buffer"}
    shown = {"momentum": 0.9, "weight_decay": 0.1}
    checks = {
        "lr": LR,
        "momentum": MOMENTUM,
        "dampening": Number("Invalid dampening value: {value}", low=0, high=1),
        "weight_decay": WEIGHT_DECAY,
        "nesterov": Flag(),
        **flags("maximize", "foreach", "differentiable", "fused"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, locals())

    @classmethod
    def check_group(cls, group: dict[str, Any]) -> None:
        super().check_group(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening; got momentum="
                f"{group['momentum']}, dampening={group['dampening']}: set momentum > 0 and dampening=0"
            )

    def _checked_group(self, given: dict[str, Any]) -> dict[str, Any]:
        group = super()._checked_group(given)
        if group["momentum"] > 1:
            warnings.warn(
                f"momentum={group['momentum']} is above 1: the velocity grows without bound; 0.9 is usual",
                UserWarning,
                stacklevel=4,
            )
        return group

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
        return {"v": None} if group["momentum"] else {}

    @staticmethod
    def takes_sparse(group: dict[str, Any]) -> str:
        return "whole" if group["momentum"] else "rows"  # a row goes on by its velocity

    @staticmethod
    def rule(p, g, v=None, *, lr, momentum, dampening, weight_decay, nesterov):
        p, g = decay(p, g, lr, weight_decay)
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        return {"p": p - lr * g, "v": v}


class ASGD(Elementwise):
    """Step with a falling learning rate, and average the points that were passed.
    用逐渐减小的学习率走，并对走过的点取平均。

    Update (t > t₀ + 2, where the average has begun):

    {update}

    The parameter is the last point, not the average: that is in ``state[p]["ax"]``, and is the parameter itself for t₀ + 2
    steps. At the default t₀ of a million, most runs never average.

    Arguments:
        {params}
        {lr}
        lambd: Λ, >= 0; how fast the learning rate falls, and a decay of the parameter by Λη_t a step.
        alpha: α, >= 0; the power by which the learning rate falls.
        t0: t₀, >= 0; the step at which averaging begins.
        {weight_decay}
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"eta"`` η_t and ``"mu"`` μ_t, 0-d tensors; ``"ax"``, the average, like p.

    {raises}

    torch and the paper: torch keeps η_t and μ_t in the default dtype, float32, also for float64 parameters; here they have
    the wider of the two. Polyak and Juditsky average from the first step on.

    Sources: Polyak, Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on Control and
    Optimization, 1992. The schedule: Xu, "Towards Optimal One Pass Large Scale Learning with Averaged Stochastic Gradient
    Descent", arXiv 1107.2490, 2011.

    >>> from optimlab import optim, tensor
    >>> p = tensor([0.0], requires_grad=True)
    >>> opt = optim.ASGD([p], lr=0.5, lambd=0, t0=0)
    >>> for g in (-2.0, 2.0, -2.0, 2.0):  # to 1, 0, 1, 0: the mean of the last three
    ...     p.grad = tensor([g])
    ...     opt.step()
    >>> p, opt.state[p]["ax"]
    (tensor([0.], requires_grad=True), tensor([0.3333]))
    """

    letters = {"average": "ax"}
    numbers = {"eta": "eta", "mu": "mu"}
    shown = {"t": 9, "t0": 3}
    checks = {
        "lr": LR,
        "lambd": Number("Invalid lambd value: {value}", low=0),
        "alpha": Number("Invalid alpha value: {value}", low=0),
        "t0": Number("Invalid t0 value: {value}", low=0),
        "weight_decay": WEIGHT_DECAY,
        **flags("foreach", "maximize", "differentiable", "capturable"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
        return {"eta": group["lr"], "mu": 1.0, "average": 0.0}

    @staticmethod
    def rule(p, g, average, eta, mu, *, t, lr, lambd, alpha, t0, weight_decay):
        p, g = decay(p, g, lr, weight_decay)
        p = p * (1 - lambd * eta) - eta * g
        average = p if mu == 1 else average + mu * (p - average)
        eta = lr / (1 + lambd * lr * t) ** alpha
        mu = 1 / (t - t0) if t - t0 > 1 else 1.0
        return {"p": p, "average": average, "eta": eta, "mu": mu}


class Rprop(Elementwise):
    """Give each element a step of its own, which grows while its gradient keeps its sign and shrinks when the sign turns.
    每个元素各有自己的步长：梯度符号不变就加大，符号翻转就减小；只看符号，不看大小。

    Update (q is the gradient before, Δ the step):

    {update}

    Where the sign turned the element waits for a step, and the next gradient counts as a new beginning. Meant for gradients
    of the whole data set: on small batches signs turn by chance.

    Arguments:
        {params}
        lr: the first step Δ₀ of every element, >= 0.
        etas: (η⁻, η⁺), 0 < η⁻ < 1 < η⁺; the factors of a step that shrinks and of one that grows.
        step_sizes: (Δ_min, Δ_max), 0 <= Δ_min <= Δ_max; the bounds of a step, also of the first.
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"prev"`` q, the gradient before, and ``"step_size"`` Δ, like p.

    {raises}

    torch and the paper: Riedmiller and Braun go back to the point before where the sign turned; torch, like Igel and Hüsken's
    iRprop⁻, only waits.

    Sources: Riedmiller, Braun, "A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm", IEEE
    International Conference on Neural Networks, 1993. Igel, Hüsken, "Improving the Rprop Learning Algorithm", Symposium on
    Neural Computation, 2000.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.Rprop([p], lr=0.1)
    >>> for g in (3.0, 0.003):  # the size of a gradient does not count
    ...     p.grad = tensor([g])
    ...     opt.step()
    >>> p, opt.state[p]["step_size"]
    (tensor([0.7800], requires_grad=True), tensor([0.1200]))
    """

    letters = {"q": "prev", "delta": "step_size"}
    nonnegative = ("delta",)
    counts_steps = True
    checks = {
        "lr": LR,
        "etas": Numbers((Number(), Number())),
        "step_sizes": Numbers((Number(low=0), Number(low=0))),
        **flags("foreach", "maximize", "differentiable", "capturable"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @classmethod
    def check_group(cls, group: dict[str, Any]) -> None:
        super().check_group(group)
        (minus, plus), (low, high) = group["etas"], group["step_sizes"]
        if not 0 < minus < 1 < plus:
            raise ValueError(
                f"Invalid eta values: {minus}, {plus}; etas must be two numbers, 0 < etas[0] < 1 < etas[1]"
            )
        if low > high:
            raise ValueError(
                f"Invalid step_sizes: {low}, {high}; step_sizes must be the smallest step, then the largest"
            )

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
        return {"q": 0.0, "delta": group["lr"]}

    @staticmethod
    def rule(p, g, q, delta, *, etas, step_sizes):
        eta_minus, eta_plus = etas
        low, high = step_sizes
        change = g * q
        delta = np.where(change > 0, delta * eta_plus, np.where(change < 0, delta * eta_minus, delta))
        delta = np.minimum(np.maximum(delta, low), high)
        g = np.where(change < 0, 0, g)
        return {"p": np.where(g > 0, p - delta, np.where(g < 0, p + delta, p)), "q": g, "delta": delta}
