"""Committing a change: what was checked and prepared beforehand happens whole or not at all.

提交：事先检查并准备好的改动，要么全部发生，要么完全不发生。
"""

import operator
from collections import deque
from collections.abc import Callable
from itertools import starmap
from typing import Any

import numpy as np


def commit(calls: list[tuple], flag: Callable[[str, int], Any] | None = None) -> None:
    """Make all of a change: each call is ``(function, *arguments)``, the function written in C. 一次性提交全部改动。

    Python looks for signals, and a debugger for its turn, between two instructions of bytecode. Here there is none between
    the first call and the last (``dict.update``, ``list.append``, ``ndarray.fill``, a ufunc with ``out``; a
    ``functools.partial`` of one where keywords are needed), so a change that was checked beforehand happens whole or not at
    all. A Python function among the calls would break that: ``np.copyto`` and ``np.where`` are ones.

    flag: called with ("overflow", number) whenever a finite number becomes infinite; a function written in C too, such as
    ``{}.setdefault``.
    """
    quiet = np.errstate(all="ignore", over="call", call=flag) if flag else np.errstate(all="ignore")
    with quiet:
        deque(starmap(operator.call, calls), maxlen=0)
