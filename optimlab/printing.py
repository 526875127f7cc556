"""Printing numbers as torch prints them: four digits, one format for the whole tensor.

像 torch 一样打印张量。
"""

import math
from collections.abc import Callable

import numpy as np

PRECISION = 4  # digits after the point
THRESHOLD = 1000  # a larger tensor is shown by its edges
EDGE = 3  # elements shown at each edge
WIDTH = 80  # characters in a line


def _format(values: np.ndarray) -> tuple[Callable[[float], str], int]:
    """One format that serves all values, and its width: integers as ``1.``, else four digits, fixed or scientific."""
    if values.dtype.kind != "f":
        width = max((len(str(v)) for v in values.tolist()), default=0)
        return lambda v: str(v).rjust(width), width
    proper = values[np.isfinite(values) & (values != 0)]  # zeros and infinities have no say in the format
    size = np.abs(proper.astype(np.float64))
    scientific = size.size > 0 and (size.max() / size.min() > 1000 or size.max() > 1e8 or size.min() < 1e-4)
    whole = bool((size == np.ceil(size)).all())

    def text(v: float) -> str:
        if scientific:
            return f"{v:.{PRECISION}e}"
        return f"{v:.0f}" + "." * math.isfinite(v) if whole else f"{v:.{PRECISION}f}"

    width = max((len(text(v)) for v in proper.tolist()), default=1)
    return lambda v: text(v).rjust(width), width


def _edges(a: np.ndarray) -> np.ndarray:
    """The elements that are shown when the middle of each long axis is left out."""
    for axis, n in enumerate(a.shape):
        if n > 2 * EDGE:
            a = a.take([*range(EDGE), *range(n - EDGE, n)], axis)
    return a


def _body(a: np.ndarray, text: Callable[[float], str], width: int, indent: int, cut: bool) -> str:
    if a.ndim == 0:
        return text(a.item())
    skip = cut and len(a) > 2 * EDGE
    rows = [*a[:EDGE], None, *a[-EDGE:]] if skip else list(a)
    if a.ndim > 1:
        parts = ["..." if r is None else _body(r, text, width, indent + 1, cut) for r in rows]
        return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    words = [" ..." if r is None else text(r.item()) for r in rows]
    per_line = max(1, (WIDTH - indent) // (width + 2))
    lines = [words[i : i + per_line] for i in range(0, len(words), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def numbers(a: np.ndarray, indent: int) -> str:
    """The elements of ``a`` in nested brackets; ``indent`` is the width of what stands before them."""
    cut = a.size > THRESHOLD
    return _body(a, *_format((_edges(a) if cut else a).ravel()), indent, cut)


def tensor_text(a: np.ndarray, prefix: str, suffixes: list[str]) -> str:
    """``prefix(numbers, suffix, …)``; a suffix that would make the line too long goes to the next."""
    indent = len(prefix) + 1
    return add_suffixes(f"{prefix}({'[]' if a.size == 0 else numbers(a, indent)}", suffixes, indent)


def add_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """``text, suffix, …)`` in lines of at most WIDTH."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        fits = length + len(suffix) + 2 <= WIDTH
        text += (", " if fits else ",\n" + " " * indent) + suffix
        length = (length + 2 if fits else indent) + len(suffix)
    return text + ")"
