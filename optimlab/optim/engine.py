"""The engine: what runs a rule on arrays. Three that give the same bits, and how one is chosen.

引擎：在数组上运行规则。三种引擎给出的结果逐位相同，这里决定用哪一种。
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from optimlab.commit import commit as commit  # optimizers know it by this name
from optimlab.optim.blocks import NumPyRun
from optimlab.optim.kernel import NumbaRun
from optimlab.optim.tape import Tape

ENGINES = ("auto", "numpy", "numba", "eager")
PATIENCE = 1.0  # seconds of stepping before "auto" compiles: about what importing Numba and compiling takes

_engine = "auto"


def set_engine(name: str) -> None:
    """Choose what runs the update rules of optimizers; the results are the same, bit for bit. 选择运行更新规则的引擎。

    name:
        ``"numpy"``: ufuncs in place, block after block.
        ``"numba"``: one compiled loop for a rule, several times faster. The first step waits for Numba's import and for the
        compiler: 0.2 to 0.6 s a rule, and a few ms once its kernel is in the user's cache folder.
        ``"auto"``, the default: NumPy; and Numba, where it is installed, for an optimizer whose steps have taken a second.
        So short runs, such as a slider's, never wait for a compiler.
        ``"eager"``: the rule as it stands, on whole arrays: slow; the other engines are checked against it.

    Raises ValueError for another name, ImportError for "numba" where it is not installed.
    """
    global _engine
    if name not in ENGINES:
        raise ValueError(f"Invalid engine: {name!r}; engine must be one of {', '.join(map(repr, ENGINES))}")
    if name == "numba" and not _numba_works():
        raise ImportError('engine "numba" needs Numba; run pip install "optimlab[lab]", or set_engine("numpy")')
    _engine = name


def get_engine() -> str:
    """The engine that ``set_engine`` chose. 当前的引擎。"""
    return _engine


@functools.cache
def _numba_works() -> bool:
    """Whether Numba can be imported. It may be there and not fit the NumPy that is."""
    try:
        importlib.import_module("numba")
    except ImportError:
        return False
    return True


def choice(seconds: float) -> str:
    """The engine for an optimizer whose steps have taken so many seconds: "numpy", "numba" or "eager"."""
    if _engine != "auto":
        return _engine
    return "numba" if seconds > PATIENCE and _numba_works() else "numpy"


class Run(Protocol):
    """A tape tied to the arrays of some parameters."""

    def calls(self, gradients: list[np.ndarray], constants: Sequence[float], fresh: bool = True) -> list[tuple]:
        """What to commit for one step; fresh: whether any gradient is another array than at the last call."""


def make_run(name: str, tape: Tape, arrays: dict[str, list[np.ndarray]], flat: bool) -> Run:
    """Tie a tape to arrays, by letter one for each parameter; flat: whether all are C-contiguous, aligned and writeable."""
    return NumbaRun(tape, arrays) if name == "numba" and flat else NumPyRun(tape, arrays, flat)


def eager(
    rule: Callable[..., dict[str, Any]],
    arrays: dict[str, list[np.ndarray]],
    known: Sequence[str],
    gradients: list[np.ndarray],
    scalars: dict[str, Any],
    maximize: bool,
) -> list[tuple]:
    """What to commit for one step, computed by the rule itself on whole arrays.

    known: the letters that the rule is given; the other arrays only take results up.
    """
    calls: list[tuple] = []
    for i, gradient in enumerate(gradients):
        # NumPy's 0-d arrays turn into scalars, whose powers are rounded in another way
        olds = {letter: np.atleast_1d(group[i]) for letter, group in arrays.items()}
        if not all(old.flags.writeable for old in olds.values()):
            raise ValueError("a parameter or its state is in memory that is read-only; put a copy there")
        g = np.atleast_1d(gradient)
        with np.errstate(all="ignore"):
            new = rule(g=-g if maximize else g, **{x: old for x, old in olds.items() if x in known}, **scalars)
        # a result may be another letter's array itself, which the commit is about to overwrite
        calls += [(old.__setitem__, ..., new[x].copy()) for x, old in olds.items() if new[x] is not old]
    return calls
