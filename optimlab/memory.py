"""Memory that arrays have freed is kept for the next arrays, instead of being given back and fetched anew.

数组释放的内存留给后面的数组用，不必每次都还给系统再重新申请。
"""

import numpy as np


def keep_freed_memory() -> None:
    """Let glibc's ``malloc`` keep up to 64 MB; elsewhere this does nothing.

    It gives freed memory back as soon as twice the largest piece that it ever saw freed lies idle, at first 256 KB. Training
    frees all its intermediate results at the end of each step; fetched anew, each page of 4 KB costs a page fault: LeNet, batch
    64: 1,690 of them a step, half the time of the forward pass. One piece of just under 32 MB, never touched, raises the limit.
    """
    np.empty((32 << 20) - (64 << 10), np.uint8)
