"""Optimizers that learn the curvature from how the gradient changes: L-BFGS and nonlinear conjugate gradients.

从梯度的变化中了解曲率的优化器：L-BFGS 与非线性共轭梯度法。
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from optimlab.checks import Choice, Maybe, MissingError, Number
from optimlab.commit import commit
from optimlab.functional import TensorError
from optimlab.graph import enable_grad, no_grad
from optimlab.operators import shape_of
from optimlab.optim.elementwise import LR
from optimlab.optim.linesearch import Trial, strong_wolfe
from optimlab.optim.optimizer import Optimizer, ParamsT
from optimlab.tensor import Tensor

COUNT = Number(low=1, whole=True)
TOLERANCE = Number(low=0)
Vector = Any  # an array of one axis: all parameters behind one another


class Evaluation(NamedTuple):
    """What a closure returned, and in numbers: the loss f and the gradient g."""

    loss: Any
    f: float
    g: Vector


class Walk:
    """All parameters as one vector, which a closure evaluates. 把所有参数看成一个向量，由闭包求值。

    ``x`` is the last accepted point. A trial writes another one into the parameters; `rest` writes x back.
    """

    def __init__(self, params: list[Tensor], closure: Callable[[], Any]) -> None:
        self.params, self.closure, self.evaluations = params, closure, 0
        self.floating_errors = np.geterr()  # what the closure's NumPy does about them is the caller's choice
        self.x = np.concatenate([p._array.reshape(-1) for p in params])

    def put(self, x: Vector) -> list[tuple]:
        """The calls that give the parameters the values of x."""
        calls: list[tuple] = []
        start = 0
        for p in self.params:
            piece = x[start : start + p.numel()].reshape(p._array.shape)
            calls.append((partial(np.positive, out=p._array, casting="same_kind"), piece))
            calls.append((p._version.__setitem__, 0, p._version[0] + 1))
            start += p.numel()
        return calls

    def accept(self, x: Vector) -> list[tuple]:
        """The calls that put the parameters at x, to rest there from now on."""
        return [*self.put(x), (partial(np.positive, out=self.x), x)]

    def rest(self) -> None:
        """Put the parameters at the last accepted point."""
        commit(self.put(self.x))

    def evaluate(self, x: Vector, *, finite: bool = True) -> Evaluation:
        """Loss and gradient at x; the parameters stay there.

        Raises FloatingPointError where a number is NaN, or infinite; the loss may be infinite unless it must be ``finite``.
        """
        if x is not self.x:
            commit(self.put(x))
        with enable_grad(), np.errstate(**self.floating_errors):
            loss = self.closure()
        self.evaluations += 1
        f = _as_number(loss)
        if all(p.grad is None for p in self.params):
            warnings.warn("the closure left no gradient at any parameter; call loss.backward() in it", stacklevel=6)
        g = np.concatenate([_gradient(p).reshape(-1) for p in self.params])
        at_fault = f"loss of {f}" if not math.isfinite(f) else "gradient that is not finite"
        if (f == math.inf and finite) or not (f == math.inf or (math.isfinite(f) and np.isfinite(g).all())):
            raise FloatingPointError(
                f"the closure gave a {at_fault}; the parameters are back at the last point where all was finite: "
                "try a smaller lr, or line_search_fn='strong_wolfe'"
            )
        return Evaluation(loss, f, g)

    def trial(self, d: Vector, t: float) -> Trial:
        """The point t along d, as a line search asks for it; an infinite loss tells it that t is too large."""
        at = self.evaluate(self.x + t * d, finite=False)
        return Trial(t, at.f, at.g, at.g @ d)


def _as_number(loss: Any) -> float:
    if isinstance(loss, Tensor) and loss.numel() != 1:
        raise TensorError(
            f"a Tensor with {loss.numel()} elements cannot be converted to Scalar; closure must return the loss, one "
            "number: reduce it by .sum() or .mean()"
        )
    number = loss.item() if isinstance(loss, Tensor) else loss
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(
            f"Invalid loss: {loss!r:.60}; closure must return the loss, a tensor of one element or a number, "
            f"not {type(loss).__name__}"
        )
    return float(number)


def _gradient(p: Tensor) -> np.ndarray:
    """The gradient as an array; zeros where there is none."""
    Optimizer._check_gradient(p)
    return np.zeros_like(p._array) if p.grad is None else p.grad.to_dense()._array


def _wrapped(value: Any) -> Any:
    """What the state holds: tensors for arrays and for NumPy's numbers, in lists too."""
    if isinstance(value, list):
        return [_wrapped(x) for x in value]
    return Tensor._wrap(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def _unwrapped(value: Any) -> Any:
    if isinstance(value, list):
        return [_unwrapped(x) for x in value]
    return value._array[()] if isinstance(value, Tensor) else value


def _cautious(g: Vector, lr: float) -> float:
    """How far to try along -g when nothing is known of the scale: the moves of all elements add up to lr at most."""
    return min(1.0, 1.0 / np.abs(g).sum()) * lr


class Curvature(Optimizer):
    """Moves all parameters at once: a direction, then a step along it, and again. 先定方向，再定步长，反复迭代。

    A subclass gives ``direction(memory, g, group, lr)``, which returns what is to be remembered: the direction ``d``, the step
    to try first ``t``, and what they were made of. ``memory`` is that of the iteration before, its gradient
    ``prev_flat_grad`` and loss ``prev_loss`` included; it is kept as the state of the first parameter, for it is all
    parameters' together.
    """

    c2 = 0.9  # how flat a line search wants the slope, compared with the one it begins with
    kept: tuple[str, ...]  # the keys of the state, beside the two counts
    vectors: tuple[str, ...] = ("d", "prev_flat_grad")  # those with as many elements as all parameters together

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group of parameters; raises ValueError for a second one."""
        if self.param_groups:
            raise ValueError(
                f"{type(self).__name__} doesn't support per-parameter options (parameter groups); "
                "give all parameters in one group, for they are one vector to it"
            )
        super().add_param_group(param_group)

    @staticmethod
    def direction(memory: dict[str, Any], g: Vector, group: dict[str, Any], lr: float) -> dict[str, Any]:
        """What is to be remembered of this iteration: direction ``d``, first step ``t``, and what they were made of."""
        raise NotImplementedError

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        """Make up to ``max_iter`` iterations; returns the loss where they began. 最多迭代 ``max_iter`` 次，返回起点的损失。

        closure: clears the gradients, computes the loss, calls backward and returns the loss; called again and again.
        Whatever stops it early, an error in the closure or Ctrl-C, parameters and state are then those of the last accepted
        iteration. Raises TypeError or ValueError where the closure or what it returns does not fit, FloatingPointError where
        a loss or a gradient is not finite.
        """
        if not callable(closure):
            raise TypeError(
                f"Invalid closure: {closure!r}; {type(self).__name__} needs a function that returns the loss, for it "
                "evaluates the loss at several points"
            )
        group = self.param_groups[0]
        self._check_complete(group, self.checks)
        for p in group["params"]:
            self._check_gradient(p)
        walk, state = Walk(group["params"], closure), self.state.get(group["params"][0], {})
        self._check_state("of the parameters", state, walk.x)
        try:
            try:
                with np.errstate(all="ignore"):
                    return self._iterate(walk, group, state)
            finally:
                walk.rest()
        finally:  # once more, for Ctrl-C may have come just before the first
            walk.rest()

    def _iterate(self, walk: Walk, group: dict[str, Any], state: dict[str, Any]) -> Any:
        """The iterations of one step; the rules by which they end are torch's."""
        memory = {"func_evals": 0, "n_iter": 0} | {key: _unwrapped(value) for key, value in state.items()}
        evaluations, lr, max_eval = memory["func_evals"], float(group["lr"]), group["max_eval"]
        tolerance, searches = group["tolerance_change"], group.get("line_search_fn", "strong_wolfe")

        def record(*calls: tuple) -> None:
            memory["func_evals"] = evaluations + walk.evaluations
            new = {key: _wrapped(value) for key, value in memory.items()}
            commit([*calls, (state.update, new), (self.state.__setitem__, group["params"][0], state)])

        def optimal(g: Vector) -> bool:
            return np.abs(g).max(initial=0) <= group["tolerance_grad"]

        loss, f, g = walk.evaluate(walk.x)
        if optimal(g):
            record()
            return loss
        for n in range(1, group["max_iter"] + 1):
            memory["n_iter"] += 1
            memory |= self.direction(memory, g, group, lr) | {"prev_flat_grad": g, "prev_loss": f}
            d, t, slope = memory["d"], memory["t"], g @ memory["d"]
            if slope > -tolerance:
                record()
                break
            if searches:
                phi, start, least = partial(walk.trial, d), Trial(0, f, g, slope), tolerance / np.abs(d).max()
                most = max_eval - walk.evaluations or 25  # max_iter=1 leaves nothing for the first search
                t, f, g, _ = strong_wolfe(phi, start, t, c1=1e-4, c2=self.c2, least=least, most=most)
            elif n < group["max_iter"]:
                _, f, g = walk.evaluate(walk.x + t * d)
            memory["t"] = t
            record(*walk.accept(walk.x + t * d))
            if walk.evaluations >= max_eval or optimal(g):
                break
            if np.abs(t * d).max() <= tolerance or abs(f - memory["prev_loss"]) < tolerance:
                break
        return loss

    # ---- the state

    def _check_state(self, whose: str, state: dict[str, Any], x: Vector) -> None:
        """Raise ValueError or TypeError unless the iterations can go on from ``state``, with parameters like ``x``."""
        if not state:
            return
        begun = any(key in state for key in self.kept)
        if missing := [key for key in ("func_evals", "n_iter", *self.kept * begun) if key not in state]:
            raise MissingError(
                f"the state {whose} lacks {', '.join(missing)}; {type(self).__name__} needs it: {list(state)}"
            )
        for key in ("func_evals", "n_iter"):
            Number(low=0, whole=True)(f"{key} {whose}", state[key])
        lists = {key: len(state[key]) for key in self.kept * begun if isinstance(state[key], list)}
        if len(set(lists.values())) > 1:
            raise ValueError(f"the lists in the state {whose} must be of one length; they have {lists}")
        for key in self.kept * begun:
            for value in state[key] if key in lists else [state[key]]:
                if key not in self.vectors:
                    Number()(f"{key} {whose}", value)
                elif not isinstance(value, Tensor):
                    raise TypeError(f"{key} {whose} must be a Tensor, not {type(value).__name__}")
                elif value._array.shape != x.shape or value._array.dtype != x.dtype:
                    raise ValueError(
                        f"{key} {whose} is {shape_of(value)} {value.dtype}; it must be {x.shape} {x.dtype}, like all "
                        "parameters behind one another"
                    )

    def _loaded_state(self, key: Any, values: Any, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        like = np.concatenate([q._array.reshape(-1) for q in group["params"]])

        def cast(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return [cast(x) for x in value]
            return Tensor(value, dtype=like.dtype) if isinstance(value, (Tensor, np.ndarray)) else value

        state = {name: cast(value) for name, value in super()._loaded_state(key, values, p, group).items()}
        self._check_state(f"of parameter {key!r}", state, like)
        return state


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


class LBFGS(Curvature):
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
        "lr": LR,
        "max_iter": COUNT,
        "max_eval": COUNT,
        "tolerance_grad": TOLERANCE,
        "tolerance_change": TOLERANCE,
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
            return {"d": -g, "t": _cautious(g, lr), "old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1}
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
    "hestenes-stiefel": lambda g, g_, d_: g @ (g - g_) / (d_ @ (g - g_)),
}


class ConjugateGradient(Curvature):
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
    \beta^{\text{HS}}_{k} &= \frac{g_{k} \cdot (g_{k} - g_{k-1})}{d_{k-1} \cdot (g_{k} - g_{k-1})}
    \end{aligned}

    The step t is found by the line search of L-BFGS, which here wants the slope at a tenth of what it was (c₂ = 0.1). On a
    quadratic with exact steps all three are the same, and n steps for n parameters are enough.

    Arguments:
        params: iterable of tensors, or of (name, tensor) pairs; one group only.
        lr: scales the first t tried after a restart, >= 0; later tries begin where f should fall as much as the last time.
        max_iter: iterations of one ``step``, >= 1.
        max_eval: calls of the closure after which one ``step`` ends, >= 1; None for max_iter · 4.
        tolerance_grad: end where no element of the gradient is larger; >= 0.
        tolerance_change: end where no parameter moved by more, or the loss changed by less; >= 0.
        beta: "fletcher-reeves", "polak-ribiere" (never negative: PR+), or "hestenes-stiefel".
        restart: iterations after which to begin anew with d = -g, >= 1; None for one more than there are elements. It begins
            anew, too, where d would not descend.

    State, at the first parameter, n elements in all: ``"func_evals"`` and ``"n_iter"``, counted over all steps; ``"d"`` and
    ``"prev_flat_grad"`` (n,); ``"t"``; ``"prev_loss"``; ``"since_restart"``.

    Raises TypeError for an argument of a wrong kind, ValueError for one out of range.

    torch has no conjugate gradients; options, state and stopping are those of its L-BFGS.

    Sources: Hestenes, Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", Journal of Research of the National
    Bureau of Standards 49, 1952. Fletcher, Reeves, "Function minimization by conjugate gradients", The Computer Journal 7,
    1964. Polak, Ribière, "Note sur la convergence de méthodes de directions conjuguées", Revue française d'informatique et de
    recherche opérationnelle 3, 1969. Gilbert, Nocedal, "Global Convergence Properties of Conjugate Gradient Methods for
    Optimization", SIAM Journal on Optimization 2, 1992 (PR+).

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
        "lr": LR,
        "max_iter": COUNT,
        "max_eval": COUNT,
        "tolerance_grad": TOLERANCE,
        "tolerance_change": TOLERANCE,
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
        return {"d": -g, "t": _cautious(g, lr), "since_restart": 0}
