"""Optimizers that learn the curvature from how the gradient changes: L-BFGS and nonlinear conjugate gradients.

从梯度的变化中了解曲率的优化器：L-BFGS 与非线性共轭梯度法。
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optimlab.checks import Check, Choice, Maybe, Number
from optimlab.functional import TensorError
from optimlab.optim.elementwise import LR
from optimlab.optim.optimizer import ParamsT
from optimlab.optim.walk import Vector, Walker

COUNT = Number(low=1, whole=True)
TOLERANCE = Number(low=0)
LIMITS: dict[str, Check] = {
    "lr": LR,
    "max_iter": COUNT,
    "max_eval": COUNT,
    "tolerance_grad": TOLERANCE,
    "tolerance_change": TOLERANCE,
}


def cautious(g: Vector, lr: float) -> float:
    """How far to try along -g when nothing is known of the scale: the moves of all elements add up to lr at most.

    还不知道尺度时的第一步：所有元素的位移之和不超过 lr。
    """
    return min(1.0, 1.0 / np.abs(g).sum()) * lr


def two_loop(
    q: Vector, Y: Sequence[Vector], S: Sequence[Vector], rho: Sequence[float], gamma: float
) -> tuple[Vector, list[float]]:
    """H q without ever writing H down; and the α on the way. 不写出矩阵 H 就算出 H q 的两次循环。

    H begins as γI; each pair of a step s and the change y of the gradient over it, the oldest first, turns it into
    ``(I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ`` with ρ = 1 / yᵀs, the smallest change to H after which H y = s.
    """
    alpha = [0.0] * len(S)
    for i in reversed(range(len(S))):
        alpha[i] = rho[i] * (S[i] @ q)
        q = q - alpha[i] * Y[i]
    r = gamma * q
    for i in range(len(S)):
        beta = rho[i] * (Y[i] @ r)
        r = r + (alpha[i] - beta) * S[i]
    return r, alpha


class LBFGS(Walker):
    r"""A quasi-Newton method: from the last steps and how the gradient changed over them, guess the inverse of the Hessian.
    拟牛顿法：由最近几步的位移和梯度变化，估计海森矩阵的逆。

    Update, over all parameters x as one vector with the gradient g:

    \begin{aligned}
    d_{k} &= -H_{k} \cdot g_{k} \\
    x_{k+1} &= x_{k} + t_{k}\,d_{k} \\
    s_{k} &= x_{k+1} - x_{k} \\
    y_{k} &= g_{k+1} - g_{k} \\
    \rho_{k} &= \frac{1}{y_{k}^{\top} \cdot s_{k}} \\
    V_{k} &= I - \rho_{k}\,y_{k} \cdot s_{k}^{\top} \\
    H_{k+1} &= V_{k}^{\top} \cdot H_{k} \cdot V_{k} + \rho_{k}\,s_{k} \cdot s_{k}^{\top}
    \end{aligned}

    Of H only the last ``history_size`` pairs are kept (`two_loop`), on top of γI with γ = sᵀy / yᵀy of the newest. A pair is
    left out where yᵀs <= 1e-10. The step t is ``lr`` (the very first one shorter), or what a line search finds from there.

    Arguments:
        params: iterable of tensors, or of (name, tensor) pairs; one group only.
        lr: t, or with a line search the first t tried; >= 0. 1 is the step a quadratic wants.
        max_iter: iterations of one ``step``, >= 1.
        max_eval: calls of the closure after which one ``step`` ends, >= 1; None for max_iter · 5 / 4.
        tolerance_grad: end where no element of the gradient is larger; >= 0.
        tolerance_change: end where no parameter moved by more, or the loss changed by less; >= 0.
        history_size: how many pairs to keep, >= 1; each is as large as two copies of the parameters.
        line_search_fn: None, or "strong_wolfe".

    State, at the first parameter, n elements in all: ``"func_evals"`` and ``"n_iter"``, counted over all steps; ``"d"`` and
    ``"prev_flat_grad"`` (n,); ``"old_dirs"`` y and ``"old_stps"`` s, lists of (n,); ``"ro"`` ρ; ``"al"`` α; ``"H_diag"`` γ;
    ``"t"``; ``"prev_loss"``.

    Raises TypeError for an argument of a wrong kind, ValueError for one out of range.

    torch and the paper: Liu and Nocedal always search along the line, and scale by γ as here. torch goes on through a loss
    of NaN and stays wherever an error in the closure finds it; here parameters and state stay at the last accepted iteration.
    torch's ``max_iter=1`` leaves its line search no evaluations, so that it never moves; here it has 25.

    Sources: Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", Mathematics of Computation 35, 1980. Liu, Nocedal,
    "On the limited memory BFGS method for large scale optimization", Mathematical Programming 45, 1989.

    >>> from optimlab import optim, tensor
    >>> p = tensor([-1.2, 1.0], requires_grad=True)
    >>> opt = optim.LBFGS([p], max_iter=100, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2  # Rosenbrock's valley; its lowest point is (1, 1)
    ...     loss.backward()
    ...     return loss
    >>> opt.step(closure)
    tensor(24.2000, grad_fn=<AddBackward0>)
    >>> print(f"{p[0].item():.2f} {p[1].item():.2f}")
    1.00 1.00
    """

    checks = {
        **LIMITS,
        "history_size": COUNT,
        "line_search_fn": Choice((None, "strong_wolfe"), "only 'strong_wolfe' is supported", TensorError),
    }
    kept = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")
    vectors = ("d", "prev_flat_grad", "old_dirs", "old_stps")

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = int(COUNT("max_iter", max_iter)) * 5 // 4
        super().__init__(params, self.named(locals()))

    @staticmethod
    def direction(memory: dict[str, Any], g: Vector, group: dict[str, Any], lr: float) -> dict[str, Any]:
        """-H g, after H has learned from the last step."""
        if memory["n_iter"] == 1:
            return {"d": -g, "t": cautious(g, lr), "old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1}
        Y, S, rho, gamma = (memory[key] for key in ("old_dirs", "old_stps", "ro", "H_diag"))
        s, y = memory["t"] * memory["d"], g - memory["prev_flat_grad"]
        m, ys = group["history_size"], y @ s
        if ys > 1e-10:  # the curvature along s is positive, so H stays positive definite
            Y, S, rho, gamma = [*Y, y][-m:], [*S, s][-m:], [*rho, 1 / ys][-m:], ys / (y @ y)
        d, alpha = two_loop(-g, Y, S, rho, gamma)
        alpha += [None] * (m - len(alpha))  # type: ignore[list-item]
        return {"d": d, "t": lr, "old_dirs": Y, "old_stps": S, "ro": rho, "H_diag": gamma, "al": alpha}


# β by the gradient g, the gradient g_ and the direction d_ of the iteration before
BETA: dict[str, Callable[[Vector, Vector, Vector], float]] = {
    "fletcher-reeves": lambda g, g_, d_: (g @ g) / (g_ @ g_),
    "polak-ribiere": lambda g, g_, d_: max(0.0, g @ (g - g_) / (g_ @ g_)),
    "hestenes-stiefel": lambda g, g_, d_: max(0.0, g @ (g - g_) / (d_ @ (g - g_))),
}


class ConjugateGradient(Walker):
    r"""Bend each steepest descent towards the last direction, so that a step does not undo what the last one gained.
    共轭梯度法：让最速下降方向偏向上一个方向，使这一步不破坏上一步的成果。

    Update, over all parameters x as one vector with the gradient g:

    \begin{aligned}
    d_{k} &= -g_{k} + \beta_{k}\,d_{k-1} \\
    x_{k+1} &= x_{k} + t_{k}\,d_{k}
    \end{aligned}

    with one of

    \begin{aligned}
    \beta^{\text{FR}}_{k} &= \frac{g_{k} \cdot g_{k}}{g_{k-1} \cdot g_{k-1}} \\
    \beta^{\text{PR+}}_{k} &= \max(0, \frac{g_{k} \cdot (g_{k} - g_{k-1})}{g_{k-1} \cdot g_{k-1}}) \\
    \beta^{\text{HS+}}_{k} &= \max(0, \frac{g_{k} \cdot (g_{k} - g_{k-1})}{d_{k-1} \cdot (g_{k} - g_{k-1})})
    \end{aligned}

    The step t is found by the line search of L-BFGS, which here wants the slope at a tenth of what it was (c₂ = 0.1). On a
    quadratic with exact steps all three are the same, and n steps for n parameters are enough. Elsewhere that of Fletcher and
    Reeves may go on for long in a direction that has become poor (Powell 1977); the others forget it at once.

    Arguments:
        params: iterable of tensors, or of (name, tensor) pairs; one group only.
        lr: scales the first t tried after a restart, >= 0; later tries begin where f should fall as much as the last time.
        max_iter: iterations of one ``step``, >= 1.
        max_eval: calls of the closure after which one ``step`` ends, >= 1; None for max_iter · 4.
        tolerance_grad: end where no element of the gradient is larger; >= 0.
        tolerance_change: end where no parameter moved by more, or the loss changed by less; >= 0.
        beta: "fletcher-reeves", "polak-ribiere" or "hestenes-stiefel"; the last two never negative (PR+, HS+).
        restart: iterations after which to begin anew with d = -g, >= 1; None for one more than there are elements. It begins
            anew, too, where d would not descend.

    State, at the first parameter, n elements in all: ``"func_evals"`` and ``"n_iter"``, counted over all steps; ``"d"`` and
    ``"prev_flat_grad"`` (n,); ``"t"``; ``"prev_loss"``; ``"since_restart"``.

    Raises TypeError for an argument of a wrong kind, ValueError for one out of range.

    torch has no conjugate gradients; options, state and stopping are those of its L-BFGS.

    Sources: Hestenes, Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", Journal of Research of the National
    Bureau of Standards 49, 1952. Fletcher, Reeves, "Function minimization by conjugate gradients", The Computer Journal 7,
    1964. Polak, Ribière, "Note sur la convergence de méthodes de directions conjuguées", Revue française d'informatique et de
    recherche opérationnelle 3, 1969. Powell, "Restart procedures for the conjugate gradient method", Mathematical Programming
    12, 1977. Gilbert, Nocedal, "Global Convergence Properties of Conjugate Gradient Methods for Optimization", SIAM Journal on
    Optimization 2, 1992 (PR+).

    >>> from optimlab import optim, tensor
    >>> p = tensor([4.0, 1.0], requires_grad=True)
    >>> opt = optim.ConjugateGradient([p])
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = (p[0] ** 2 + 10 * p[1] ** 2) / 2
    ...     loss.backward()
    ...     return loss
    >>> opt.step(closure)
    tensor(13., grad_fn=<DivBackward0>)
    >>> closure().item() < 1e-9
    True
    """

    c2 = 0.1
    checks = {
        **LIMITS,
        "beta": Choice(tuple(BETA)),
        "restart": Maybe(COUNT),
    }
    kept = ("d", "t", "prev_flat_grad", "prev_loss", "since_restart")

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        beta: str = "polak-ribiere",
        restart: int | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = int(COUNT("max_iter", max_iter)) * 4
        super().__init__(params, self.named(locals()))

    @staticmethod
    def direction(memory: dict[str, Any], g: Vector, group: dict[str, Any], lr: float) -> dict[str, Any]:
        """-g + β d, or -g at a restart."""
        since = memory.get("since_restart", 0) + 1
        if memory["n_iter"] > 1 and since < (group["restart"] or g.size + 1):
            d_, g_ = memory["d"], memory["prev_flat_grad"]
            d = -g + BETA[group["beta"]](g, g_, d_) * d_
            t = memory["t"] * (g_ @ d_) / (g @ d)  # to first order, f falls by as much as the last time
            if g @ d < 0 < t:
                return {"d": d, "t": t, "since_restart": since}
        return {"d": -g, "t": cautious(g, lr), "since_restart": 0}
