"""The explorers of the course. 课程里的小实验。"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optimlab import optim
from optimlab.lab import plots
from optimlab.lab.bilingual import Message, Text
from optimlab.lab.explorer import Control, Explorer, Scene
from optimlab.lab.problems import PROBLEMS, Point, Problem, Run, descend, quadratic
from optimlab.optim.elementwise import Elementwise

LR, MOMENTUM = Text("学习率 η", "learning rate η"), Text("动量 μ", "momentum μ")
OPTIMIZERS: dict[str, Any] = {
    name: cls for name, cls in vars(optim).items() if isinstance(cls, type) and issubclass(cls, Elementwise)
}
RATES = (*(round(m * 10.0**e, 6) for e in range(-4, 0) for m in (1, 2, 5)), 1.0)


def stepper(name: str, lr: float, momentum: float) -> Any:
    """A function that makes optimizer ``name``; momentum goes where that optimizer has it: μ, or the first of its betas."""
    cls, options = OPTIMIZERS[name], OPTIMIZERS[name].default_group()
    if "betas" in options:
        return functools.partial(cls, lr=lr, betas=(float(momentum), options["betas"][1]))
    return functools.partial(cls, lr=lr, **({"momentum": momentum} if "momentum" in options else {}))


def reached(loss: np.ndarray, target: float) -> Message:
    """Whether, and at which step, a loss fell below ``target``."""
    steps, goal = len(loss) - 1, f"{target:.0e}".replace("e-0", "e-")
    zh, en = f"目标：{steps} 步内损失低于 {goal}。", f"Goal: loss below {goal} within {steps} steps. "
    below = np.flatnonzero(loss < target)
    if below.size and loss[-1] < target:  # a loss that dipped and rose again has not arrived
        return Message(f"{zh}第 {below[0]} 步达到。", f"{en}Reached at step {below[0]}.", "✓")
    if not np.isfinite(loss[-1]) or loss[-1] > 100 * loss[0]:  # a long swing may well rise at first
        return Message(f"{zh}发散了：越走越远。", f"{en}It diverges.", "✗")
    return Message(f"{zh}还没达到：现在是 {loss[-1]:.1e}。", f"{en}Not yet: it is now {loss[-1]:.1e}.", "✗")


def _figure(panels: int = 2, width: float = 8.4, height: float = 3.4) -> tuple[Any, Any]:
    """A figure outside of pyplot's list, so that a notebook does not show it by itself."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    return figure, figure.subplots(1, panels)


def _clipped(path: np.ndarray, problem: Problem) -> np.ndarray:
    """A path without what is far outside of the picture, which a line could not be drawn to."""
    reach = 1e3 * np.abs(problem.window).max()
    return np.where((np.abs(path) < reach).all(axis=1, keepdims=True), path, np.nan)


def _loss_axes(ax: Any, steps: int, target: float | None, low: float, high: float) -> None:
    ax.set(yscale="log", xlim=(0, steps), ylim=(low, high), xlabel="$t$", ylabel="loss")
    ax.grid(alpha=0.25)
    if target is not None:
        ax.axhline(target, color="0.4", linewidth=0.8, linestyle=":")


# ---- gradient descent on a bowl


def bowl(kappa: float = 10.0, steps: int = 30, target: float = 1e-3) -> Explorer:
    """Gradient descent on a bowl: one slider, the learning rate. 碗里的梯度下降。"""
    problem = quadratic(kappa)

    def compute(lr: float) -> Run:
        return descend(problem, functools.partial(optim.SGD, lr=lr), steps=steps)

    def scene() -> Scene:
        figure, (left, right) = _figure()
        plots.contours(problem, left)
        _loss_axes(right, steps, target, 1e-8, 1e4)
        (path,) = left.plot([], [], color=plots.COLORS[0], marker="o", markersize=4, linewidth=1.2)
        (loss,) = right.plot([], [], color=plots.COLORS[0], marker="o", markersize=3, linewidth=1.2)

        def update(run: Run) -> None:
            path.set_data(*_clipped(run.path, problem).T)
            loss.set_data(np.arange(len(run.loss)), run.loss)

        return Scene(figure, [path, loss], update)

    rates = [round(0.01 * i, 2) for i in range(1, 25)]
    return Explorer(
        "bowl",
        [Control("lr", LR, rates, 0.05)],
        compute,
        scene,
        lambda run: reached(run.loss, target),
        Text(
            "左：等高线上的路径；右：损失随步数的变化", "left: the path over contours; right: the loss against the step"
        ),
    )


