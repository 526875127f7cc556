"""Test functions of two variables, with their minima and Hessians.

二元测试函数，附极小点与海森矩阵。
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.creation import tensor
from optimlab.tensor import Tensor

Point = tuple[float, float]


@dataclass(frozen=True)
class Problem:
    """A function f(x, y) to minimise. 要最小化的函数。

    f takes tensors, arrays and numbers alike; ``problem(p)`` is f of a tensor of two. ``hessian(x, y)`` is (2, 2);
    ``window`` is what a picture shows, ((x from, x to), (y from, y to)).
    """

    name: str
    f: Callable[[Any, Any], Any]
    minima: tuple[Point, ...]
    hessian: Callable[[float, float], np.ndarray]
    start: Point
    window: tuple[Point, Point]

    def __call__(self, p: Tensor) -> Tensor:
        return self.f(p[0], p[1])

    def gradient(self, x: float, y: float) -> tuple[float, float]:
        """∇f by the complex step: f(x + ih) = f(x) + ih f'(x) + O(h²), and for h = 1e-30 the rest is below rounding.

        The same numbers as autograd's up to an ulp or two, without a record: a slider must not wait.
        """
        h = 1e-30
        try:
            return (complex(self.f(x + h * 1j, y)).imag / h, complex(self.f(x, y + h * 1j)).imag / h)
        except OverflowError:  # Python's complex numbers raise where floats turn infinite
            return math.inf, math.inf

    def distance(self, x: float, y: float) -> float:
        """The distance to the nearest minimum."""
        return min(math.hypot(x - a, y - b) for a, b in self.minima)


def quadratic(kappa: float = 10.0) -> Problem:
    """(x² + κ y²) / 2: a bowl, κ times as steep along y as along x; κ is its condition number, >= 1. 碗形二次函数。"""
    kappa = Number(low=1)("kappa", kappa)
    return Problem(
        name="quadratic",
        f=lambda x, y: (x**2 + kappa * y**2) / 2,
        minima=((0.0, 0.0),),
        hessian=lambda x, y: np.diag([1.0, kappa]),
        start=(4.0, 1.0),
        window=((-5.0, 5.0), (-2.0, 2.0)),
    )


ROSENBROCK = Problem(
    name="rosenbrock",
    f=lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    minima=((1.0, 1.0),),
    hessian=lambda x, y: np.array([[2 - 400 * y + 1200 * x**2, -400 * x], [-400 * x, 200.0]]),
    start=(-1.2, 1.0),
    window=((-2.0, 2.0), (-1.0, 3.0)),
)


def _beale_hessian(x: float, y: float) -> np.ndarray:
    h = np.zeros((2, 2))
    for i, c in enumerate((1.5, 2.25, 2.625), start=1):  # a sum of squares r²: H = 2 Σ (∇r ∇rᵀ + r ∇²r)
        r, slope = c - x + x * y**i, np.array([y**i - 1, i * x * y ** (i - 1)])
        bend = i * (i - 1) * x * y ** (i - 2) if i > 1 else 0.0
        h += 2 * (np.outer(slope, slope) + r * np.array([[0.0, i * y ** (i - 1)], [i * y ** (i - 1), bend]]))
    return h


BEALE = Problem(
    name="beale",
    f=lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
    minima=((3.0, 0.5),),
    hessian=_beale_hessian,
    start=(1.0, 1.0),
    window=((-0.5, 4.5), (-1.5, 1.5)),
)

HIMMELBLAU = Problem(
    name="himmelblau",
    f=lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    minima=(
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    ),
    hessian=lambda x, y: np.array([[12 * x**2 + 4 * y - 42, 4 * (x + y)], [4 * (x + y), 4 * x + 12 * y**2 - 26]]),
    start=(-0.5, -1.0),
    window=((-5.0, 5.0), (-5.0, 5.0)),
)

RASTRIGIN = Problem(
    name="rastrigin",
    f=lambda x, y: 20 + x**2 - 10 * np.cos(2 * np.pi * x) + y**2 - 10 * np.cos(2 * np.pi * y),
    minima=((0.0, 0.0),),
    hessian=lambda x, y: np.diag([2 + 40 * math.pi**2 * math.cos(2 * math.pi * v) for v in (x, y)]),
    start=(2.2, -1.3),
    window=((-3.0, 3.0), (-3.0, 3.0)),
)

SADDLE = Problem(  # the axis y = 0 leads down to a saddle at the origin, with a minimum on either side
    name="saddle",
    f=lambda x, y: x**2 / 2 - y**2 / 2 + y**4 / 4,
    minima=((0.0, 1.0), (0.0, -1.0)),
    hessian=lambda x, y: np.diag([1.0, 3 * y**2 - 1]),
    start=(1.5, 0.001),
    window=((-2.0, 2.0), (-1.6, 1.6)),
)

PROBLEMS = {p.name: p for p in (quadratic(), ROSENBROCK, BEALE, HIMMELBLAU, RASTRIGIN, SADDLE)}


@dataclass(frozen=True)
class Run:
    """What an optimizer did: ``path`` (steps + 1, 2) and ``loss`` (steps + 1,), from the start on. 一次优化的轨迹与损失。"""

    path: np.ndarray
    loss: np.ndarray


def descend(
    problem: Problem, optimizer: Callable[[list[Tensor]], Any], start: Point | None = None, steps: int = 100
) -> Run:
    """Let ``optimizer([p])`` make ``steps`` steps on ``problem`` in float64, from ``start`` or the problem's own.

    在测试函数上运行优化器，记录轨迹。
    """
    steps = int(Number(low=0, whole=True)("steps", steps))
    p = tensor(np.array(problem.start if start is None else start, np.float64), requires_grad=True)
    p.grad = tensor(np.zeros(2))
    stepper, place, gradient = optimizer([p]), p.detach().numpy(), p.grad.numpy()
    path = np.empty((steps + 1, 2))
    path[0] = place
    for t in range(1, steps + 1):
        gradient[:] = problem.gradient(*place.tolist())
        stepper.step()
        path[t] = place
    with np.errstate(all="ignore"):  # a path that flies off has an infinite loss
        return Run(path, np.asarray(problem.f(*path.T)))
