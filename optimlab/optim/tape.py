"""Recording a rule: run once on symbols in place of arrays, it leaves a tape of what it does to every element.

A rule's scalars stay Python numbers, so the same run computes them: the step size of this step, the bias corrections. Where
one meets an array, the tape keeps the place and the number joins the constants. So a second run for the next step gives an
equal tape and new constants, and a rule that takes another branch gives another tape: what was compiled is looked up by it.

记录一条更新规则：用符号代替数组运行一次，得到它对每个元素所做运算的清单（tape），与标量常数分开。
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from optimlab.optim.rule import CALLS
from optimlab.optim.scalars import Scalar, Trace

FUNCTIONS = {function: function.__name__ for function, _ in CALLS.values() if isinstance(function, np.ufunc)}
COMPARISONS = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")


class Tape(NamedTuple):
    """What a rule does to every element. 规则对每个元素所做的运算。

    The letters in ``inputs`` are the values 0, 1, ...; each operation ``(name, *operands)`` makes the next. An operand is a
    value's number, or ~k for constant k. ``results``: (letter, value) pairs.
    """

    inputs: tuple[str, ...]
    operations: tuple[tuple, ...]
    results: tuple[tuple[str, int], ...]

    @property
    def constants(self) -> int:
        """How many constants there are."""
        return sum(x < 0 for _, *operands in self.operations for x in operands)


def refused(what: str) -> TypeError:
    """The error for what lies outside the vocabulary."""
    return TypeError(
        f"a rule cannot {what}; on arrays it may use + - * /, **2, **0.5, comparisons and np.{', np.'.join(CALLS)}, "
        "where np.where needs an array in one of its branches; numbers beside arrays must be Python's float or int"
    )


class _Recorder:
    """Collects operations and constants while a rule runs. A rule that is not followed runs at every step, so it is quick."""

    def __init__(self, inputs: int) -> None:
        self.next, self.operations, self.constants = inputs, list[tuple](), list[float]()

    def operand(self, x: Any) -> int:
        """A value's number, or ~k for a number that becomes constant k."""
        kind = type(x)
        if kind is Symbol:
            return x.number
        if kind is float or kind is int or kind is Scalar:
            self.constants.append(x)
            return -len(self.constants)
        raise refused(f"put {'a comparison' if kind is Mask else repr(x)} beside an array")

    def perform(self, name: str, *operands: int) -> int:
        """Take an operation down; the number of its value."""
        self.operations.append((name, *operands))
        self.next += 1
        return self.next - 1


class _Recorded:
    """What stands for an array: a recorder, and the value's number on its tape."""

    __slots__ = ("number", "recorder")
    __hash__ = object.__hash__

    def __init__(self, recorder: _Recorder, number: int) -> None:
        self.recorder, self.number = recorder, number

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> "Symbol":
        if ufunc not in FUNCTIONS or method != "__call__" or keywords or type(self) is Mask:
            extra = f" with {', '.join(keywords)}=" if keywords else ""
            raise refused(f"use np.{ufunc.__name__}{'' if method == '__call__' else '.' + method}{extra} on arrays")
        recorder = self.recorder
        return Symbol(recorder, recorder.perform(FUNCTIONS[ufunc], *map(recorder.operand, inputs)))

    def __array_function__(self, function: Callable, _: Any, arguments: tuple, __: dict) -> "Symbol":
        if function is not np.where or len(arguments) != 3 or type(arguments[0]) is not Mask:
            raise refused(
                f"use np.{function.__name__} on arrays" if function is not np.where else "use np.where like this"
            )
        condition, a, b = arguments
        if Symbol not in (type(a), type(b)):
            raise refused("choose between two numbers by np.where")
        recorder = self.recorder
        operands = condition.number, recorder.operand(a), recorder.operand(b)
        return Symbol(recorder, recorder.perform("where", *operands))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise refused(f"use .{name} of an array")


def _refusing(name: str) -> Callable:
    def method(self: Any, *_: Any) -> Any:
        raise refused(f"use {name} on arrays")

    return method


