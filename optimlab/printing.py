"""Printing numbers as torch prints them: four digits, one format for the whole tensor.

像 torch 一样打印张量。
"""

import math
from collections.abc import Callable

import numpy as np


class Options:
    """How tensors are printed; ``set_printoptions`` changes it."""

    precision = 4  # digits after the point
    threshold: float = 1000  # a larger tensor is shown by its edges
    edgeitems = 3  # elements shown at each edge
    linewidth = 80  # characters in a line
    sci_mode: bool | None = None  # scientific numbers always (True), never (False), or where four digits do not do


OPTIONS = Options()
PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed: digits, how many elements in full, at each edge, in a line. 设置打印格式。

    profile: "default", "short" or "full"; the other options change it.
    """
    if profile is not None and profile not in PROFILES:
        raise ValueError(f"Invalid profile: {profile!r}; profile must be one of {', '.join(PROFILES)}")
    given: dict[str, float | None] = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen: dict[str, float] = {
        **PROFILES.get(profile or "", {}),
        **{key: value for key, value in given.items() if value is not None},
    }
    vars(OPTIONS).update(chosen, sci_mode=sci_mode)


def _format(values: np.ndarray) -> tuple[Callable[[float], str], int]:
    """One format that serves all values, and its width: integers as ``1.``, else four digits, fixed or scientific."""
    if values.dtype.kind != "f":
        width = max((len(str(v)) for v in values.tolist()), default=0)
        return lambda v: str(v).rjust(width), width
    proper = values[np.isfinite(values) & (values != 0)]  # zeros and infinities have no say in the format
    size = np.abs(proper.astype(np.float64))
    scientific = size.size > 0 and (size.max() / size.min() > 1000 or size.max() > 1e8 or size.min() < 1e-4)
    if size.size and OPTIONS.sci_mode is not None:
        scientific = OPTIONS.sci_mode
    whole = bool((size == np.ceil(size)).all())

    def text(v: float) -> str:
        if scientific:
            return f"{v:.{OPTIONS.precision}e}"
        return f"{v:.0f}" + "." * math.isfinite(v) if whole else f"{v:.{OPTIONS.precision}f}"

    width = max((len(text(v)) for v in proper.tolist()), default=1)
    return lambda v: text(v).rjust(width), width


def _edges(a: np.ndarray) -> np.ndarray:
    """The elements that are shown when the middle of each long axis is left out."""
    for axis, n in enumerate(a.shape):
        if n > 2 * OPTIONS.edgeitems:
            a = a.take([*range(OPTIONS.edgeitems), *range(n - OPTIONS.edgeitems, n)], axis)
    return a


def _body(a: np.ndarray, text: Callable[[float], str], width: int, indent: int, cut: bool) -> str:
    if a.ndim == 0:
        return text(a.item())
    skip = cut and len(a) > 2 * OPTIONS.edgeitems
    rows = [*a[: OPTIONS.edgeitems], None, *a[-OPTIONS.edgeitems :]] if skip else list(a)
    if a.ndim > 1:
        parts = ["..." if r is None else _body(r, text, width, indent + 1, cut) for r in rows]
        return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    words = [" ..." if r is None else text(r.item()) for r in rows]
    per_line = max(1, (OPTIONS.linewidth - indent) // (width + 2))
    lines = [words[i : i + per_line] for i in range(0, len(words), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def numbers(a: np.ndarray, indent: int) -> str:
    """The elements of ``a`` in nested brackets; ``indent`` is the width of what stands before them."""
    cut = a.size > OPTIONS.threshold
    return _body(a, *_format((_edges(a) if cut else a).ravel()), indent, cut)


def tensor_text(a: np.ndarray, prefix: str, suffixes: list[str]) -> str:
    """``prefix(numbers, suffix, …)``; a suffix that would make the line too long goes to the next."""
    indent = len(prefix) + 1
    return add_suffixes(f"{prefix}({'[]' if a.size == 0 else numbers(a, indent)}", suffixes, indent)


def add_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """``text, suffix, …)`` in lines of at most OPTIONS.linewidth."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        fits = length + len(suffix) + 2 <= OPTIONS.linewidth
        text += (", " if fits else ",\n" + " " * indent) + suffix
        length = (length + 2 if fits else indent) + len(suffix)
    return text + ")"
