"""A plan: all that the next steps of a parameter group need, checked and prepared; kept while it holds.

Most of a step with many small tensors would go into asking what was asked one step before: shapes, dtypes, state, options. A
plan remembers the answers with the objects that they rest on, and asks no more than whether these are still the same.

计划：一个参数组接下来各步所需的一切，检查好、准备好；只要所依据的对象不变，就一直沿用。
"""

import math
import operator
import weakref
from collections.abc import Collection
from copy import deepcopy
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.optim.blocks import drain, scratch
from optimlab.optim.engine import eager, make_run
from optimlab.optim.groups import sharing
from optimlab.optim.rows import by_rows
from optimlab.optim.scalars import Trace
from optimlab.optim.tape import Tape, follow, record
from optimlab.tensor import Tensor

if TYPE_CHECKING:
    from optimlab.optim.elementwise import Elementwise

_array = operator.attrgetter("_array")
_grad = operator.attrgetter("_grad")
_grad_array = operator.attrgetter("_grad._array")
_base = operator.attrgetter("base")
_carray = operator.attrgetter("flags.carray")
_form = operator.attrgetter("shape", "dtype")
_writeable = operator.attrgetter("flags.writeable")


def same(objects: Collection, others: Collection) -> bool:
    """Whether two rows hold the very same objects, without a line of Python for each."""
    return len(objects) == len(others) and all(map(operator.is_, objects, others))


def plain(option: Any) -> Any:
    """An option as the rule takes it: Python numbers, also where the group holds tensors; a copy of what could change."""
    if isinstance(option, tuple):
        return tuple(map(plain, option))
    if isinstance(option, Tensor):
        option = option.item()
    if isinstance(option, float):
        return option + 0.0  # -0.0 equals 0.0, so nobody would see it come
    return option if _fixed(option) else deepcopy(option)


def _fixed(option: Any) -> bool:
    """Whether an option is what it is for as long as it is the same object."""
    return all(map(_fixed, option)) if isinstance(option, tuple) else isinstance(option, (int, float, str, type(None)))


