"""Optimizers that see a matrix as a matrix: Adafactor and Muon.

把矩阵当作矩阵来看的优化器：Adafactor 与 Muon。
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from optimlab.checks import Check, Choice, Flag, Maybe, MissingError, Number, Numbers
from optimlab.commit import commit
from optimlab.graph import no_grad
from optimlab.optim.elementwise import EPS, _number, flags
from optimlab.optim.optimizer import Optimizer, ParamsT
from optimlab.optim.plan import plain
from optimlab.optim.stepping import tell_overflow
from optimlab.tensor import Tensor

Array = np.ndarray


def lerp(a: Array, b: Array, weight: float) -> Array:
    """a + weight · (b - a); from the nearer end, as torch computes it. 线性插值，从较近的一端算起。"""
    return a + weight * (b - a) if weight < 0.5 else b - (1 - weight) * (b - a)


class Planned(Optimizer):
    """An optimizer that computes everything new beside the old, and then puts it in place at once.
    先把新值全部算好，再一次性放进去的优化器。

    A subclass gives ``update(p, g, *state, t, **options)``, a static method on arrays that returns new ones by letter;
    ``letters``, torch's key for each letter of the state; ``shapes(p)``, the letters in use with the shape of their
    arrays, which begin as zeros; and whether it ``counts_steps``.
    """

    letters: dict[str, str] = {}
    nonnegative: tuple[str, ...] = ()  # letters that are means of squares
    counts_steps = False
    update: Callable[..., dict[str, Any]]

    @staticmethod
    def shapes(p: Array) -> dict[str, tuple[int, ...]]:
        """The letters of the state in use with the shapes of their arrays."""
        raise NotImplementedError

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what ``closure`` returns. 更新一步参数。

        closure: computes the loss anew, with backward, and returns it. Raises ValueError or TypeError where a gradient, a
        state or an option does not fit, and then nothing has changed.
        """
        loss = self._loss(closure)
        with np.errstate(all="ignore", over="call", call=self._overflow.setdefault):
            calls = [call for group in self.param_groups for call in self._plan(group)]
        commit(calls)
        return loss

    _after_step = tell_overflow

    def _plan(self, group: dict[str, Any]) -> Iterator[tuple]:
        """The calls that change the parameters of a group and their state."""
        self._check_complete(group, self.defaults)
        options = {k: plain(group[k]) for k in self.checks if k in group and k not in ("foreach", "maximize")}
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.grad.is_sparse:
                raise RuntimeError(
                    f"{type(self).__name__} does not support sparse gradients; call p.grad.to_dense(), or take SparseAdam"
                )
            self._check_gradient(p)
            state = self.state.get(p) or self._new_state(p)
            self._check_state("of a parameter", state, p)
            keys = {letter: self.letters[letter] for letter in self.shapes(p._array)}
            given = {letter: state[key]._array for letter, key in keys.items()} | options
            if self.counts_steps:
                given["t"] = state["step"].item() + 1
            g = p.grad._array
            new = {"p": p._array}
            if g.size:  # where there is nothing, there are no means of it
                new |= self.update(p._array, -g if group.get("maximize") else g, **given)
            for tensor, value in [(p, new["p"]), *((state[key], new.get(x)) for x, key in keys.items())]:
                if value is not None:
                    yield np.positive, np.asarray(value), tensor._array
                    yield tensor._version.__setitem__, 0, tensor._version[0] + 1
            if self.counts_steps:
                yield state["step"]._array.fill, given["t"]
            yield self.state.__setitem__, p, state

    def _new_state(self, p: Tensor) -> dict[str, Any]:
        """The state before the first step."""
        state = {"step": _number("step", 0.0, p)} if self.counts_steps else {}
        shapes = self.shapes(p._array).items()
        return state | {self.letters[x]: Tensor._wrap(np.zeros(shape, p._array.dtype)) for x, shape in shapes}

    def _check_state(self, whose: str, state: dict[str, Any], p: Tensor) -> None:
        """Raise ValueError or TypeError unless ``state`` is one that the update can go on from."""
        shapes = {self.letters[letter]: shape for letter, shape in self.shapes(p._array).items()}
        for key in [*(["step"] if self.counts_steps else []), *shapes]:
            if key not in state:
                raise MissingError(f"the state {whose} has no {key!r}; {type(self).__name__} needs it: {list(state)}")
            self._check_tensor(f"{key} {whose}", state[key], shapes.get(key), p.dtype)
        if self.counts_steps:
            Number(low=0)(f"step {whose}", state["step"])

    def _loaded_state(self, key: Any, values: Any, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if isinstance(values, dict):
            values = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in values.items()}
            if "step" in values:
                values["step"] = _number("step", Number(low=0)("step", values["step"]), p)
        state = super()._loaded_state(key, values, p, group)
        if state:
            self._check_state(f"of parameter {key!r}", state, p)
            for name in (self.letters[letter] for letter in self.nonnegative):
                if name in state and not (state[name]._array >= 0).all():
                    raise ValueError(f"{name} of parameter {key!r} has a negative number or NaN; all must be >= 0")
        return state


