"""Time the digits network in optimlab and in torch, in turn in one process, and print the ratio.

python tests/bench/train.py [rounds]
"""

import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

import optimlab
from optimlab.lab import data
from programs import digits_mlp


def main(rounds: int) -> None:
    ours = data.digits()
    theirs = [torch.tensor(x.numpy()) for x in ours]
    times: dict[str, list[float]] = {"optimlab": [], "torch": []}
    for _ in range(rounds + 1):
        for name, module, split in [("optimlab", optimlab, ours), ("torch", torch, theirs)]:
            start = time.perf_counter()
            losses, right = digits_mlp(module, *split)
            times[name].append(time.perf_counter() - start)
            print(f"{name:9} {times[name][-1]:6.3f} s   loss {losses[-1]:.4f}   test accuracy {right:.4f}")
    ratios = [a / b for a, b in zip(times["optimlab"][1:], times["torch"][1:], strict=True)]  # the first round warms up
    print(f"optimlab / torch, median of {rounds} pairs on {torch.get_num_threads()} threads: {median(ratios):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