def is_flat(array: np.ndarray) -> bool:
    """Whether an array is one row of memory that may be read and written; not of a subclass, which kernels do not know."""
    return type(array) is np.ndarray and array.flags.carray


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays may share memory. Those that own theirs do not."""
    return a is b or ((a.base is not None or b.base is not None) and np.may_share_memory(a, b))


class Batch:
    """Parameters of one group that move alike: with the same letters, the same t and the same numbers.

    同一组里步调一致的参数。
    """

    def __init__(
        self, optimizer: "Elementwise", members: list[tuple[Tensor, dict]], letters: list[str], flat: bool
    ) -> None:
        self.rule, self.flat = optimizer.rule, flat
        self.params, self.states = [p for p, _ in members], [state for _, state in members]
        keys = {letter: optimizer.letters[letter] for letter in letters}
        # which letters there are is the same for all; the others take the rule's first result up
        self.known = tuple(letter for letter in letters if self.states[0].get(keys[letter]) is not None)
        new_keys = [keys[letter] for letter in letters if letter not in self.known]
        self.own = list(map(_array, self.params))
        # half precision has too few bits to compute in: its squares vanish below 1e-4, and so does ε
        self.half = optimizer._state_dtype(self.params[0]) is not self.params[0].dtype
        self.arrays = {"p": [np.array(a, np.float32, order="C") for a in self.own] if self.half else self.own}
        self.new = [{key: Tensor._wrap(np.empty_like(p)) for key in new_keys} for p in self.arrays["p"] if new_keys]
        found = [state | new for state, new in zip(self.states, self.new, strict=True)] if self.new else self.states
        self.arrays |= {letter: [state[key]._array for state in found] for letter, key in keys.items()}
        # views stay writeable, whatever is done to their arrays: to fill one is the end of a step, too late for an error
        self.numbers = {letter: [state[key]._array[...] for state in found] for letter, key in optimizer._keys.items()}
        counted = (*keys.values(), *optimizer.numbers.values())
        self.versions = [p._version for p in self.params]
        self.versions += [state[key]._version for state in found for key in counted]
        self.tensors = [x for state in self.states for x in state.values() if isinstance(x, Tensor)]
        self.rests_on = self._objects(dict(zip(self.params, self.states, strict=True)))
        self.forms = list(map(_form, self.own))
        self.seen: list[weakref.ref] = []  # gradients; not kept alive, their memory is not ours

        self.fresh = True  # whether the run has not seen these gradients yet

        self.copied: list[int] = []  # which of them lie in memory that a step writes
        # how the last step was computed: the tape, the trace, what runs it, its scalars, constants and new numbers
        self.way: tuple[Tape | None, Trace | None, Any, Any, Any, Any] = (None,) * 6

    def beware(self, arrays: list[np.ndarray], params: list[Tensor]) -> None:
        """Say what a step writes, here and in earlier groups: gradients that share memory with it are copied beforehand."""
        self.written = arrays, params
        ours = [*arrays, *map(_array, params)]
        owners = [a if a.base is None else a.base for a in ours]
        self.ids = frozenset(map(id, (*ours, *owners)))
        # whose memory this is, is known: a gradient that has memory of its own meets none of it
        self.alone = all(type(x) is np.ndarray and x.base is None for x in owners)

    def _objects(self, states: dict) -> list:
        """What all this rests on: the arrays of the parameters, their state in the optimizer, and all that is in it."""
        inside = list(chain.from_iterable(map(dict.values, self.states)))
        held = map(states.get, self.params) if inside else ()
        return [*map(_array, self.params), *map(_array, self.tensors), *inside, *held]

    def holds(self, states: dict) -> bool:
        """Whether parameters and state are still the ones that were checked."""
        return not self.new and same(self._objects(states), self.rests_on) and all(map(_writeable, self.own))

    def gradients(self) -> list[np.ndarray] | None:
        """The gradients, ready to be read while the other arrays are written; None where one is not as it was planned."""
        try:
            arrays = list(map(_grad_array, self.params))
        except AttributeError:  # None has no array: a gradient is missing
            return None
        if self.half:
            self.fresh = True
            fits = all(isinstance(g, np.ndarray) for g in arrays) and list(map(_form, arrays)) == self.forms
            return [np.array(g, np.float32, order="C") for g in arrays] if fits else None
        if not self.seen or not same(arrays, [seen() for seen in self.seen]):
            self.fresh, self.seen, self.copied = True, [], []
            if not (self.flat and self.alone and self._are_alone(arrays)):
                for i, (g, p, *others) in enumerate(zip(arrays, *self.arrays.values(), strict=True)):
                    if not isinstance(g, np.ndarray) or _form(g) != _form(p):
                        return None
                    if all(map(is_flat, (g, p, *others))) is not self.flat:
                        return None
                    owner = g if g.base is None else g.base
                    known = self.alone and type(owner) is np.ndarray and owner.base is None
                    if not (known and id(owner) not in self.ids) and self._is_written(g):
                        self.copied.append(i)
            self.seen = list(map(weakref.ref, arrays))
        for i in self.copied:
            arrays[i], self.fresh = arrays[i].copy(), True
        return arrays

    def _is_written(self, gradient: np.ndarray) -> bool:
        """Whether a gradient shares memory with anything that a step writes."""
        arrays, params = self.written
        return any(overlap(gradient, a) for a in chain(arrays, map(_array, params)))

    def _are_alone(self, arrays: list) -> bool:
        """Whether these arrays lie flat in memory that is all theirs, and are like the parameters: asked without a loop."""
        return (
            set(map(type, arrays)) == {np.ndarray}
            and same(list(map(_base, arrays)), [None] * len(arrays))
            and all(map(_carray, arrays))
            and list(map(_form, arrays)) == self.forms
            and self.ids.isdisjoint(map(id, arrays))
        )

    def scalar_state(self) -> dict[str, float] | None:
        """t and the other numbers of the state; None where the parameters do not agree any more, or one is out of range."""
        numbers = {}
        for letter, arrays in self.numbers.items():
            values = list(map(np.ndarray.item, arrays))
            if not 0 <= values[0] < math.inf or values.count(values[0]) < len(values):
                return None
            numbers[letter] = values[0]
        return numbers

    def calls(
        self, engine: str, gradients: list, numbers: dict[str, float], options: dict, maximize: bool
    ) -> list[tuple] | None:
        """What to commit for one step; None where the rule takes another branch than a step ago."""
        scalars = options | numbers
        letters, counted = tuple(self.arrays), tuple(x for x in numbers if x != "t")
        if "t" in numbers:
            numbers["t"] += 1
            scalars["t"] = int(numbers["t"])
            if not self.rule.takes_t:
                del scalars["t"]
        tape, trace, run, last, constants, results = self.way
        if scalars != last:
            if trace is not None and trace.renew(scalars):
                constants, results = trace.wanted()
            else:
                known = ("p", "g", *self.known)
                recorded = partial(record, self.rule.function, letters, known, counted, maximize=maximize)
                before, (tape, constants, results) = tape, recorded(scalars=scalars)
                if before is None or trace is not None:  # otherwise it is known that this rule cannot be followed
                    trace = follow(recorded, scalars)
                if before is None:
                    run, self.fresh = make_run(engine, tape, self.arrays, self.flat), True
                elif tape != before:  # what runs it is made of arrays as they are now, which are to be checked anew
                    return None
            self.way = tape, trace, run, scalars, constants, results  # all at once, whatever interrupts
        if self.half:
            for whole, own in zip(self.arrays["p"], self.own, strict=True):
                whole[...] = own  # whoever wrote there since
        if engine == "eager":
            calls = eager(self.rule.function, self.arrays, ("p", *self.known), gradients, scalars, maximize)
        else:
            calls = run.calls(gradients, constants, self.fresh)
            self.fresh = False
        if self.half:
            calls += [(own.__setitem__, ..., whole) for own, whole in zip(self.own, self.arrays["p"], strict=True)]
        for letter, value in (numbers | results).items():
            number = float(value)  # here an integer that is too large may still raise
            calls.append((drain, map(np.ndarray.fill, self.numbers[letter], repeat(number))))
        versions = [version[0] + 1 for version in self.versions]
        calls.append((drain, map(operator.setitem, self.versions, repeat(0), versions)))
        return calls + [(state.update, new) for state, new in zip(self.states, self.new, strict=False)]


class Plan:
    """The batches of one group, and what they rest on. 一个参数组的计划。"""

    names: list[str]  # the group's keys and values when its options were read last
    values: list[Any]
    options: dict[str, Any]  # as the rule takes them
    fixed: bool  # whether no option can change without being another object
    initial: dict[str, Any]
    maximize: bool

    def __init__(self, optimizer: "Elementwise", i: int, engine: str) -> None:
        self.group, self.engine, self.scratch = optimizer.param_groups[i], engine, scratch()
        self.__dict__.update(self._read_options(optimizer))
        self.params = list(self.group["params"])
        members: dict[tuple, list[tuple[Tensor, dict]]] = {}
        self.idle: list[Tensor] = []
        self.sparse: list[Tensor] = []  # with gradients that are
        self.new: dict[Tensor, dict] = {}  # state of parameters that have not moved before
        letters = [letter for letter in self.initial if letter not in optimizer.numbers]
        for p in self.params:
            if p.grad is None:
                self.idle.append(p)
                continue
            if p.grad.is_sparse and optimizer.takes_sparse(self.group):
                self.sparse.append(p)
                continue
            state = optimizer._checked_state(p, self.initial)
            if (state or self.initial) and optimizer.state.get(p) is not state:
                self.new[p] = state
            tensors = [state.get(optimizer.letters[letter]) for letter in letters]
            half = optimizer._state_dtype(p) is not p.dtype
            arrays = [] if half else [p.grad._array, p._array]
            arrays += [x._array for x in tensors if x is not None]
            key = (
                p._array.dtype,
                tuple(x is None for x in tensors),
                tuple(state[key].item() for key in optimizer._keys.values()),
                all(map(is_flat, arrays)),
            )
            members.setdefault(key, []).append((p, state))
        self.batches = [Batch(optimizer, pairs, letters, flat=key[-1]) for key, pairs in members.items()]
        self.written: list[np.ndarray] = []
        for batch in self.batches:
            self.written += chain(batch.own, *(group for letter, group in batch.arrays.items() if letter != "p"))
        # groups are stepped one after the other, so what a later one writes does not matter
        written = [*chain.from_iterable(plan.written for plan in optimizer._plans.values()), *self.written]
        if two := sharing(written):
            raise ValueError(
                f"two tensors of shapes {two[0].shape} and {two[1].shape}, both state or one a parameter, share memory, and "
                "a step would write there twice; give each memory of its own, as .clone() does"
            )
        params = [p for group in optimizer.param_groups[: i + 1] for p in group["params"]]
        for batch in self.batches:
            batch.beware(written, params)

    def _read_options(self, optimizer: "Elementwise") -> dict[str, Any]:
        """Check the group's options; what the plan takes down of them, by attribute."""
        group = self.group
        optimizer._check_complete(group, optimizer.rule.hyper)
        return {
            "names": list(group),
            "values": list(group.values()),
            "options": {name: plain(group[name]) for name in optimizer.rule.hyper},
            "fixed": all(_fixed(group[name]) for name in group if name != "params"),
            "initial": optimizer.initial(group),
            "maximize": bool(group.get("maximize")),
        }

    def holds(self, optimizer: "Elementwise", group: dict[str, Any], engine: str) -> bool:
        """Whether all that was planned is still so; reads changed options, and raises where they are wrong."""
        if group is not self.group or engine != self.engine or scratch() is not self.scratch:
            return False
        values = list(group.values())
        if not (self.fixed and list(group) == self.names and same(values, self.values)):
            found = self._read_options(optimizer)
            if [*found["initial"], found["maximize"]] != [*self.initial, self.maximize]:
                return False
            self.__dict__.update(found)  # all at once, whatever interrupts
        states = optimizer.state
        if not (
            same(self.params, group["params"])
            and same(list(map(_grad, self.idle)), [None] * len(self.idle))
            and all(p.grad is not None and p.grad.is_sparse for p in self.sparse)
            and all(batch.holds(states) for batch in self.batches)
        ):
            return False
        self.new = {}  # the optimizer has them
        return True

    def calls(self, optimizer: "Elementwise") -> list[tuple] | None:
        """What to commit for one step; None where a batch falls apart."""
        calls: list[tuple] = [(optimizer.state.update, self.new)] if self.new else []
        for batch in self.batches:
            gradients, numbers = batch.gradients(), batch.scalar_state()
            if gradients is None or numbers is None:
                return None
            found = batch.calls(self.engine, gradients, numbers, self.options, self.maximize)
            if found is None:
                return None
            calls += found
        whole = optimizer.takes_sparse(self.group) == "whole"
        for p in self.sparse:
            calls += by_rows(optimizer, p, self.options, self.initial, self.maximize, whole)
        return calls