def rms(x: Array) -> float:
    """The root of the mean square of all elements. 均方根。"""
    return float(np.sqrt(np.mean(x * x)))


class Adafactor(Planned):
    r"""Adam's second moment in less memory: of a matrix, remember the mean of each row and of each column only.
    省内存的二阶矩：对矩阵只记住每行与每列的均值。

    Update of a matrix p (m, n), R (m, 1) and C (1, n):

    \begin{aligned}
    \rho_{t} &\leftarrow \min(\eta, t^{-1/2}) \\
    \alpha_{t} &\leftarrow \rho_{t}\,\max(\epsilon_2, \operatorname{rms}(p_{t-1})) \\
    \beta_{t} &\leftarrow 1 - t^{\tau} \\
    R_{t} &\leftarrow \beta_{t}\,R_{t-1} + (1 - \beta_{t})\,\operatorname{mean}_{j}(g_{t}^{2}) \\
    C_{t} &\leftarrow \beta_{t}\,C_{t-1} + (1 - \beta_{t})\,\operatorname{mean}_{i}(g_{t}^{2}) \\
    \hat{V}_{t} &\leftarrow \frac{R_{t} \cdot C_{t}}{\max(\operatorname{mean}_{i}(R_{t}), \epsilon_1)} \\
    u_{t} &\leftarrow \frac{g_{t}}{\sqrt{\max(\hat{V}_{t}, \epsilon_1^{2})}} \\
    u'_{t} &\leftarrow \frac{u_{t}}{\max(1, \operatorname{rms}(u_{t}) / d)} \\
    p_{t} &\leftarrow (1 - \eta\,\lambda)\,p_{t-1} - \alpha_{t}\,u'_{t}
    \end{aligned}

    where rms is the root of the mean square. A vector or scalar keeps its whole second moment V; with three axes or more, the
    last two are the matrix. The step is a share ρ of the size of p itself, so lr has no unit.

    Arguments:
        params: iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and options of their own.
        lr: η, >= 0; the largest share ρ, and the rate of the weight decay.
        beta2_decay: τ, <= 0; how fast β rises to 1.
        eps: (ε₁, ε₂), each >= 0: the least root of V̂, None for the machine epsilon of p; the least size p counts with.
        d: >= 1; an update with a larger rms is shortened to it.
        weight_decay: λ, >= 0.
        foreach: accepted for torch's sake, without effect.
        maximize: climb instead of descending.

    State: ``state[p]["step"]``, a number of steps as a 0-d tensor; ``"row_var"`` R (..., m, 1) and ``"col_var"`` C (..., 1, n),
    or ``"variance"`` V like p.

    Raises TypeError for an argument of a wrong kind, ValueError for one out of range.

    torch and the paper: the paper sums over rows and columns where torch has means, which is the same. It adds ε₁ to g²,
    and has no lr: ρ = min(0.01, 1 / √t). In a group of several dtypes torch takes the ε₁ of the first for all; here each
    parameter has its own. torch divides by zero at a parameter without elements, which here is left as it is.

    Source: Shazeer, Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018, arXiv:1804.04235.

    >>> from optimlab import optim, tensor
    >>> p = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> opt = optim.Adafactor([p])
    >>> p.grad = tensor([[1.0, 2.0], [2.0, 4.0]])  # of rank 1: nothing is lost
    >>> opt.step()
    >>> p
    tensor([[0.9726, 1.9726],
            [2.9726, 3.9726]], requires_grad=True)
    """

    letters = {"R": "row_var", "C": "col_var", "V": "variance"}
    nonnegative = ("R", "C", "V")
    counts_steps = True
    checks: dict[str, Check] = {
        "lr": Number("Learning rate should be >= 0 but is: {value}", low=0),
        "beta2_decay": Number("beta2_decay should be <= 0 but is: {value}", high=0),
        "eps": Numbers(
            (
                Maybe(Number("epsilon1 should be >= 0 but is: {value}", low=0)),
                Number("epsilon2 should be >= 0 but is: {value}", low=0),
            )
        ),
        "d": Number("Clipping threshold d should be >= 1 but is: {value}", low=1),
        "weight_decay": Number("weight_decay should be >= 0 but is: {value}", low=0),
        **flags("foreach", "maximize"),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, self.named(locals()))

    @staticmethod
    def shapes(p: Array) -> dict[str, tuple[int, ...]]:
        if p.ndim < 2:
            return {"V": p.shape}
        return {"R": (*p.shape[:-1], 1), "C": (*p.shape[:-2], 1, p.shape[-1])}

    @staticmethod
    def update(p, g, R=None, C=None, V=None, *, t, lr, beta2_decay, eps, d, weight_decay):
        eps1, eps2 = eps
        if eps1 is None:
            eps1 = float(np.finfo(p.dtype).eps)
        rho = min(lr, t**-0.5)
        alpha = rho * max(eps2, rms(p))
        beta2 = 1 - t**beta2_decay
        g2 = g**2
        if g.ndim < 2:
            V = Vhat = lerp(V, g2, 1 - beta2)
        else:
            R = lerp(R, np.mean(g2, axis=-1, keepdims=True), 1 - beta2)
            C = lerp(C, np.mean(g2, axis=-2, keepdims=True), 1 - beta2)
            Vhat = R @ C / np.maximum(np.mean(R, axis=-2, keepdims=True), eps1)
        u = g / np.sqrt(np.maximum(Vhat, eps1**2))
        u = u / max(1, rms(u) / d)
        return {"p": (1 - lr * weight_decay) * p - alpha * u, "R": R, "C": C, "V": V}