# ---- a race of optimizers on a test function


@dataclass(frozen=True)
class Race:
    """The runs of up to four optimizers with the same number of steps."""

    problem: Problem
    names: tuple[str, ...]
    runs: tuple[Run, ...]

    def result(self) -> Message:
        """Who is lowest, and how low each came."""
        ends = [run.loss[-1] if np.isfinite(run.loss[-1]) else np.inf for run in self.runs]
        lowest = min(float(self.problem.f(*m)) for m in self.problem.minima)
        table = [
            f"{i}·{name} {end - lowest:.1e}" for i, (name, end) in enumerate(zip(self.names, ends, strict=True), 1)
        ]
        goal = min(ends) - lowest < 1e-6
        zh = f"目标：{len(self.runs[0].loss) - 1} 步内离最小值不到 1e-6。与最小值之差：{'；'.join(table)}。"
        en = f"Goal: within 1e-6 of the minimum in {len(self.runs[0].loss) - 1} steps. Above the minimum: {', '.join(table)}."
        return Message(zh, en, "✓" if goal else "✗")


def starts(problem: Problem) -> dict[str, Point]:
    """Three places to start from: the usual one, and two in other corners of the picture."""
    (x0, x1), (y0, y1) = problem.window
    return {
        "A": problem.start,
        "B": (x0 + 0.15 * (x1 - x0), y0 + 0.2 * (y1 - y0)),
        "C": (x0 + 0.8 * (x1 - x0), y0 + 0.85 * (y1 - y0)),
    }


def race(runners: Sequence[str] = ("SGD", "Adam"), problem: str = "rosenbrock", steps: int = 200) -> Explorer:
    """Optimizers side by side on a test function, each with a learning rate and a momentum. 同场赛跑。

    runners: one to four names of optimizers to begin with; each can be exchanged for another.
    """
    if not 1 <= len(runners) <= 4 or any(name not in OPTIMIZERS for name in runners):
        raise ValueError(f"runners must be one to four of {', '.join(OPTIMIZERS)}; got {list(runners)}")

    def compute(problem: str, start: str, **values: Any) -> Race:
        chosen, count = PROBLEMS[problem], len(runners)
        names = tuple(values[f"optimizer{i}"] for i in range(count))
        makers = [stepper(names[i], values[f"lr{i}"], values[f"momentum{i}"]) for i in range(count)]
        return Race(chosen, names, tuple(descend(chosen, make, starts(chosen)[start], steps) for make in makers))

    def scene(problem: str) -> Scene:
        figure, (left, right) = _figure()
        chosen = PROBLEMS[problem]
        plots.contours(chosen, left)
        _loss_axes(right, steps, 1e-6, 1e-10, 1e4)
        right.set_ylabel("loss above the minimum")
        lines = []
        for i in range(len(runners)):
            lines += left.plot([], [], markersize=3.5, linewidth=1.1, **plots.style(i))
            lines += right.plot(
                [], [], markersize=4, linewidth=1.2, markevery=max(1, steps // 10), label=str(i + 1), **plots.style(i)
            )
        right.legend(fontsize="small", loc="lower left")
        lowest = min(float(chosen.f(*m)) for m in chosen.minima)

        def update(race: Race) -> None:
            for run, path, loss in zip(race.runs, lines[::2], lines[1::2], strict=True):
                path.set_data(*_clipped(run.path, chosen).T)
                loss.set_data(np.arange(len(run.loss)), np.maximum(run.loss - lowest, 1e-12))

        return Scene(figure, lines, update)

    controls = [
        Control("problem", Text("函数", "function"), list(PROBLEMS), problem, frames=()),
        Control("start", Text("起点", "start"), ["A", "B", "C"], "A"),
    ]
    few = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1)
    for i, name in enumerate(runners):
        lr = 0.001 if name == "SGD" else 0.05
        controls += [
            Control(f"optimizer{i}", Text(f"{i + 1} 号", f"No. {i + 1}"), list(OPTIMIZERS), name, frames=()),
            Control(f"lr{i}", LR, RATES, lr, frames=few if i == 0 else ()),
            Control(f"momentum{i}", MOMENTUM, (0.0, 0.5, 0.8, 0.9, 0.95, 0.99), 0.9, frames=()),
        ]
    alt = Text("左：各优化器的路径；右：各自的损失", "left: the path of each optimizer; right: the loss of each")
    return Explorer("race", controls, compute, scene, Race.result, alt, background=["problem"])