def _binary(name: str, reflected: bool = False, kind: type | None = None) -> Callable:
    def method(self: "Symbol", other: Any) -> Any:
        recorder, a, number = self.recorder, self.number, self.recorder.next
        if type(other) is Symbol:
            b = other.number
        else:
            b = recorder.operand(other)
            if name == "multiply" and other == 1:  # such as 1 - dampening: changes no bit, and costs a pass over memory
                recorder.constants.pop()
                return self
        recorder.operations.append((name, b, a) if reflected else (name, a, b))
        recorder.next = number + 1
        return (kind or Symbol)(recorder, number)

    return method


class Mask(_Recorded):
    """The outcome of a comparison; np.where takes it. 比较的结果。"""

    __slots__ = ()


class Symbol(_Recorded):
    """An array of numbers. 代替数组的符号。"""

    __slots__ = ()

    def __neg__(self) -> "Symbol":
        return Symbol(self.recorder, self.recorder.perform("negative", self.number))

    def __pow__(self, exponent: Any) -> "Symbol":
        if type(exponent) not in (float, int) or exponent not in (2, 0.5):
            raise refused(f"raise an array to the power {exponent!r}")
        return Symbol(self.recorder, self.recorder.perform("square" if exponent == 2 else "sqrt", self.number))


_BY_OPERATOR = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide"}
for _short, _name in _BY_OPERATOR.items():
    setattr(Symbol, f"__{_short}__", _binary(_name))
    setattr(Symbol, f"__r{_short}__", _binary(_name, reflected=True))
for _short, _name in zip(("gt", "ge", "lt", "le", "eq", "ne"), COMPARISONS, strict=True):
    setattr(Symbol, f"__{_short}__", _binary(_name, kind=Mask))
for _class in (Mask, Symbol):  # what Python would do in silence, or refuse without saying what helps
    for _name in (
        *("bool", "float", "int", "index", "len", "iter", "getitem", "setitem", "contains", "array", "abs", "invert"),
        *(
            "matmul",
            "rmatmul",
            "floordiv",
            "rfloordiv",
            "mod",
            "rmod",
            "rpow",
            "and",
            "rand",
            "or",
            "ror",
            "xor",
            "rxor",
        ),
        *("iadd", "isub", "imul", "itruediv", "ipow", *(() if _class is Symbol else (*_BY_OPERATOR, "neg", "pow"))),
    ):
        setattr(_class, f"__{_name}__", _refusing(f"__{_name}__"))


def record(
    rule: Callable[..., dict[str, Any]],
    letters: tuple[str, ...],
    known: tuple[str, ...],
    numbers: tuple[str, ...],
    scalars: dict[str, Any],
    maximize: bool = False,
) -> tuple[Tape, list[float], dict[str, float]]:
    """Run ``rule`` on symbols: its tape, the constants of this run, and its new state that is plain numbers.

    letters: "p" and the state whose new values are arrays; known: those of them, and "g", that the rule is given; numbers:
    the state that is plain numbers, given in ``scalars`` with t and the options; maximize: turn g round first.
    Raises TypeError where the rule leaves the vocabulary.
    """
    recorder = _Recorder(len(known))
    given: dict[str, Any] = {letter: Symbol(recorder, i) for i, letter in enumerate(known)}
    if maximize:
        given["g"] = -given["g"]
    new = rule(**given, **scalars)
    for letter in letters:
        if type(new.get(letter)) is not Symbol:
            raise refused(f"return {letter!r}: {new.get(letter)!r}, it must be an array")
    for letter in numbers:
        if type(new.get(letter)) not in (float, int, Scalar):
            raise refused(f"return {letter!r}: {new.get(letter)!r}, it must be a plain number")
    results = tuple((letter, new[letter].number) for letter in letters)
    constants = recorder.constants
    return Tape(known, tuple(recorder.operations), results), constants, {letter: new[letter] for letter in numbers}


def follow(run: functools.partial, scalars: dict[str, Any]) -> Trace | None:
    """The trace of what ``run``, `record` of a rule but for the scalars, does to them; None where the rule cannot be followed."""
    code = getattr(run.args[0], "__code__", None)
    if code is None or "type" in code.co_names:  # type() would find Scalars, not numbers
        return None
    trace = Trace(scalars)
    try:
        tape, constants, results = run(scalars=trace.given)
    except Exception:  # whatever Scalars cannot do; with numbers the same rule has just run without an error
        return None
    trace.finish(constants, results)
    # a rule that asks whether two numbers are one object, say, takes another way with Scalars
    return trace if (tape, *trace.wanted()) == run(scalars=scalars) else None
