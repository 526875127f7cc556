"""A small world to try an optimizer in: parameters, gradients, and what one wants to know of them.

供检查使用的小世界：参数、梯度和几个常用的判断。
"""

import contextlib
import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from optimlab.dtype import float32
from optimlab.optim.optimizer import Optimizer
from optimlab.tensor import Tensor

Make = Callable[..., Optimizer]
Check = Callable[[Make], Any]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Add a function to the checks, under its name."""
    CHECKS[function.__name__] = function
    return function


def values(shape: tuple[int, ...], k: int = 0) -> np.ndarray:
    """Numbers between 0.5 and 1.5, no two alike, that depend on nothing but ``shape`` and ``k``."""
    n = math.prod(shape)
    return (1 + np.sin(1.3 * np.arange(n) + 0.7 * k + 0.2) / 2).reshape(shape)


def leaf(make: Any, k: int = 0, dtype: Any = float32, shape: tuple[int, ...] | None = None) -> Tensor:
    """A parameter of the shape that is asked for."""
    return Tensor(values(make.shape if shape is None else shape, k), dtype=dtype, requires_grad=True)


def give(p: Tensor, k: int = 0, scale: float = 1.0) -> Tensor:
    """Put gradient number ``k`` on a parameter."""
    p.grad = Tensor(scale * values(tuple(p.shape), k + 1) * (-1) ** k, dtype=p.dtype)
    return p


def gradient(p: Tensor) -> Tensor:
    """The gradient of a parameter that has one."""
    assert p.grad is not None
    return p.grad


def walk(optimizer: Optimizer, steps: int = 3, start: int = 0) -> list[list[float]]:
    """Step on recorded gradients; returns where the parameters are then."""
    for k in range(start, start + steps):
        for i, p in enumerate(parameters(optimizer)):
            give(p, k + i)
        optimizer.step()
    return where(optimizer)


def parameters(optimizer: Optimizer) -> list[Tensor]:
    """All parameters, in order."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def where(optimizer: Optimizer) -> list[Any]:
    """The numbers of all parameters."""
    return [p.tolist() for p in parameters(optimizer)]


def pair(make: Any, **options: Any) -> Optimizer:
    """An optimizer of two parameters."""
    return make([leaf(make), leaf(make, 1)], **options)


def refuses(wanted: type[Exception] | tuple, call: Callable[[], Any]) -> bool:
    """Whether ``call`` raises what is wanted."""
    try:
        call()
    except wanted:
        return True
    return False


@contextlib.contextmanager
def quietly() -> Iterator[io.StringIO]:
    """What is printed goes into a string."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        yield out
