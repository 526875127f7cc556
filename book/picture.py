"""The course's picture: optimizers of the library in one valley. ``python book/picture.py`` stores it for the README."""

import functools
from html import escape
from pathlib import Path

import numpy as np

from optimlab import optim
from optimlab.lab import plots
from optimlab.lab.bilingual import Text
from optimlab.lab.problems import ROSENBROCK, descend

ALT = Text(
    "一条弯曲的山谷，画成等高线，星号是最低点。同样走 120 步：梯度下降只挪动了一小段，加上动量走过大半，Adam 到了星号旁边。",
    "A curved valley in contours; a star marks its lowest point. In the same 120 steps gradient descent hardly moves, "
    "momentum covers most of the way, and Adam arrives beside the star.",
)
STEPS = 120
WIDTH, HEIGHT = 1440, 600  # pixels
(LEFT, RIGHT), (BOTTOM, TOP) = WINDOW = (-1.75, 1.75), (-0.6, 1.75)
RUNNERS = {  # each with the middle of its name in the picture
    Text("梯度下降", "gradient descent"): (functools.partial(optim.SGD, lr=0.001), (-1.26, 0.48)),
    Text("动量", "momentum"): (functools.partial(optim.SGD, lr=0.001, momentum=0.9), (-0.36, -0.36)),
    Text("Adam", "Adam"): (functools.partial(optim.Adam, lr=0.2, betas=(0.9, 0.9)), (0.68, 0.95)),
}


def draw(names: bool = True) -> bytes:
    """The picture as PNG, 1440 by 600 pixels, with the names in English or without names."""
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=4, foreground="white")]
    ax = Figure(figsize=(WIDTH / 150, HEIGHT / 150), dpi=150).add_axes((0, 0, 1, 1))
    x, y = np.meshgrid(np.linspace(-1.8, 1.8, 400), np.linspace(-0.6, 1.8, 300))
    height = np.log10(ROSENBROCK.f(x, y) + 0.03)
    ax.contourf(x, y, height, levels=np.linspace(-1.6, 3.6, 27), cmap="Blues", alpha=0.35)
    ax.contour(x, y, height, levels=np.linspace(-1.6, 3.6, 27), colors="white", linewidths=0.7)
    for i, (name, (make, place)) in enumerate(RUNNERS.items()):
        path, color = descend(ROSENBROCK, make, steps=STEPS).path, plots.COLORS[i]
        ax.plot(*path.T, color=color, linewidth=1.8, marker=plots.MARKERS[i], markersize=4, zorder=5 - i)
        if names:
            ax.text(*place, name.en, color=color, ha="center", fontsize=16, weight="bold", path_effects=halo, zorder=7)
    ax.plot(*ROSENBROCK.start, "o", color="k", markersize=9, zorder=6)
    ax.plot(*ROSENBROCK.minima[0], "*", color="k", markersize=22, zorder=6)
    ax.set(xlim=WINDOW[0], ylim=WINDOW[1])
    ax.set_axis_off()
    return plots.png(plots.Plot(ax, ALT).picture(), colors=256)


def named(source: str, lang: str) -> str:
    """SVG that shows the picture without names, found at ``source``, and names in one language, in the reader's fonts."""
    names = "".join(
        f'<text x="{(x - LEFT) / (RIGHT - LEFT) * WIDTH:.0f}" y="{(TOP - y) / (TOP - BOTTOM) * HEIGHT:.0f}" '
        f'fill="{color}">{getattr(name, lang)}</text>'
        for (name, (_, (x, y))), color in zip(RUNNERS.items(), plots.COLORS, strict=False)
    )
    return (
        f'<div><svg class="lab-picture" role="img" aria-label="{escape(getattr(ALT, lang))}" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"><image href="{source}" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<g text-anchor="middle" font-size="33" font-weight="bold" stroke="white" stroke-width="8" paint-order="stroke">'
        f"{names}</g></svg></div>"
    )


if __name__ == "__main__":
    Path(__file__).with_name("picture.png").write_bytes(draw())
