"""Adam and its relatives: six rules of a dozen lines; the rest of the file is what ``help`` shows. Adam 及其变体。"""

from typing import Any

import numpy as np

from optimlab.checks import Flag, Number, Numbers
from optimlab.optim.elementwise import BETAS, EPS, LR, WEIGHT_DECAY, Betas, Elementwise, decay, flags
from optimlab.optim.optimizer import ParamsT
from optimlab.tensor import Tensor


class Adam(Elementwise):
    """Divide a running mean of the gradient by the root of a running mean of its square.
    步长是梯度的滑动平均，除以梯度平方的滑动平均的平方根。

    Update (with weight decay):

    {update}

    ``decoupled_weight_decay`` shrinks p by 1 - ηλ instead of adding λp to the gradient (then the method is AdamW);
    ``amsgrad`` divides by the largest v so far.

    Arguments:
        {params}
        lr: learning rate η, >= 0; about the size of a step. A one-element tensor is changed in place by schedules.
        {betas}
        {eps}
        {weight_decay}
        amsgrad: keep the maximum of v (Reddi et al.).
        {ignored}
        {maximize}
        {differentiable}
        decoupled_weight_decay: decay p itself, not through the gradient.

    State: {step}; ``"exp_avg"`` m and ``"exp_avg_sq"`` v, like p; with amsgrad ``"max_exp_avg_sq"``, like p.

    {raises}

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
    nonnegative = ("v", "v_max")
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

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
        return {"m": 0.0, "v": 0.0, "v_max": 0.0} if group["amsgrad"] else {"m": 0.0, "v": 0.0}

    @staticmethod
    def rule(p, g, m, v, v_max=None, *, t, lr, betas, eps, weight_decay, decoupled_weight_decay, amsgrad):
        beta1, beta2 = betas
        p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        if amsgrad:
            v_max = np.maximum(v_max, v)
        correction = (1 - beta2**t) ** 0.5
        denominator = np.sqrt(v_max if amsgrad else v) + eps * correction
        step_size = lr * correction / (1 - beta1**t)
        return {"p": p - step_size * (m / denominator), "m": m, "v": v, "v_max": v_max}


class AdamW(Adam):
    """Adam whose weight decay is decoupled: p shrinks by itself, whatever the size of its gradients.
    权重衰减与梯度解耦的 Adam：参数自身按比例缩小，与梯度大小无关。

    Update:

    {update}

    Arguments:
        {params}
        {lr}
        {betas}
        {eps}
        weight_decay: λ, >= 0; a step shrinks p by the factor 1 - ηλ, ahead of everything else.
        amsgrad: keep the maximum of v (Reddi et al.).
        {maximize}
        {differentiable}
        {ignored}

    State: that of Adam.

    {raises}

    torch and the paper: torch decays by ηλ, with the whole learning rate; the paper by λ times the schedule's factor alone. So
    the paper's λ is torch's times the first learning rate.

    Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.AdamW([p], lr=0.1, weight_decay=0.5)
    >>> p.grad = tensor([0.0])
    >>> opt.step()  # Adam with the same λ would go a whole 0.1
    >>> p
    tensor([0.9500], requires_grad=True)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        Elementwise.__init__(self, params, locals() | {"decoupled_weight_decay": True})

    @classmethod
    def check_group(cls, group: dict[str, Any]) -> None:
        super().check_group(group)
        if not group["decoupled_weight_decay"]:
            raise ValueError("AdamW has decoupled_weight_decay=True; a state or group of Adam belongs in optim.Adam")


