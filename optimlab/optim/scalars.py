"""Following a rule's scalars: what it does to plain numbers, taken down once, so that the next step only computes it anew.

To run a rule on symbols in place of arrays (see `tape`) takes Python 10 µs and more, most of a step on small parameters; a
rule that uses t would pay it at every step. Run on `Scalar`s in place of numbers too, it leaves a list of what it does to
them, and to go through that list takes 2 µs. Where the rule looks at a number (``if rho <= 5``) the outcome is taken down: once
it comes out otherwise, the rule itself has to be run again.

跟踪规则里的标量：把规则对普通数字所做的运算记录一次，下一步只需照单重算；一旦某个条件的结果变了，就重新运行规则。
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any


class Scalar:
    """What stands for a number. Whatever is not here (``math.exp``, ``int``, print) makes a rule one that is not followed."""

    __slots__ = ("place", "trace")
    __hash__ = None  # type: ignore[assignment]

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise TypeError("isinstance has another answer for what stands for a number")

    def __init__(self, trace: "Trace", place: int) -> None:
        self.trace, self.place = trace, place

    def __bool__(self) -> bool:
        return self != 0

    def __neg__(self) -> "Scalar":
        return Scalar(self.trace, self.trace.perform(operator.mul, -1, self))

    def __repr__(self) -> str:
        raise TypeError("what is printed changes with every step")


NUMBERS = (Scalar, float, int, bool)  # what a Scalar may meet


def _arithmetic(function: Callable, reflected: bool) -> Callable:
    def method(self: Scalar, other: Any) -> Any:
        if type(other) not in NUMBERS:
            return NotImplemented
        place = self.trace.perform(function, *((other, self) if reflected else (self, other)))
        return Scalar(self.trace, place)

    return method


def _comparison(function: Callable) -> Callable:
    def method(self: Scalar, other: Any) -> bool:
        if type(other) not in NUMBERS:
            return NotImplemented
        trace = self.trace
        trace.looks.append(trace.perform(function, self, other))
        return trace.slots[-1]

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Scalar, f"__{_name}__", _arithmetic(getattr(operator, _name), reflected=False))
    setattr(Scalar, f"__r{_name}__", _arithmetic(getattr(operator, _name), reflected=True))
for _name in ("gt", "ge", "lt", "le", "eq", "ne"):
    setattr(Scalar, f"__{_name}__", _comparison(getattr(operator, _name)))


def _flat(values: Iterable) -> list[Any]:
    """All values in a row, also those in tuples such as betas."""
    return [x for value in values for x in (_flat(value) if type(value) is tuple else (value,))]


class Trace:
    """What a rule does to its scalars, ready to be done to others. 规则对标量所做的运算，可以在新的数值上重做。

    scalars: t, options and state that is plain numbers, by name; floats and integers are followed, the rest must stay.
    """

    def __init__(self, scalars: dict[str, Any]) -> None:
        self.slots = _flat(scalars.values())  # a place for every number: the given ones first
        self.steps: list[tuple[Callable, int, int, int]] = []  # function, places of its operands and of its value
        self.looks: list[int] = []  # the places of outcomes that the rule has seen
        self.types = list(map(type, self.slots))
        self.fixed = [i for i, kind in enumerate(self.types) if kind not in (float, int)]
        place = iter(range(len(self.slots)))

        def enter(x: Any) -> Any:
            if type(x) is tuple:
                return tuple(map(enter, x))
            i = next(place)
            return Scalar(self, i) if type(x) in (float, int) else x

        self.given = {name: enter(value) for name, value in scalars.items()}

    def place(self, x: Any) -> int:
        """Where a number is; a plain one gets a place of its own."""
        if type(x) is Scalar:
            return x.place
        self.slots.append(x)
        return len(self.slots) - 1

    def perform(self, function: Callable, a: Any, b: Any) -> int:
        """Take down that ``function`` was called; the place of its value."""
        i, j = self.place(a), self.place(b)
        self.slots.append(function(self.slots[i], self.slots[j]))
        self.steps.append((function, i, j, len(self.slots) - 1))
        return len(self.slots) - 1

    def finish(self, constants: list[Any], results: dict[str, Any]) -> None:
        """Say which numbers are wanted."""
        self.constants = list(map(self.place, constants))
        self.results = {letter: self.place(x) for letter, x in results.items()}
        self.outcomes = [self.slots[i] for i in self.looks]

    def wanted(self) -> tuple[list[float], dict[str, float]]:
        """The constants of the tape, and the new state that is plain numbers."""
        return [self.slots[i] for i in self.constants], {letter: self.slots[i] for letter, i in self.results.items()}

    def renew(self, scalars: dict[str, Any]) -> bool:
        """Compute all anew; False where the rule could do something else with these scalars."""
        slots, values = self.slots, _flat(scalars.values())
        if list(map(type, values)) != self.types or [values[i] for i in self.fixed] != [slots[i] for i in self.fixed]:
            return False
        slots[: len(values)] = values
        try:
            for function, i, j, out in self.steps:
                slots[out] = function(slots[i], slots[j])
        except (ArithmeticError, TypeError):  # the rule, when it is run, will not come here, or raise it itself
            return False
        wanted = [*self.constants, *self.results.values()]
        return [slots[i] for i in self.looks] == self.outcomes and complex not in [type(slots[i]) for i in wanted]
