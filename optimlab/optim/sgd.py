"""Stochastic gradient descent and its momentum."""

from typing import Any

from optimlab.checks import Flag, Number
from optimlab.optim.elementwise import LR, MOMENTUM, WEIGHT_DECAY, Elementwise, decay, flags
from optimlab.optim.optimizer import ParamsT


class SGD(Elementwise):
    """Step against the gradient; with momentum, along a velocity that gathers past gradients.
    沿负梯度走一步；有动量时，沿着由过去的梯度积累成的速度走。

    Update (t > 1, with momentum and weight decay):

    {update}

    On the first step the velocity is the gradient itself, undamped. ``nesterov`` adds another μ times the velocity to the
    gradient; ``maximize`` turns the gradient round before anything else.

    Arguments:
        params: iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and options of their own.
        lr: learning rate η, >= 0; a one-element tensor is changed in place by schedules.
        momentum: μ, >= 0; the share of the velocity that a step keeps.
        dampening: τ in [0, 1]; the share of a new gradient that does not enter the velocity.
        weight_decay: λ, >= 0; adds λp to the gradient (an L2 penalty of λ/2 · p²).
        nesterov: look ahead by one velocity; needs momentum > 0 and dampening = 0.
        maximize: climb instead of descending.
        foreach, fused: accepted for torch's sake, without effect.
        differentiable: let gradients flow through the step.

    State: ``state[p]["momentum_buffer"]``, like p, from the first step with momentum.

    Raises TypeError for an argument of a wrong kind, ValueError for one out of range.

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

    @staticmethod
    def initial(group: dict[str, Any]) -> dict[str, Any]:
        return {"v": None} if group["momentum"] else {}

    @staticmethod
    def rule(p, g, v=None, *, lr, momentum, dampening, weight_decay, nesterov):
        p, g = decay(p, g, lr, weight_decay)
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        return {"p": p - lr * g, "v": v}


class ASGD(Elementwise):
    """Averaged SGD: step with a falling learning rate, and average where the steps went.
    平均随机梯度下降：用逐渐减小的学习率走，并对走过的点取平均。

    Update:

    {update}
    """

    letters = {"average": "ax"}
    numbers = {"eta": "eta", "mu": "mu"}
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

    @staticmethod
    def initial(group: dict[str, Any]) -> dict[str, Any]:
        return {"eta": group["lr"], "mu": 1.0, "average": 0.0}

    @staticmethod
    def rule(p, g, average, eta, mu, *, t, lr, lambd, alpha, t0, weight_decay):
        p, g = decay(p, g, lr, weight_decay)
        p = p * (1 - lambd * eta) - eta * g
        average = p if mu == 1 else average + mu * (p - average)
        eta = lr / (1 + lambd * lr * t) ** alpha
        mu = 1 / (t - t0) if t - t0 > 1 else 1.0
        return {"p": p, "average": average, "eta": eta, "mu": mu}