def bfloat16(x: Array) -> Array:
    """x as float32, rounded to the 8 bits of fraction that bfloat16 keeps; halfway cases to the even neighbour.
    舍入到 bfloat16 的精度（8 位有效数字），结果仍存为 float32。"""
    x = np.asarray(x, np.float32)
    bits = x.view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return np.where(np.isnan(x), x, rounded.astype(np.uint32).view(np.float32))


def fma(s: float, x: Array, y: Array) -> Array:
    """s x + y with a single rounding, as processors fuse a multiplication and an addition. 融合乘加：只舍入一次。"""
    return (np.multiply(y.dtype.type(s), x, dtype=np.float64) + y).astype(y.dtype)


def newton_schulz(
    G: Array,
    coefficients: tuple[float, float, float],
    steps: int,
    eps: float,
    rounded: Callable[[Array], Array] = bfloat16,
) -> Array:
    """G with all its singular values driven towards 1, its singular vectors kept. 把 G 的奇异值都推向 1，奇异向量不变。

    On each singular value a step is the odd polynomial φ(x) = a x + b x³ + c x⁵. ``rounded`` is applied where torch rounds to
    bfloat16; for full precision pass the identity.
    """
    a, b, c = coefficients
    tall = G.shape[0] > G.shape[1]
    X = rounded(G.T if tall else G)
    X = rounded(
        X / rounded(np.maximum(rounded(np.linalg.norm(X, axis=(0, 1), keepdims=True)), eps))
    )  # no singular value is larger than 1
    for _ in range(steps):
        A = rounded(X @ X.T)
        B = rounded(fma(b, A, c * (A @ A)))
        X = rounded(fma(a, X, B @ X))
    return X.T if tall else X


