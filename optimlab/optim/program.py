"""A tape as a NumPy program: ufuncs in a row, each value in a place of its own, in place where an old value is done with.

把 tape 变成 NumPy 程序：依次调用 ufunc，旧值用完，新值就写在它的位置上。
"""

import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from optimlab.optim.tape import COMPARISONS, Tape

# Elements. To begin a pass costs some 3 µs at this size, so fewer are better, although they outgrow the second cache: 11
# million float32 in 62 arrays, torch's loop ÷ ours, at 64 k, 128 k, 256 k: SGD with momentum 0.87, 0.88, 1.00; Adagrad
# 0.82, 0.87, 0.98.
BLOCK = 1 << 18
SCRATCH = 1 << 20  # bytes for what lies between two operations
KEYWORDS = ("maximum", "minimum")  # NumPy takes no third positional argument here


class Program(NamedTuple):
    """Instructions ``(name, places of the operands, place of the result)``, and how much scratch they need.

    A place is a letter, whose array is overwritten as soon as its old value has been used for the last time; a pair
    ("float", i) or ("mask", i) in scratch; ~k for constant k; or ("bits", place), the same memory read as integers.
    """

    instructions: list[tuple[str, tuple, Any]]
    floats: int
    masks: int

    def block(self, itemsize: int) -> int:
        """How many elements to work on at a time."""
        return min(BLOCK, SCRATCH // max(1, self.floats * itemsize + self.masks) // 64 * 64)


@functools.cache
def arrange(tape: Tape) -> Program:
    """Give every value of a tape a place."""
    first, operations, results = len(tape.inputs), list(tape.operations), dict[str, int]()
    for letter, value in tape.results:
        if value < first and tape.inputs[value] == letter:
            continue  # stays as it is
        if value < first or value in results.values():  # another letter's value: a copy
            operations.append(("positive", value))
            value = first + len(operations) - 1
        results[letter] = value

    last: dict[int, float] = dict.fromkeys(results.values(), math.inf)  # the operation that uses a value last
    for k in reversed(range(len(operations))):
        if first + k in last:  # otherwise nobody needs what it makes
            for x in operations[k][1:]:
                last.setdefault(x, k)
    owner = {value: letter for letter, value in results.items()}
    place: dict[int, Any] = dict(enumerate(tape.inputs))
    busy = {letter for i, letter in enumerate(tape.inputs) if i in last}
    pools: dict[str, list] = {"float": [], "mask": []}

    def free(kind: str, candidates: Iterable = ()) -> Any:
        """The first place that is not in use, else more scratch."""
        pool = pools[kind]
        for candidate in (*candidates, *pool):
            if candidate not in busy:
                return candidate
        pool.append((kind, len(pool)))
        return pool[-1]

    def bits(place: Any) -> tuple:
        return ("bits", place)

    def copy(place: Any, out: Any) -> tuple:
        """A third of the time of np.positive, which NumPy does one by one."""
        return ("bitwise_or", (bits(place), bits(place)), bits(out))

    instructions: list[tuple[str, tuple, Any]] = []
    for value, (name, *operands) in enumerate(operations, first):
        if value not in last:
            continue
        places = tuple(x if x < 0 else place[x] for x in operands)
        dying = {place[x] for x in operands if x >= 0 and last[x] == value - first}
        kept = {places[2]} if name == "where" else set()  # read after the first write
        busy -= dying - kept
        if name in COMPARISONS:
            out = free("mask")
        else:  # best its own letter, then what is in the cache, be it lent by a letter whose own value comes later
            lent = [x for v, x in owner.items() if last[value] <= v - first]
            out = free(
                "float", [*filter(None, [owner.get(value)]), *(x for x in (*lent, *pools["float"]) if x in dying)]
            )
        busy.add(out)
        if name == "where":  # bit by bit other ^ ((chosen ^ other) & all-or-nothing): a quarter of what `where=` takes
            busy |= {*places}
            condition, chosen, other = map(bits, places)
            result, chooser = bits(out), bits(free("float"))
            instructions += [
                ("negative", (condition,), chooser),
                ("bitwise_xor", (chosen, other), result),
                ("bitwise_and", (result, chooser), result),
                ("bitwise_xor", (result, other), result),
            ]
            busy -= dying - {out}
        else:
            instructions.append(copy(places[0], out) if name == "positive" else (name, places, out))
        place[value] = out
    instructions += [copy(place[value], letter) for letter, value in results.items() if place[value] != letter]
    return Program(instructions, len(pools["float"]), len(pools["mask"]))
