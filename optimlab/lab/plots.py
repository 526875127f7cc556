"""Plots for lessons: paths over contours, loss curves, learning rates.

Colours are Okabe and Ito's (2008), which readers with any kind of colour blindness can tell apart; markers and line styles
say the same again. Text inside a picture is symbols and short English names, so that one picture serves both editions; what
it shows is told in both languages by its ``alt`` text.

课程用图：等高线上的路径、损失曲线、学习率曲线。
"""

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.lab.bilingual import Text
from optimlab.lab.problems import Problem
from optimlab.lab.schedules import schedule_table
from optimlab.optim import Optimizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


def png(picture: np.ndarray, colors: int = 0) -> bytes:
    """A picture, (height, width, 3) or with opacity (…, 4) uint8, as PNG; with ``colors`` in a palette, a third of the size."""
    from PIL import Image

    image: Any = Image.fromarray(picture)
    if colors:
        clear = picture.shape[2] == 4  # of Pillow's methods this one alone knows of opacity
        image = image.quantize(colors, Image.Quantize.FASTOCTREE) if clear else _few_colors(picture, colors)
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=9 if colors else 1)  # live pictures are made quickly, stored ones small
    return buffer.getvalue()


def _few_colors(picture: np.ndarray, colors: int) -> Any:
    """The picture with the most frequent colours as they are, and others, which edges are made of, as the nearest kept.

    The usual methods spend the palette on the many shades of edges, and tint areas and thin lines for it.
    """
    from PIL import Image

    counted: Any = Image.fromarray(picture).getcolors(picture.size)  # (how many pixels, their colour)
    shades = np.array([shade for _, shade in sorted(counted, reverse=True)])
    palette = shades[: colors * 3 // 4]
    if len(palette) < len(shades):
        left = colors - len(palette)
        spread: Any = Image.fromarray(shades.astype(np.uint8)[None]).quantize(left, Image.Quantize.MAXCOVERAGE)
        palette = np.concatenate([palette, np.reshape(spread.getpalette(), (-1, 3))[:left]])
    # the square of the distance, but for the shade's own square, which is the same for all
    distance = (palette**2).sum(axis=1) - 2 * (shades.astype(float) @ palette.T)
    number = np.empty(1 << 24, np.uint8)  # of a colour in the palette; untouched memory costs nothing
    number[shades @ [65536, 256, 1]] = distance.argmin(axis=1)
    red, green, blue = np.moveaxis(picture.astype(np.int32), 2, 0)
    image = Image.fromarray(number[red << 16 | green << 8 | blue])
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


class Plot:
    """A picture with words for those who cannot see it; ``ax`` are its axes, to add to. 带文字说明的图。"""

    def __init__(self, ax: "Axes", alt: Text) -> None:
        self.ax, self.alt = ax, alt

    def picture(self, scale: float = 1) -> np.ndarray:
        """The pixels: (height, width, 3) uint8; ``scale`` times as many each way as the figure says."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure: Any = self.ax.get_figure(root=True)
        before = figure.dpi
        figure.set_dpi(scale * before)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        figure.set_dpi(before)
        return np.asarray(canvas.buffer_rgba())[..., :3]

    def __repr__(self) -> str:
        return "plot"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        shown: dict[str, Any] = {"alt": f"{self.alt.zh} · {self.alt.en}"}
        picture = self.picture()
        if os.environ.get("OPTIMLAB_BOOK"):  # a sharp picture for sharp screens; a notebook's stays small
            shown |= {"width": picture.shape[1], "height": picture.shape[0]}
            picture = self.picture(scale=2)
        data = base64.b64encode(png(picture, colors=128)).decode()
        return {"text/plain": repr(self), "image/png": data}, {"image/png": shown}


def axes(width: float = 6.0, height: float = 3.6) -> "Axes":
    """An empty figure's axes, ``width`` by ``height`` inches."""
    from matplotlib.figure import Figure  # not pyplot: a notebook would show the figure a second time

    return Figure(figsize=(width, height), dpi=100, layout="constrained").subplots()


def style(i: int) -> dict[str, Any]:
    """Colour, marker and line of the i-th of up to six things to tell apart."""
    return {"color": COLORS[i % 6], "marker": MARKERS[i % 6], "linestyle": LINES[i % 6]}


def contours(problem: Problem, ax: "Axes | None" = None, points: int = 200) -> "Axes":
    """The contours of a problem in its window, close together near the valley's floor, and its minima as stars. 等高线。"""
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


def paths(problem: Problem, runs: Mapping[str, np.ndarray], ax: "Axes | None" = None) -> Plot:
    """Paths (steps + 1, 2) by name, over the problem's contours. 等高线上的路径。"""
    ax, zh, en = contours(problem, ax), [], []
    for i, (name, path) in enumerate(runs.items()):
        shown = np.where(
            np.isfinite(path) & (np.abs(path) < 1e6), path, np.nan
        )  # a path that flies off leaves the picture
        ax.plot(shown[:, 0], shown[:, 1], markersize=4, linewidth=1.2, label=name, **style(i))
        (x0, y0), (x1, y1), steps = path[0], path[-1], len(path) - 1
        zh.append(f"{name} 从 ({x0:.3g}, {y0:.3g}) 走 {steps} 步到 ({x1:.3g}, {y1:.3g})")
        en.append(f"{name} from ({x0:.3g}, {y0:.3g}) in {steps} steps to ({x1:.3g}, {y1:.3g})")
    if len(runs) > 1:
        ax.legend(loc="upper right", fontsize="small")
    return Plot(
        ax,
        Text(
            f"{problem.name} 等高线上的路径：{'；'.join(zh)}", f"paths over contours of {problem.name}: {'; '.join(en)}"
        ),
    )


def curves(
    values: Mapping[str, Sequence[float] | np.ndarray],
    ax: "Axes | None" = None,
    *,
    xlabel: str = "$t$",
    ylabel: str = "loss",
    log: bool = True,
) -> Plot:
    """Curves by name against the step: losses (on a logarithmic axis), learning rates, accuracies. 曲线。"""
    ax, zh, en = axes() if ax is None else ax, [], []
    for i, (name, curve) in enumerate(values.items()):
        y = np.asarray(curve, np.float64)
        ax.plot(
            np.arange(len(y)), y, markevery=max(1, len(y) // 10), markersize=4, linewidth=1.3, label=name, **style(i)
        )
        zh.append(f"{name} 从 {y[0]:.3g} 到 {y[-1]:.3g}")
        en.append(f"{name} from {y[0]:.3g} to {y[-1]:.3g}")
    if log:
        ax.set_yscale("log")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.25)
    if len(values) > 1:
        ax.legend(fontsize="small")
    return Plot(
        ax, Text(f"{ylabel} 随 {xlabel} 的变化：{'；'.join(zh)}", f"{ylabel} against {xlabel}: {'; '.join(en)}")
    )


def learning_rates(
    schedules: Mapping[str, Callable[[Optimizer], Any]], epochs: int, lr: float = 0.1, ax: "Axes | None" = None
) -> Plot:
    """The learning rate over ``epochs`` under each schedule: functions of an optimizer that make one. 学习率曲线。"""
    rates = {name: schedule_table(make, epochs, lr).lr[:, 0] for name, make in schedules.items()}
    return curves(rates, ax, xlabel="epoch", ylabel=r"$\eta_t$", log=False)


def images(pictures: Sequence[np.ndarray], titles: Sequence[str], alt: Text) -> Plot:
    """Small grey pictures in a row, each with a title, such as digits (8, 8). 一排小图。"""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.1 * max(len(pictures), 1), 1.5), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(pictures), squeeze=False)[0]
    for ax, picture, title in zip(panels, pictures, titles, strict=True):
        ax.imshow(picture, cmap="gray_r")
        ax.set(xticks=[], yticks=[], title=title)
    return Plot(panels[0], alt)