class Adamax(Elementwise):
    """Adam with a maximum in place of the root mean square: divide by the largest gradient, slowly forgotten.
    用“缓慢遗忘的最大梯度”代替均方根的 Adam。

    Update:

    {update}

    Arguments:
        {params}
        {lr}
        {betas}
        eps: ε, >= 0; added to the size of each gradient.
        {weight_decay}
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"exp_avg"`` m and ``"exp_inf"`` u, like p.

    {raises}

    torch and the paper: the paper has no ε, so where the first gradient is 0 it divides 0 by 0.

    Source: Kingma, Ba, "Adam: A Method for Stochastic Optimization", section 7.1, ICLR 2015.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.Adamax([p], lr=0.1)
    >>> for g in (3.0, 0.3):
    ...     p.grad = tensor([g])
    ...     opt.step()
    >>> p
    tensor([0.8473], requires_grad=True)
    """

    letters = {"m": "exp_avg", "u": "exp_inf"}
    nonnegative = ("u",)
    checks = {
        "lr": LR,
        "betas": Numbers(BETAS),
        "eps": EPS,
        "weight_decay": WEIGHT_DECAY,
        **flags("foreach", "maximize", "differentiable", "capturable"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @staticmethod
    def rule(p, g, m, u, *, t, lr, betas, eps, weight_decay):
        beta1, beta2 = betas
        p, g = decay(p, g, lr, weight_decay)
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + eps)
        step_size = lr / (1 - beta1**t)
        return {"p": p - step_size * m / u, "m": m, "u": u}


class NAdam(Elementwise):
    """Adam with Nesterov's momentum: the step is taken with the mean of one step ahead.
    带 Nesterov 动量的 Adam：用提前一步的均值来走。

    Update:

    {update}

    The momentum μ_t warms up, from about half of β₁ to β₁.

    Arguments:
        {params}
        {lr}
        {betas}
        {eps}
        {weight_decay}
        momentum_decay: ψ, >= 0; how fast the momentum warms up.
        decoupled_weight_decay: decay p itself, not through the gradient, as AdamW does.
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"mu_product"`` Π, 0-d, the product of all μ so far; ``"exp_avg"`` m and ``"exp_avg_sq"`` v, like p.

    {raises}

    torch and the paper: the paper leaves the schedule of μ open, and proposes this one. torch keeps Π in the default dtype,
    float32, also for float64 parameters; here it has the wider of the two.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR 2016, workshop track.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.NAdam([p], lr=0.1)
    >>> for g in (3.0, 0.3):
    ...     p.grad = tensor([g])
    ...     opt.step()
    >>> p
    tensor([0.8777], requires_grad=True)
    """

    letters = {"m": "exp_avg", "v": "exp_avg_sq"}
    nonnegative = ("v",)
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

    @classmethod
    def initial(cls, group: dict[str, Any]) -> dict[str, Any]:
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
        correction = (1 - beta2**t) ** 0.5
        step_size = lr * correction
        step = step_size * (1 - mu) / (1 - mu_product) * g + step_size * mu_next / (1 - mu_product * mu_next) * m
        return {"p": p - step / (np.sqrt(v) + eps * correction), "m": m, "v": v, "mu_product": mu_product}


class RAdam(Elementwise):
    """Adam that waits for its denominator: while few squares have been seen, it steps with the mean alone.
    等分母可靠了才用它的 Adam：看过的梯度平方还太少时，只用均值来走。

    Update (once ρ_t > 5):

    {update}

    ρ_t is about the number of squares that v averages. While it is at most 5 the step has neither denominator nor r; at the
    default β₂ the first step with them is t = 6. Then r grows from nearly 0 to 1, which is a warm-up.

    Arguments:
        {params}
        {lr}
        {betas}
        eps: ε, >= 0; added to the root of v, ahead of the bias correction.
        {weight_decay}
        decoupled_weight_decay: decay p itself, not through the gradient, as AdamW does.
        {ignored}
        {maximize}
        {differentiable}

    State: {step}; ``"exp_avg"`` m and ``"exp_avg_sq"`` v, like p. It is that of Adam: ``load_state_dict`` takes Adam's, too,
    as torch does, and goes on from there.

    {raises}

    torch and the paper: the paper divides as soon as ρ_t > 4, torch when ρ_t > 5; the paper has no ε.

    Source: Liu, Jiang, He, Chen, Liu, Gao, Han, "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020.

    >>> from optimlab import optim, tensor
    >>> p = tensor([1.0], requires_grad=True)
    >>> opt = optim.RAdam([p], lr=0.1)
    >>> for _ in range(6):  # five steps of a whole gradient, then one of a small share
    ...     p.grad = tensor([1.0])
    ...     opt.step()
    >>> p
    tensor([0.4974], requires_grad=True)
    """

    letters = {"m": "exp_avg", "v": "exp_avg_sq"}
    nonnegative = ("v",)
    shown = {"t": 9}
    checks = {
        "lr": LR,
        "betas": Numbers(BETAS),
        "eps": EPS,
        "weight_decay": WEIGHT_DECAY,
        **flags("maximize", "foreach", "capturable", "decoupled_weight_decay", "differentiable"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, locals())

    @staticmethod
    def rule(p, g, m, v, *, t, lr, betas, eps, weight_decay, decoupled_weight_decay):
        beta1, beta2 = betas
        p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        step_size = lr / (1 - beta1**t)
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho <= 5:
            return {"p": p - step_size * m, "m": m, "v": v}
        rectified = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
        denominator = (np.sqrt(v) + eps) / (1 - beta2**t) ** 0.5
        return {"p": p - step_size * rectified * (m / denominator), "m": m, "v": v}


class SparseAdam(Elementwise):
    """Adam for gradients of a few rows: a row and its moments move only when the row has a gradient.
    面向稀疏梯度的 Adam：某一行有梯度时，这一行和它的滑动平均才更新。

    Update, of the rows that the gradient has:

    {update}

    The step t is counted for the parameter, not for its rows; rows that are absent keep their moments undiminished.

    Arguments:
        {params}
        lr: η, > 0; a one-element tensor is changed in place by schedules, which may bring it to 0.
        {betas}
        eps: ε, > 0; added to the root.
        {maximize}

    State: ``state[p]["step"]``, the number of steps as an int; ``"exp_avg"`` m and ``"exp_avg_sq"`` v, like p.

    Raises RuntimeError for a gradient that is not sparse, TypeError for an argument of a wrong kind, ValueError for one out of
    range.

    torch and the paper: here ε is added before the correction of v, as in the faster form at the end of the paper's section
    2; in Adam, after. A coarser difference: m and v of Adam fall off in the steps where a row has no gradient.

    Source: Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    >>> from optimlab import optim, sparse_coo_tensor, zeros
    >>> p = zeros(3, 2, requires_grad=True)
    >>> opt = optim.SparseAdam([p], lr=0.1)
    >>> p.grad = sparse_coo_tensor([[1]], [[1.0, -5.0]], (3, 2))  # a gradient for row 1 alone
    >>> opt.step()
    >>> p
    tensor([[ 0.0000,  0.0000],
            [-0.1000,  0.1000],
            [ 0.0000,  0.0000]], requires_grad=True)
    """

    letters = {"m": "exp_avg", "v": "exp_avg_sq"}
    nonnegative = ("v",)
    checks = {
        "lr": LR,  # 0 is where schedules end
        "betas": Numbers(BETAS),
        "eps": Number("Invalid epsilon value: {value}", low=0, above=True),
        **flags("maximize"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        Number("Invalid learning rate: {value}", low=0, above=True)("lr", lr)
        super().__init__(params, locals())

    @staticmethod
    def takes_sparse(group: dict[str, Any]) -> str:
        return "rows"

    def _checked_state(self, p: Tensor, initial: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError(
            "SparseAdam does not support dense gradients, please consider Adam instead; or call .to_sparse(1) on the gradient"
        )

    def _new_state(self, p: Tensor, initial: dict[str, Any]) -> dict[str, Any]:
        return super()._new_state(p, initial) | {"step": 0}  # torch keeps an int here, and a tensor elsewhere

    def _check_state(self, whose: str, state: dict[str, Any], p: Tensor, initial: dict[str, Any]) -> None:
        if "step" in state:
            state = state | {"step": Tensor(float(Number(low=0)(f"step {whose}", state["step"])))}
        super()._check_state(whose, state, p, initial)

    def _loaded_state(self, key: Any, values: Any, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = super()._loaded_state(key, values, p, group)
        return state | {"step": int(state["step"])} if state else state

    @staticmethod
    def rule(p, g, m, v, *, t, lr, betas, eps):
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        step_size = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        return {"p": p - step_size * (m / (np.sqrt(v) + eps)), "m": m, "v": v}