# ---- the (learning rate, momentum) plane of a quadratic


def spectral_radius(lr: Any, momentum: Any, curvature: Any) -> np.ndarray:
    """By what factor a step of SGD with momentum shrinks the error along a direction of this curvature, in the long run.

    The larger root, in size, of z² - (1 + μ - ηλ) z + μ; the arguments broadcast. Below 1 it converges.
    """
    half = (1 + np.asarray(momentum) - np.asarray(lr) * curvature) / 2
    root = np.sqrt(half**2 - momentum + 0j)
    return np.maximum(np.abs(half + root), np.abs(half - root))


@dataclass(frozen=True)
class PlanePoint:
    """One point of the plane: the rate that theory gives, and a run that shows it."""

    lr: float
    momentum: float
    kappa: float
    rate: float
    run: Run


def plane(steps: int = 100, target: float = 1e-6) -> Explorer:
    """Where SGD with momentum converges on a bowl, and how fast: the whole (η, μ) plane at once. η–μ 平面。"""
    side = np.linspace(0, 1, 181)
    grid_lr, grid_momentum = np.meshgrid(4 * side, 0.995 * side)

    def rate(lr: Any, momentum: Any, kappa: float) -> np.ndarray:
        """The slower of the two directions, with curvatures 1/κ and 1: then η means the same for every κ."""
        return np.maximum(spectral_radius(lr, momentum, 1.0), spectral_radius(lr, momentum, 1 / kappa))

    def compute(lr: float, momentum: float, kappa: float) -> PlanePoint:
        q = quadratic(kappa)
        scaled = Problem(q.name, lambda x, y: q.f(x, y) / kappa, q.minima, q.hessian, (1.0, 1.0), q.window)
        run = descend(scaled, functools.partial(optim.SGD, lr=lr, momentum=momentum), steps=steps)
        return PlanePoint(lr, momentum, kappa, float(rate(lr, momentum, kappa)), run)

    def scene(kappa: float) -> Scene:
        figure, (left, right) = _figure()
        values = np.ma.masked_greater_equal(rate(grid_lr, grid_momentum, kappa), 1)
        shades = left.pcolormesh(grid_lr, grid_momentum, values, cmap="viridis", vmin=0.5, vmax=1, rasterized=True)
        left.plot(2 + 2 * side, side, color="k", linewidth=0.8)  # the limit of stability, ηλ = 2 + 2μ
        left.set(xlabel=r"$\eta\,\lambda_{\max}$", ylabel=r"$\mu$", xlim=(0, 4), ylim=(0, 1), facecolor="0.85")
        figure.colorbar(shades, ax=left, label="factor per step")
        _loss_axes(right, steps, target, 1e-10, 1e4)
        (point,) = left.plot([], [], "o", color="w", markeredgecolor="k", markersize=9)
        (loss,) = right.plot([], [], color=plots.COLORS[0], linewidth=1.4)
        (slope,) = right.plot([], [], color=plots.COLORS[1], linewidth=1.0, linestyle="--", label="factor$^{2t}$")
        right.legend(fontsize="small", loc="upper right")

        def update(p: PlanePoint) -> None:
            t = np.arange(len(p.run.loss))
            point.set_data([p.lr], [p.momentum])
            loss.set_data(t, p.run.loss)
            slope.set_data(t, p.run.loss[0] * p.rate ** (2.0 * t))

        return Scene(figure, [point, loss, slope], update)

    def goal(p: PlanePoint) -> Message:
        message = reached(p.run.loss, target)
        return Message(
            f"{message.text.zh}长期看，每步误差乘以 {p.rate:.3f}。",
            f"{message.text.en} In the long run each step multiplies the error by {p.rate:.3f}.",
            message.mark,
        )

    rates = [0.02, 0.05, *(round(0.1 * i, 1) for i in range(1, 41))]
    return Explorer(
        "plane",
        [
            Control("lr", LR, rates, 1.0, frames=[0.05, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]),
            Control(
                "momentum",
                MOMENTUM,
                [round(0.05 * i, 2) for i in range(20)] + [0.98],
                0.0,
                frames=[0.0, 0.3, 0.5, 0.7, 0.8, 0.9],
            ),
            Control("kappa", Text("条件数 κ", "condition number κ"), [1, 3, 10, 30, 100], 100, frames=()),
        ],
        compute,
        scene,
        goal,
        Text(
            "左：η–μ 平面上的收敛速度；右：损失曲线", "left: the speed of convergence over the plane; right: the loss"
        ),
        background=["kappa"],
    )
