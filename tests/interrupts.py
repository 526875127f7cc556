"""Interrupting a change between any two instructions of bytecode, as a signal may. 在任意两条字节码之间打断。"""

import math
import sys
from collections.abc import Callable

from optimlab.autograd import is_grad_enabled, set_grad_enabled


class Stop(BaseException):
    """What an interruption raises: no ``Exception``, as KeyboardInterrupt is none."""


def interrupt(run: Callable[[], object], point: float = math.inf, files: tuple[str, ...] = ("",)) -> int:
    """Run it and raise Stop ahead of instruction number ``point``, counted from 0, if it comes so far; returns the number of
    instructions that ran. Those of files whose names end otherwise do not count.
    """
    ran, recording, before = 0, is_grad_enabled(), sys.gettrace()

    def trace(frame, event, argument):
        nonlocal ran
        if not frame.f_code.co_filename.endswith(files):
            return None
        frame.f_trace_opcodes = True
        if event in ("line", "opcode"):
            if ran >= point:
                raise Stop
            ran += 1
        return trace

    sys.settrace(trace)
    try:
        run()
    except Stop:
        pass
    finally:
        sys.settrace(before)
        set_grad_enabled(recording)  # an interruption may fall into no_grad's own way out
    return ran
