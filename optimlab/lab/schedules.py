"""What a schedule does, by running it: a table "lr = … if epoch == k" and a picture. 运行调度器，列出学习率表并作图。"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from inspect import signature
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.checks import Number
from optimlab.creation import zeros
from optimlab.lab.bilingual import Text
from optimlab.optim import SGD, Optimizer
from optimlab.tensor import Tensor

if TYPE_CHECKING:
    from optimlab.lab.plots import Plot

Make = Callable[[Optimizer], Any]


def _number(x: Any) -> float:
    return float(x.item() if isinstance(x, Tensor) else x)


def milestones(schedule: Any) -> list[int]:
    """The epochs at which a schedule, or one within it, goes over to something else. 里程碑轮次。"""
    inner = getattr(schedule, "_schedulers", [])
    own = list(getattr(schedule, "_milestones", getattr(schedule, "milestones", [])))
    starts = [0, *own] if hasattr(schedule, "_milestones") else [0] * len(inner)
    ends = [*own, np.inf] if hasattr(schedule, "_milestones") else [np.inf] * len(inner)
    for part, start, end in zip(inner, starts, ends, strict=True):
        own += [start + epoch for epoch in milestones(part) if start + epoch < end]
    return sorted(set(own))


class ScheduleTable:
    """The learning rates, and momenta, of each group in each epoch; shown as text, as HTML, and by ``plot``. 学习率表。

    names: of the schedules. lr, momentum: (epochs + 1, groups). milestones: epochs at which a schedule goes over to
    something else.
    """

    def __init__(self, names: list[str], lr: np.ndarray, momentum: np.ndarray, milestones: list[int]) -> None:
        self.names, self.lr, self.momentum, self.milestones = names, lr, momentum, milestones

    def columns(self) -> dict[str, np.ndarray]:
        """What changes by name: lr always, momentum if it moves; a column for each group, or one if all are the same."""
        columns = {"lr": self.lr} | ({"momentum": self.momentum} if np.ptp(self.momentum, axis=0).any() else {})
        named: dict[str, np.ndarray] = {}
        for name, values in columns.items():
            one = (values == values[:, :1]).all()
            named |= {name if one else f"{name}[{i}]": values[:, i] for i in range(1 if one else values.shape[1])}
        return named

    def rows(self) -> list[tuple[int, int, tuple[str, ...]]]:
        """First and last epoch with the same values, and the values, to 6 digits."""
        shown = list(zip(*([f"{x:.6g}" for x in column] for column in self.columns().values()), strict=True))
        rows, first = [], 0
        for values, same in groupby(shown):
            last = first + len(list(same)) - 1
            rows.append((first, last, values))
            first = last + 1
        return rows

    def _lines(self) -> list[tuple[int, int, tuple[str, ...]] | None]:
        """What is shown of the rows: of more than 200 the first and the last 50, and None between them."""
        rows = self.rows()
        return [*rows] if len(rows) <= 200 else [*rows[:50], None, *rows[-50:]]

    def __repr__(self) -> str:
        lines, names = [], list(self.columns())
        for row in self._lines():
            if row is None:
                lines.append("…")
                continue
            first, last, values = row
            when = f"epoch == {first}" if first == last else f"{first} <= epoch <= {last}"
            pairs = [f"{name} = {value}" for name, value in zip(names, values, strict=True)]
            columns = [f"{pair}," for pair in pairs[:-1]] + pairs[-1:]
            padded = [f"{x:<{len(name) + 14}}" for name, x in zip(names, columns, strict=True)]
            lines.append(f"{' '.join(padded)} if {when}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in self.columns())
        body = ""
        for row in self._lines():
            first, last, values = row or ("…", "…", ("…",) * len(self.columns()))
            cells = (first if first == last else f"{first} – {last}", *values)
            body += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        epoch = Text("轮次", "epoch").html()
        return f'<table class="lab-schedule"><tr><th>{epoch}</th>{head}</tr>{body}</table>'

    def plot(self) -> "Plot":
        """Learning rates, below them momenta if they move; milestones as dotted lines. 学习率与动量曲线。"""
        from matplotlib.figure import Figure

        from optimlab.lab.plots import Plot, style

        columns, zh, en = self.columns(), [], []
        kinds = list(dict.fromkeys(name.partition("[")[0] for name in columns))
        figure = Figure(figsize=(6.0, 2.0 + 1.6 * len(kinds)), dpi=100, layout="constrained")
        panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
        for panel, kind in zip(panels, kinds, strict=True):
            own = [name for name in columns if name.partition("[")[0] == kind]
            for i, name in enumerate(own):
                y = columns[name]
                panel.plot(np.arange(len(y)), y, markevery=max(1, len(y) // 10), markersize=4, label=name, **style(i))
                zh.append(f"{name} 从 {y[0]:.3g} 到 {y[-1]:.3g}，最小 {y.min():.3g}，最大 {y.max():.3g}")
                en.append(f"{name} from {y[0]:.3g} to {y[-1]:.3g}, lowest {y.min():.3g}, highest {y.max():.3g}")
            for epoch in self.milestones:
                panel.axvline(epoch, color="0.5", linestyle=":", linewidth=1)
            panel.set(ylabel=r"$\eta_t$" if kind == "lr" else r"$\mu_t$")
            panel.grid(alpha=0.25)
            if len(own) > 1:
                panel.legend(fontsize="small")
        panels[-1].set(xlabel="epoch")
        if self.milestones:
            zh.append(f"虚线标出第 {'、'.join(map(str, self.milestones))} 轮")
            en.append(f"dotted lines at epochs {', '.join(map(str, self.milestones))}")
        epochs = len(self.lr) - 1
        return Plot(
            panels[0],
            Text(
                f"{'、'.join(self.names)} 共 {epochs} 轮：{'；'.join(zh)}",
                f"{', '.join(self.names)} over {epochs} epochs: {'; '.join(en)}",
            ),
        )


def schedule_table(
    make: Make,
    epochs: int,
    lr: float | Sequence[float] = 0.1,
    *,
    optimizer: Optimizer | None = None,
    metrics: Sequence[float] | None = None,
) -> ScheduleTable:
    """Run a schedule for some epochs and write down what it sets. 运行调度器，记下它在每一轮设定的值。

    make: a function that makes a schedule of an optimizer, such as ``lambda o: StepLR(o, 30)``, or a list of schedules that
    are stepped in order. epochs: how many, an integer >= 0. lr: the initial learning rate, or one for each group. optimizer:
    instead of an SGD with momentum 0.9; a copy of it is run. metrics: what a `ReduceLROnPlateau` is told, one an epoch.

    >>> from optimlab import lab
    >>> from optimlab.optim.lr_scheduler import StepLR
    >>> lab.schedule_table(lambda o: StepLR(o, 2, gamma=0.5), epochs=4, lr=0.4)
    lr = 0.4         if 0 <= epoch <= 1
    lr = 0.2         if 2 <= epoch <= 3
    lr = 0.1         if epoch == 4
    """
    epochs = int(Number(low=0, whole=True)("epochs", epochs))
    lrs = list(lr) if isinstance(lr, Sequence) else [lr]
    if optimizer is None:
        optimizer = SGD([{"params": [zeros(1, requires_grad=True)], "lr": x} for x in lrs], momentum=0.9)
    optimizer = deepcopy(optimizer)
    made = make(optimizer)
    schedules = list(made) if isinstance(made, (list, tuple)) else [made]
    if not all(hasattr(schedule, "step") for schedule in schedules):
        raise TypeError(f"make must return a schedule, or a list of them, not {type(made).__name__}")
    listens = ["metrics" in signature(schedule.step).parameters for schedule in schedules]
    told = [] if metrics is None else metrics
    if (metrics is not None or any(listens)) and len(told) < epochs:
        raise ValueError(f"metrics has {len(told)} values; it must have one for each of {epochs} epochs")

    def values() -> list[tuple[float, float]]:
        return [
            (_number(g["lr"]), _number(g["betas"][0] if "betas" in g else g.get("momentum", 0)))
            for g in optimizer.param_groups
        ]

    record = [values()]
    for epoch in range(epochs):
        optimizer.step()
        for schedule, listening in zip(schedules, listens, strict=True):
            schedule.step(*([told[epoch]] if listening else []))
        record.append(values())
    table = np.array(record)
    marked = sorted({t for schedule in schedules for t in milestones(schedule) if 0 < t <= epochs})
    return ScheduleTable([type(schedule).__name__ for schedule in schedules], table[:, :, 0], table[:, :, 1], marked)


def schedule_plot(make: Make, epochs: int, lr: float | Sequence[float] = 0.1, **options: Any) -> "Plot":
    """`schedule_table` as a picture, in one call. 一次调用画出任意调度器的曲线。"""
    return schedule_table(make, epochs, lr, **options).plot()