class Muon(Planned):
    r"""Momentum, made orthogonal: every direction that the gradient points in at all gets a step of about the same size.
    把动量正交化：梯度涉及的每个方向都走差不多同样大的一步。

    Update of a matrix p (m, n), with m <= n (a tall one is turned first), in ``ns_steps`` rounds of Newton and Schulz k:

    \begin{aligned}
    B_{t} &\leftarrow \mu\,B_{t-1} + (1 - \mu)\,g_{t} \\
    U_{t} &\leftarrow (1 - \mu)\,g_{t} + \mu\,B_{t} \\
    X_{0} &\leftarrow \frac{U_{t}}{\max(\lVert U_{t} \rVert, \epsilon)} \\
    A_{k} &\leftarrow X_{k} \cdot X_{k}^{\top} \\
    X_{k+1} &\leftarrow a\,X_{k} + (b\,A_{k} + c\,A_{k} \cdot A_{k}) \cdot X_{k} \\
    p_{t} &\leftarrow (1 - \eta\,\lambda)\,p_{t-1} - \eta\,\sqrt{\max(1, m / n)}\,X_{K}
    \end{aligned}

    The singular values of X move towards 1, up to about 0.7 to 1.2 after five rounds; its singular vectors stay. For the
    matrices in the middle of a network; embeddings, the last layer and vectors are AdamW's.

    Arguments:
        params: iterable of matrices, of (name, matrix) pairs, or of dicts with "params" and options of their own.
        lr: η, >= 0.
        weight_decay: λ, >= 0; decoupled.
        momentum: μ, in [0, 1].
        nesterov: look ahead, U as above; else U = B.
        ns_coefficients: (a, b, c) of the polynomial a x + b x³ + c x⁵; these raise small singular values quickly.
        eps: ε, >= 0; the least norm to divide by.
        ns_steps: K, rounds, 0 to 99.
        adjust_lr_fn: None or "original" for the factor above; "match_rms_adamw" for 0.2 √max(m, n), with which lr and λ can
            be those of AdamW.
        full_precision: compute in p's own precision; else X is rounded to bfloat16 after every product, as torch does.

    State: ``state[p]["momentum_buffer"]`` B, like p.

    Raises TypeError for an argument of a wrong kind, ValueError for one out of range, or for a parameter that is no matrix.

    torch and the source: torch's documentation has B = μB + g and U = g + μB; torch computes the means above, as Jordan's code
    does. Those are the same times 1 - μ, and X does not change with the length of U. torch knows no ``full_precision``.

    Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, kellerjordan.github.io/posts/muon.
    Liu et al., "Muon is Scalable for LLM Training", 2025, arXiv:2502.16982 (the other factor, and weight decay).

    >>> from optimlab import optim, tensor
    >>> p = tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    >>> opt = optim.Muon([p], lr=0.1, weight_decay=0)
    >>> p.grad = tensor([[100.0, 0.0], [0.0, 1.0]])  # steep in one direction, a hundred times less in the other
    >>> opt.step()
    >>> p
    tensor([[0.9312, 0.0000],
            [0.0000, 0.9309]], requires_grad=True)
    """

    letters = {"B": "momentum_buffer"}
    checks: dict[str, Check] = {
        "lr": Number("Learning rate should be >= 0 but is: {value}", low=0),
        "weight_decay": Number("weight decay should be >= 0 but is: {value}", low=0),
        "momentum": Number("momentum should be >= 0 but is: {value}", low=0, high=1),
        "nesterov": Flag(),
        "ns_coefficients": Numbers((Number(), Number(), Number())),
        "eps": EPS,
        "ns_steps": Number(
            "Number of steps must be less than 100 for computational efficiency: {value}", 0, 99, whole=True
        ),
        "adjust_lr_fn": Choice(
            (None, "original", "match_rms_adamw"), "Adjust learning rate function {value} is not supported"
        ),
        "full_precision": Flag(),
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        full_precision: bool = False,
    ) -> None:
        options = self.named(locals())
        if full_precision is False:
            del options["full_precision"]
        super().__init__(params, options)  # not in the group unless asked for: torch knows no such option

    def _checked_group(self, given: dict[str, Any]) -> dict[str, Any]:
        group = super()._checked_group(given)
        for p in group["params"]:
            if p.ndim != 2:
                raise ValueError(
                    f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}; "
                    "give the others to AdamW"
                )
        return group

    @staticmethod
    def shapes(p: Array) -> dict[str, tuple[int, ...]]:
        return {"B": p.shape}

    @staticmethod
    def update(
        p,
        g,
        B,
        *,
        lr,
        weight_decay,
        momentum,
        nesterov,
        ns_coefficients,
        eps,
        ns_steps,
        adjust_lr_fn,
        full_precision=False,
    ):
        B = lerp(B, g, 1 - momentum)
        u = lerp(g, B, momentum) if nesterov else B
        rounded = np.asarray if full_precision else bfloat16
        X = newton_schulz(u, ns_coefficients, ns_steps, eps, rounded).astype(p.dtype)
        m, n = p.shape
        ratio = 0.2 * max(m, n) ** 0.5 if adjust_lr_fn == "match_rms_adamw" else max(1, m / n) ** 0.5
        return {"p": (1 - lr * weight_decay) * p - lr * ratio * X, "B": B}
