"""Checks of arguments: a refusal names the argument, its value, and what is allowed.

Each check is a value that is called with the argument's name and the argument; it returns the argument in plain Python
(a float or int as it came), so that NumPy's numbers and 0-d arrays are welcome wherever a number is meant.
"""

import math
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Check = Callable[[str, Any], Any]


class MissingError(ValueError, KeyError):
    """Something that must be there is not. A ValueError by nature; a KeyError too, because torch raises that."""

    __str__ = Exception.__str__  # a KeyError would print its message in quotes


def _item(name: str, value: Any, allowed: Callable[[], str]) -> Any:
    """The number inside a NumPy scalar or a one-element array or tensor; anything else as it is."""
    if not hasattr(value, "item"):
        return value
    if (count := math.prod(value.shape)) != 1:
        raise ValueError(f"Tensor {name} must be 1-element; {name} has {count} elements, it must be {allowed()}")
    return value.item()


@dataclass(frozen=True)
class Number:
    """A finite number in a range; ``says`` is the text torch's message begins with."""

    says: str = "Invalid {name}: {value}"
    low: float = -math.inf
    high: float = math.inf
    above: bool = False  # low itself is excluded
    below: bool = False  # high itself is excluded
    whole: bool = False  # an integer

    def allowed(self) -> str:
        """The range in words: ``a finite number >= 0``."""
        ends = [
            f"{'>' if self.above else '>='} {self.low:g}" if self.low > -math.inf else "",
            f"{'<' if self.below else '<='} {self.high:g}" if self.high < math.inf else "",
        ]
        return " ".join(["an integer" if self.whole else "a finite number", " and ".join(filter(None, ends))]).strip()

    def _admits(self, number: float) -> bool:
        low = self.low < number if self.above else self.low <= number
        high = number < self.high if self.below else number <= self.high
        return low and high and abs(number) <= sys.float_info.max  # false for NaN; 10**400 has no float

    def __call__(self, name: str, value: Any) -> float:
        plain = type(value) is int or (type(value) is float and not self.whole)
        if plain and self._admits(value):  # nearly always; a step of an optimizer checks a dozen numbers
            return value
        number = _item(name, value, self.allowed)
        try:
            # operator.index refuses 1.5; float() would accept '0.1', so strings are refused by hand
            convert = operator.index if self.whole else float
            if isinstance(number, (bool, str, bytes)):
                raise TypeError
            number = convert(number)
        except (TypeError, ValueError):
            raise TypeError(f"{self._text(name, value)}, not {type(value).__name__}") from None
        except OverflowError:
            raise ValueError(self._text(name, value)) from None
        if not self._admits(number):
            raise ValueError(self._text(name, value))
        return number

    def _text(self, name: str, value: Any) -> str:
        return f"{self.says.format(name=name, value=value)}; {name} must be {self.allowed()}"


@dataclass(frozen=True)
class Flag:
    """True or False; ``none`` admits None too, which means "choose for me"."""

    none: bool = False

    def __call__(self, name: str, value: Any) -> bool | None:
        if isinstance(value, bool) or (self.none and value is None):
            return value
        value = _item(name, value, self.allowed)
        if isinstance(value, bool):
            return value
        raise TypeError(f"Invalid {name}: {value!r}; {name} must be {self.allowed()}, not {type(value).__name__}")

    def allowed(self) -> str:
        """The values in words."""
        return "True, False or None" if self.none else "True or False"


@dataclass(frozen=True)
class Numbers:
    """A tuple of as many numbers as there are checks: ``betas``, ``etas``."""

    each: tuple[Check, ...]

    def __call__(self, name: str, value: Any) -> tuple[float, ...]:
        wanted = f"{name} must be {len(self.each)} numbers"
        if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, "__len__"):
            raise TypeError(f"Invalid {name}: {value!r}; {wanted}, not {type(value).__name__}")
        if len(value) != len(self.each):
            raise ValueError(f"Invalid {name}: {value!r}; {wanted}, not {len(value)}")
        return tuple(check(f"{name}[{i}]", x) for i, (check, x) in enumerate(zip(self.each, value, strict=True)))


@dataclass(frozen=True)
class Choice:
    """One of a few values, such as names; ``says`` is the text torch's message begins with, ``error`` what torch raises."""

    values: tuple[Any, ...]
    says: str = "Invalid {name}: {value!r}"
    error: type[Exception] = ValueError

    def __call__(self, name: str, value: Any) -> Any:
        if isinstance(value, (str, type(None))) and value in self.values:
            return value
        raise self.error(
            f"{self.says.format(name=name, value=value)}; {name} must be {self.allowed()}, not {value!r:.60}"
        )

    def allowed(self) -> str:
        """The values in words."""
        return " or ".join(map(repr, self.values))


@dataclass(frozen=True)
class Maybe:
    """What ``check`` admits, or None."""

    check: Check

    def __call__(self, name: str, value: Any) -> Any:
        return None if value is None else self.check(name, value)
