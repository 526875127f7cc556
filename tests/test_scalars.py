"""Rules whose scalars are followed: the next step's numbers come from a list, and are those of the rule itself."""

import functools
import math
import operator
from itertools import product

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim
from optimlab.lab.bench import RULES
from optimlab.optim import tape
from optimlab.optim.elementwise import Elementwise
from optimlab.optim.scalars import Scalar, Trace
from optimlab.optim.tape import record

LETTERS = (("p", "m"), ("p", "g", "m"), ("s",))


def follow(rule, letters, known, numbers, scalars):
    return tape.follow(functools.partial(record, rule, letters, known, numbers), scalars)


def scalars(**values):
    return {"t": 3, "lr": 0.1, "betas": (0.9, 0.99), "flag": True, "s": 2.0, **values}


def rule(p, g, m, s, *, t, lr, betas, flag):
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    step = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
    p = p - step * m if step > 0.01 and flag else p + np.maximum(-step, m)
    return {"p": p, "m": m, "s": s * beta1 if t % 2 else -s // 3}


def test_new_numbers_are_those_of_the_rule():
    trace = follow(rule, *LETTERS, scalars())
    renewed = 0
    for t, lr, s in product(range(1, 9), (0.0, 1e-3, 0.1, 1.0), (2.0, -7, 0.0)):
        given = scalars(t=t, lr=lr, s=s)
        wanted = record(rule, *LETTERS, given)
        if trace.renew(given):
            renewed += 1
            assert (repr(trace.wanted()), follow(rule, *LETTERS, given) is not None) == (repr(wanted[1:]), True)
            assert wanted[0] == record(rule, *LETTERS, scalars())[0]
        else:  # another branch, or another type
            assert wanted[0] != record(rule, *LETTERS, scalars())[0] or not t % 2 or isinstance(s, int)
    assert renewed > 5


@pytest.mark.parametrize(
    "change",
    [{"flag": False}, {"flag": None}, {"lr": None}, {"betas": (0.9, None)}, {"lr": 1e-9}, {"t": 4}, {"s": 2}],
    ids=str,
)
def test_what_was_not_seen_is_run_again(change):
    trace = follow(rule, *LETTERS, scalars())
    assert trace.renew(scalars(t=5)) and not trace.renew(scalars(**change)) and trace.renew(scalars())


def test_an_error_of_arithmetic_is_left_to_the_rule():
    def inverse(p, g, m, s, *, t, **_):
        return {"p": p - g * (1 / (t - 7)), "m": m, "s": s ** (5 - t)}

    trace = follow(inverse, *LETTERS, scalars())
    assert trace.renew(scalars(t=4)) and not trace.renew(scalars(t=7)) and not trace.renew(scalars(s=0.0, t=9))


def test_a_complex_number_is_left_to_the_rule():
    def root(p, g, m, s, *, lr, **_):
        return {"p": p - (1 - lr) ** 0.5 * g, "m": m, "s": s}

    assert not follow(root, *LETTERS, scalars()).renew(scalars(lr=2.0))


def test_what_is_computed_where_the_rule_no_longer_comes_stops_nothing():
    def root(p, g, m, s, *, lr, **_):
        width = lr**0.5 if lr > 0 else 1.0  # of a negative number a complex one, which has no order
        return {"p": p - g if width > 0.1 else p, "m": m, "s": s}

    assert not follow(root, *LETTERS, scalars()).renew(scalars(lr=-1.0))


def test_tuples_in_tuples_are_followed():
    def nested(p, g, m, s, *, lr, pair, **_):
        (a, b), c = pair
        return {"p": p - (a + 10 * b + 100 * c + 1000 * lr) * g, "m": m, "s": s}

    trace = follow(nested, *LETTERS, scalars(pair=((1.0, 2.0), 3.0)))
    assert trace.renew(scalars(pair=((4.0, 5.0), 6.0), lr=7.0)) and trace.wanted()[0] == [7654.0]


class Shrinking(optim.SGD):
    """A rule with a number as state."""

    numbers = {"s": "size"}

    @classmethod
    def initial(cls, group):
        return {"s": 5.0}

    @staticmethod
    def rule(p, g, s, *, t, lr):
        return {"p": p - lr * g, "s": (s - 2) ** 0.5}


class Growing(Shrinking):
    @staticmethod
    def rule(p, g, s, *, t, lr):
        return {"p": p - lr * g, "s": 10 ** (100 * t)}


@pytest.mark.parametrize("engine", ["eager", "numpy", "auto"])
@pytest.mark.parametrize("cls", [Shrinking, Growing])
def test_a_number_that_is_none_leaves_all_as_it_was(cls, engine):
    p = ol.zeros(2, requires_grad=True, dtype=ol.float64)
    optimizer = cls([p], lr=0.1)
    ol.set_engine(engine)
    try:
        for _ in range(5):
            p.grad, before = ol.ones_like(p), (p.tolist(), [x.item() for x in optimizer.state.get(p, {}).values()])
            optimizer.step()
    except (TypeError, OverflowError):
        assert before == (p.tolist(), [x.item() for x in optimizer.state[p].values()])
    else:
        raise AssertionError("no error")
    finally:
        ol.set_engine("auto")


def test_an_option_that_is_changed_in_place_is_read_anew():
    class Listed(Elementwise):
        def __init__(self, params, factors):
            super().__init__(params, locals())

        @staticmethod
        def rule(p, g, *, factors):
            return {"p": p - factors[0] * g}

    p, factors = ol.zeros(1, requires_grad=True), [1.0]
    optimizer = Listed([p], factors)
    for factors[0] in (1.0, 2.0, 4.0):
        p.grad = ol.ones(1)
        optimizer.step()
    assert p.item() == -7


CANNOT = {
    "exp": lambda t: math.exp(-t),
    "int": lambda t: int(t / 2),
    "round": lambda t: round(t / 2),
    "isinstance": lambda t: 0.5 if isinstance(t, int) and t > 2 else 0.7,  # the same for a Scalar at first
    "set": lambda t: 0.5 if t in {3} else 0.7,
    "range": lambda t: sum(1 for _ in range(t)),
    "print": lambda t: len(f"{t}"),
    "numpy": lambda t: np.log(t).item(),
    "array": lambda t: np.array([0.5, 0.7, 0.9, 1.1])[t].item(),
    "abs": lambda t: abs(t - 5),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_followed_runs_at_every_step(name):
    """Whatever a rule does to its numbers, a step does it with those of the step."""

    class Odd(optim.SGD):
        @staticmethod
        def rule(p, g, *, t, lr):
            return {"p": p - CANNOT[name](t) * g}

    class Asking(optim.SGD):
        @staticmethod
        def rule(p, g, *, t, lr):
            return {"p": p - (0.5 if type(t) is int and t > 5 else 0.7) * g}

    assert follow(Asking.rule.function, ("p",), ("p", "g"), (), {"t": 3, "lr": 0.1}) is None
    assert follow(Odd.rule.function, ("p",), ("p", "g"), (), {"t": 3, "lr": 0.1}) is None
    p = ol.zeros(1, requires_grad=True, dtype=ol.float64)
    p.grad = ol.ones(1, dtype=ol.float64)
    optimizer, wanted = Odd([p], lr=0.1), 0.0
    for t in (1, 2, 3):
        optimizer.step()
        wanted -= CANNOT[name](t)
        assert p.item() == wanted


@pytest.mark.parametrize("name", RULES)
def test_the_rules_here_are_followed(name, monkeypatch):
    """All of them, through every step; RAdam is run again where its rectification begins, ASGD where its mean does."""
    cls, options = RULES[name]
    ran = []
    rule = getattr(optim, cls).rule
    monkeypatch.setattr(rule, "function", lambda *a, f=rule.function, **k: ran.append(1) or f(*a, **k))
    p = ol.ones(3, requires_grad=True)
    optimizer = getattr(optim, cls)([p], **options)
    for t in range(1, 13):
        p.grad = ol.ones(3)
        optimizer.param_groups[0]["lr"] = 0.01 / t  # as a schedule does
        optimizer.step()
        if t in (3, 9):
            ran.clear()
    assert not ran


def test_a_scalar_does_what_its_number_does():
    functions = [getattr(operator, x) for x in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")]
    functions += [getattr(operator, x) for x in ("gt", "ge", "lt", "le", "eq", "ne")]
    numbers = (3, -2.5, 0.0, -0.0, 1, 7, float("inf"), True)
    for function, a, b in product(functions, numbers, numbers):
        try:
            wanted = function(a, b)
        except ArithmeticError as error:
            wanted = type(error)
        trace = Trace({"a": a, "b": b})
        x, y = trace.given.values()
        if type(x) is bool and type(y) is bool:  # neither of them is a Scalar
            continue
        for left, right in ((x, y), (x, b), (a, y)):
            if isinstance(wanted, type):
                with pytest.raises(wanted):
                    function(left, right)
            else:
                found = function(left, right)
                assert repr(trace.slots[found.place] if type(found) is Scalar else found) == repr(wanted)
    trace = Trace({"a": 0, "b": 0.0, "c": 0.5})
    a, b, c = trace.given.values()
    assert not a and c and repr(trace.slots[(-b).place]) == "-0.0"
