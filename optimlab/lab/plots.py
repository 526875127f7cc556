"""Plots for lessons: a path over contours, loss curves, learning rates.

Colours are Okabe and Ito's (2008), which readers with any kind of colour blindness can tell apart; markers and line styles
say the same again. Text inside a picture is symbols and short English names, so that one picture serves both editions.

课程用图：等高线上的路径、损失曲线、学习率曲线。
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.lab.problems import Problem
from optimlab.optim import SGD, Optimizer
from optimlab.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


def axes(width: float = 6.0, height: float = 3.6) -> "Axes":
    """An empty figure's axes, ``width`` by ``height`` inches."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def contours(problem: Problem, ax: "Axes | None" = None, points: int = 120) -> "Axes":
    """The contours of a problem in its window, spaced so that the valley's floor shows too, and its minima as stars. 等高线。"""
    ax = axes() if ax is None else ax
    (x0, x1), (y0, y1) = problem.window
    x, y = np.meshgrid(np.linspace(x0, x1, points), np.linspace(y0, y1, points))
    z = problem.f(x, y)
    lowest = min((float(problem.f(*m)) for m in problem.minima), default=z.min())
    levels = lowest + (z.max() - lowest) * np.linspace(0, 1, 16)[1:] ** 3
    ax.contourf(x, y, z, levels=[lowest - 1, *levels], cmap="Greys", alpha=0.35)
    ax.contour(x, y, z, levels=levels, colors="0.55", linewidths=0.6)
    for a, b in problem.minima:
        ax.plot(a, b, "*", color="k", markersize=10, zorder=4)
    ax.set(xlim=(x0, x1), ylim=(y0, y1), xlabel="$x$", ylabel="$y$")
    return ax


def paths(problem: Problem, runs: Mapping[str, np.ndarray], ax: "Axes | None" = None) -> "Axes":
    """Paths (steps + 1, 2) by name, over the problem's contours. 等高线上的路径。"""
    ax = contours(problem, ax)
    for i, (name, path) in enumerate(runs.items()):
        shown = np.where(
            np.isfinite(path) & (np.abs(path) < 1e6), path, np.nan
        )  # a path that flies off leaves the picture
        style: dict[str, Any] = {"color": COLORS[i % 6], "marker": MARKERS[i % 6], "linestyle": LINES[i % 6]}
        ax.plot(shown[:, 0], shown[:, 1], markersize=4, linewidth=1.2, label=name, **style)
    if len(runs) > 1:
        ax.legend(loc="upper right", fontsize="small")
    return ax


def curves(
    values: Mapping[str, Sequence[float] | np.ndarray],
    ax: "Axes | None" = None,
    *,
    xlabel: str = "$t$",
    ylabel: str = "loss",
    log: bool = True,
) -> "Axes":
    """Curves by name against the step: losses (on a logarithmic axis), learning rates, accuracies. 曲线。"""
    ax = axes() if ax is None else ax
    for i, (name, curve) in enumerate(values.items()):
        y = np.asarray(curve, np.float64)
        style: dict[str, Any] = {"color": COLORS[i % 6], "marker": MARKERS[i % 6], "linestyle": LINES[i % 6]}
        ax.plot(np.arange(len(y)), y, markevery=max(1, len(y) // 10), markersize=4, linewidth=1.3, label=name, **style)
    if log:
        ax.set_yscale("log")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.25)
    if len(values) > 1:
        ax.legend(fontsize="small")
    return ax


def learning_rates(
    schedules: Mapping[str, Callable[[Optimizer], Any]], epochs: int, lr: float = 0.1, ax: "Axes | None" = None
) -> "Axes":
    """The learning rate over ``epochs`` under each schedule: functions of an optimizer that make one. 学习率曲线。"""
    rates: dict[str, list[float]] = {}
    for name, make in schedules.items():
        optimizer = SGD([Tensor(np.zeros(1), requires_grad=True)], lr=lr)
        schedule, rates[name] = make(optimizer), [optimizer.param_groups[0]["lr"]]
        for _ in range(epochs):
            optimizer.step()
            schedule.step()
            rates[name].append(optimizer.param_groups[0]["lr"])
    return curves(rates, ax, xlabel="epoch", ylabel=r"$\eta_t$", log=False)
