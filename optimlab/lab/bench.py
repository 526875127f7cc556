"""How long a step takes: every optimizer with every engine, beside torch where it is installed.

``optimlab bench`` starts a process for each number of threads (a library reads that when it is loaded). There, for every
optimizer and workload, all contestants take one step after the other, round after round, so that what else the machine does
falls on all of them alike; the 15th percentile of the rounds is reported.

一步更新要多久：每种优化器、每种引擎，与 torch 对比。
"""

import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from optimlab import optim, set_engine, tensor
from optimlab.commit import commit
from optimlab.lab.plots import style
from optimlab.optim.kernel import NumbaRun
from optimlab.optim.tape import record

RULES = {"SGD": ("SGD", {}), "SGD momentum": ("SGD", {"momentum": 0.9})} | {
    name: (name, {})
    for name in ("Adam", "AdamW", "Adagrad", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD")
}
MIXED = {
    "9.6k in 4": (2400,) * 4,
    "62k in 10": (6200,) * 10,
    "200k in 200": (1000,) * 200,
    "11M in 62": (177_419,) * 62,
}
SINGLE = {f"1e{k}": (10**k,) for k in range(3, 9)}
WORKLOADS: dict[str, tuple[int, ...]] = MIXED | SINGLE
ENGINES = ("eager", "numpy", "numba")
MODES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
LR = 1e-3


class Cell(NamedTuple):
    """The times of one optimizer on one workload, in seconds by contestant; and what memory alone would take."""

    threads: int
    rule: str
    workload: str
    times: dict[str, float]
    limit: float

    @property
    def best_of_torch(self) -> float:
        """torch's fastest mode; NaN without torch."""
        return min((t for name, t in self.times.items() if name.startswith("torch")), default=float("nan"))


def has(library: str) -> bool:
    """Whether a library is installed."""
    return importlib.util.find_spec(library) is not None


def contestants(
    rule: str, arrays: Sequence[np.ndarray], gradients: Sequence[np.ndarray], engines: Sequence[str]
) -> dict:
    """What takes a step on these arrays, by name. All share them, to save memory; each has state of its own."""
    cls, options = RULES[rule]
    found: dict[str, Callable[[], Any]] = {}
    for engine in engines:
        ps = [tensor(0.0) for _ in arrays]
        for p, array, g in zip(ps, arrays, gradients, strict=True):
            p._array, p.requires_grad, p._grad = array, True, tensor(0.0)
            p._grad._array = g
        found[engine] = functools.partial(_step, getattr(optim, cls)(ps, lr=LR, **options), engine)
    if has("torch"):
        import torch

        tensors = [torch.from_numpy(a).requires_grad_() for a in arrays]
        for p, g in zip(tensors, gradients, strict=True):
            p.grad = torch.from_numpy(g)
        for name, mode in MODES.items():
            try:
                optimizer = getattr(torch.optim, cls)(tensors, lr=LR, **options, **mode)
                optimizer.step()
            except (TypeError, RuntimeError):  # not every optimizer has every mode
                continue
            found[f"torch {name}"] = optimizer.step
    return found


def _step(optimizer: optim.Optimizer, engine: str) -> None:
    set_engine(engine)
    optimizer.step()


def moved(rule: str, workload: str) -> int:
    """The bytes that a step has to move: p is read and written, g is read, every state is read and written."""
    cls, options = RULES[rule]
    kind = getattr(optim, cls)
    states = [x for x in kind.initial(kind.default_group() | options) if x not in kind.numbers]
    return sum(WORKLOADS[workload]) * 4 * (3 + 2 * len(states))


def copying(line: np.ndarray, other: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Ways to do ``p += a * g``, which is what memory can do at best; by the libraries that are here."""
    found: dict[str, Callable[[], Any]] = {}
    if has("numba"):
        tape, constants, _ = record(lambda p, g: {"p": p + -LR * g}, ("p",), ("p", "g"), (), {})
        found["numba"] = functools.partial(commit, NumbaRun(tape, {"p": [line]}).calls([other], constants))
    if has("torch"):
        import torch

        found["torch"] = functools.partial(torch.from_numpy(line).add_, torch.from_numpy(other), alpha=-LR)
    if not found:
        found["numpy"] = lambda: np.add(line, other, line)
    return found


def measure(rules: Sequence[str], workloads: Sequence[str], engines: Sequence[str], seconds: float) -> Iterator[Cell]:
    """All cells, one after the other, with the threads that this process has."""
    draw = np.random.default_rng(0)
    for workload in workloads:
        sizes = WORKLOADS[workload]
        arrays = [draw.standard_normal(n, np.float32) for n in sizes]
        gradients = [draw.standard_normal(n, np.float32) for n in sizes]
        line, other = (a[0] if len(a) == 1 else np.concatenate(a) for a in (arrays, gradients))
        for rule in rules:
            steps = contestants(rule, arrays, gradients, engines)
            steps |= {f"p += a g, {name}": run for name, run in copying(line, other).items()}
            times: dict[str, list[float]] = {name: [] for name in steps}
            for run in steps.values():  # state comes to be, kernels are compiled, plans are made
                for _ in range(3):
                    run()
            start = time.perf_counter()
            while len(times[engines[0]]) < 5 or time.perf_counter() - start < seconds:
                for name, run in steps.items():
                    before = time.perf_counter()
                    run()
                    times[name].append(time.perf_counter() - before)
            low = {name: float(np.percentile(t, 15)) for name, t in times.items()}
            copies = [low.pop(name) for name in list(low) if name.startswith("p +=")]
            yield Cell(threads(), rule, workload, low, min(copies) * moved(rule, workload) / (12 * line.size))


def threads() -> int:
    """The number of threads that this process was given."""
    return int(os.environ.get("OMP_NUM_THREADS", "0"))


# ---- what is shown


def table(cells: Sequence[Cell]) -> str:
    """The cells as text, in µs; ``/`` marks how many times as long torch takes, in its loop and at its best."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.times))
    head = ["threads", "optimizer", "workload", *names, "limit"]
    ratios = [("loop/numpy", "torch loop", "numpy"), ("best/numba", "", "numba")]
    ratios = [r for r in ratios if "torch loop" in names and r[2] in names]
    rows = [[*head, *(r[0] for r in ratios)]]
    for cell in cells:
        row = [str(cell.threads), cell.rule, cell.workload]
        row += [f"{cell.times[name] * 1e6:.0f}" if name in cell.times else "" for name in names]
        row.append(f"{cell.limit * 1e6:.0f}")
        for _, other, mine in ratios:
            row.append(f"{(cell.times[other] if other else cell.best_of_torch) / cell.times[mine]:.2f}")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(x.rjust(w) for x, w in zip(row, widths, strict=True)) for row in rows)


def picture(cells: Sequence[Cell], path: str) -> None:
    """A panel for every optimizer: µs a step on every workload, with memory's limit dashed."""
    from matplotlib.figure import Figure

    rules, count = list(dict.fromkeys(c.rule for c in cells)), max(c.threads for c in cells)
    rows = -(-len(rules) // 3)
    figure = Figure(figsize=(12, 3.2 * rows), dpi=100, layout="constrained")
    for ax, rule in zip(figure.subplots(rows, min(3, len(rules)), squeeze=False).flat, rules, strict=False):
        shown = [c for c in cells if c.rule == rule and c.threads == count]
        for i, name in enumerate(dict.fromkeys(name for c in shown for name in c.times)):
            ax.plot(
                [c.times.get(name, np.nan) * 1e6 for c in shown], label=name, markersize=4, linewidth=1.2, **style(i)
            )
        ax.plot([c.limit * 1e6 for c in shown], "k:", linewidth=1, label="memory")
        ax.set(title=rule, yscale="log", ylabel="µs")
        ax.set_xticks(range(len(shown)), [c.workload for c in shown], rotation=40, ha="right", fontsize="small")
        ax.grid(alpha=0.25)
    figure.axes[0].legend(fontsize="x-small")
    figure.savefig(path)


# ---- one process for each number of threads


def bench(
    rules: Sequence[str], workloads: Sequence[str], engines: Sequence[str], counts: Sequence[int], seconds: float
) -> Iterator[Cell]:
    """All cells, from a process for every number of threads."""
    for count in counts:
        number = {name: str(count) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS")}
        environment = {**os.environ, **number, "OMP_WAIT_POLICY": "PASSIVE"}  # threads that wait do not spin
        command = [sys.executable, "-m", "optimlab.lab.bench", json.dumps([rules, workloads, engines, seconds])]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                yield Cell(*json.loads(line))
        if process.returncode:
            raise RuntimeError(f"the measuring process with {count} threads ended with exit code {process.returncode}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the process that started this one tells of it
        for cell in measure(*json.loads(sys.argv[1])):
            print(json.dumps(cell), flush=True)
