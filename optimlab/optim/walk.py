"""Walking: the iterations of an optimizer that evaluates a closure at points of its own choice, along directions.

Between its steps, and whatever happens in one, it rests at an accepted point, with the state that belongs there.

沿方向迭代的优化器的公共部分：在自己选的点上调用闭包；无论发生什么，最后都停在被接受的点上，状态也与之相符。
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from optimlab.checks import MissingError, Number
from optimlab.commit import commit
from optimlab.dtype import DTYPES
from optimlab.functional import TensorError
from optimlab.graph import enable_grad, no_grad
from optimlab.optim.linesearch import Trial, strong_wolfe
from optimlab.optim.optimizer import Optimizer
from optimlab.optim.stepping import NonfiniteError, bad_gradient
from optimlab.tensor import Tensor

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

    def __init__(self, optimizer: Optimizer, closure: Callable[[], Any]) -> None:
        self.optimizer, self.closure, self.evaluations = optimizer, closure, 0
        self.params: list[Tensor] = optimizer.param_groups[0]["params"]
        self.floating_errors = np.geterr()  # what the closure's NumPy does about them is the caller's choice
        self.x = self.here()

    def here(self) -> Vector:
        """Where the parameters are now; a closure may have moved them, to keep them within bounds."""
        return np.concatenate([p._array.reshape(-1) for p in self.params])

    def put(self, x: Vector) -> list[tuple]:
        """The calls that give the parameters the values of x."""
        calls: list[tuple] = []
        start = 0
        for p in self.params:
            piece = x[start : start + p.numel()].reshape(p._array.shape)
            calls.append((np.positive, piece, p._array))
            calls.append((p._version.__setitem__, 0, p._version[0] + 1))
            start += p.numel()
        return calls

    def accept(self, x: Vector) -> list[tuple]:
        """The calls that put the parameters at x, to rest there from now on."""
        return [*self.put(x), (np.positive, x, self.x)]

    def rest(self) -> None:
        """Put the parameters at the last accepted point."""
        commit(self.put(self.x))

    def evaluate(self, x: Vector, *, finite: bool = True) -> Evaluation:
        """Loss and gradient at x; the parameters stay there, or where the closure puts them.

        Raises NonfiniteError where a number is NaN, or infinite; the loss may be infinite unless it must be ``finite``.
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
        advice = "the parameters are back at the last accepted point; try a smaller lr, or a line search"
        if math.isnan(f) or f == -math.inf or (finite and f == math.inf):
            raise NonfiniteError(f"the closure returned a loss of {f}; {advice}", self.optimizer, loss)
        if f < math.inf and not np.isfinite(g).all():
            raise NonfiniteError(f"{bad_gradient(self.optimizer)}; {advice}", self.optimizer, loss)
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


class Walker(Optimizer):
    """Moves all parameters at once: a direction, then a step along it, and again. 先定方向，再定步长，反复迭代。

    A subclass gives ``direction(memory, g, group, lr)``, which returns what is to be remembered: the direction ``d``, the step
    to try first ``t``, and what they were made of. ``memory`` is that of the iteration before, its gradient
    ``prev_flat_grad`` and loss ``prev_loss`` included; it is kept as the state of the first parameter, for it is all
    parameters' together.
    """

    _watches = False  # an infinite loss, and what gradient comes with it, only tells a line search to come back
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
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to ``max_iter`` iterations; returns the loss where they began. 最多迭代 ``max_iter`` 次，返回起点的损失。

        closure: clears the gradients, computes the loss, calls backward and returns the loss; called again and again.
        Whatever stops it early, an error in the closure or Ctrl-C, parameters and state are then those of the last accepted
        iteration. Raises TypeError or ValueError where the closure or what it returns does not fit, FloatingPointError where
        a loss or a gradient is not finite.
        """
        if not callable(closure):
            name = type(self).__name__
            missing = f"{name}.step() missing 1 required positional argument: 'closure'"
            raise TypeError(
                f"{missing if closure is None else f'Invalid closure: {closure!r}'}; {name} needs a function that clears the "
                "gradients, calls backward and returns the loss, for it evaluates the loss at several points"
            )
        group = self.param_groups[0]
        self._check_complete(group, self.checks)
        for p in group["params"]:
            self._check_gradient(p)
        walk, state = Walk(self, closure), self.state.get(group["params"][0], {})
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
        walk.x = walk.here()
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
            memory["t"], x = t, walk.x + t * d
            if not searches and n < group["max_iter"]:
                _, f, g = walk.evaluate(x)
                x = walk.here()
            record(*walk.accept(x))
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
                else:
                    self._check_tensor(f"{key} {whose}", value, x.shape, DTYPES[x.dtype])

    def _loaded_state(self, key: Any, values: Any, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        like = np.concatenate([q._array.reshape(-1) for q in group["params"]])

        def cast(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return [cast(x) for x in value]
            return Tensor(value, dtype=like.dtype) if isinstance(value, (Tensor, np.ndarray)) else value

        state = {name: cast(value) for name, value in super()._loaded_state(key, values, p, group).items()}
        self._check_state(f"of parameter {key!r}", state, like)
        return state
