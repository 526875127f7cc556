"""Time a step of training beside torch's, in turn in one process, float32: an MLP, and LeNet; on 1 thread and on 2.

python tests/bench/train.py [rounds]

A round is a number of steps with each engine of ours and as many of torch's, one after the other; ratios are printed as the
medians of all rounds, with the medians of each part of a step. Goals: MLP 0.6, LeNet 1.3. A long run gets Numba by itself.

What limits LeNet: a step is 206 million floating-point operations, 3.2 ms at the 64 GFlop/s that one thread reaches in a matrix
product of this size, of some 6.5 ms; the rest is memory that is copied (columns of convolutions, pooling, activations), and
about 0.4 ms of Python. With two threads torch's convolutions share the work; NumPy's products are too small for OpenBLAS to
split, so ours do not. What limits the MLP: of 0.31 ms some 0.12 are matrix products, the rest is Python and NumPy's calls.
"""

import os
import subprocess
import sys
import time
from itertools import pairwise
from statistics import median
from typing import Any

STEPS = {"mlp": 50, "lenet": 5}
PARTS = ("zero_grad", "forward", "loss", "backward", "step")


def program(torch: Any, name: str) -> Any:
    """A function that takes one step of training and returns how long each part took, in seconds."""
    nn = torch.nn
    torch.manual_seed(0)
    if name == "mlp":
        net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
        x = torch.rand(64, 64)
    else:  # conv1 [6, 3, 5, 5] … fc3 [10, 84], as the source documents print it
        net = nn.Sequential(
            nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        x = torch.rand(64, 3, 32, 32)
    y = torch.randint(0, 10, (64,))
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> list[float]:
        times = [time.perf_counter()]
        optimizer.zero_grad()
        times.append(time.perf_counter())
        output = net(x)
        times.append(time.perf_counter())
        loss = loss_fn(output, y)
        times.append(time.perf_counter())
        loss.backward()
        times.append(time.perf_counter())
        optimizer.step()
        times.append(time.perf_counter())
        return [b - a for a, b in pairwise(times)]

    return step


def compare(threads: int, pairs: int) -> None:
    import torch

    import optimlab

    torch.set_num_threads(threads)
    for name, count in STEPS.items():
        steps = {"numpy": program(optimlab, name), "numba": program(optimlab, name), "torch": program(torch, name)}
        parts: dict[str, list] = {which: [] for which in steps}
        ratios: dict[str, list] = {which: [] for which in ("numpy", "numba")}
        for pair in range(pairs + 1):
            totals = {}
            for which, step in steps.items():
                if which in ratios:
                    optimlab.set_engine(which)
                times = [step() for _ in range(count)]
                totals[which] = median(map(sum, times))
                if pair:  # the first pair warms up
                    parts[which].append([median(part) for part in zip(*times, strict=True)])
            for which, found in ratios.items():
                found.append(totals[which] / totals["torch"])
        said = ", ".join(f"{median(found[1:]):.2f} with {which}" for which, found in ratios.items())
        print(f"{name}, {threads} thread(s): of torch's time {said}; medians of {pairs} rounds")
        for which, rows in parts.items():
            each = [
                f"{part} {median(column) * 1e6:.0f}"
                for part, column in zip(PARTS, zip(*rows, strict=True), strict=True)
            ]
            print(f"  {which:9} microseconds: {', '.join(each)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--threads"]:
        compare(int(sys.argv[2]), int(sys.argv[3]))
    else:
        for threads in (1, 2):  # the number is read once, when a library is loaded: a process each
            names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
            environment = os.environ | {name: str(threads) for name in names}
            pairs = sys.argv[1] if len(sys.argv) > 1 else "21"
            subprocess.run([sys.executable, __file__, "--threads", str(threads), pairs], env=environment, check=True)
