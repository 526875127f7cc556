"""A step of any optimizer happens whole or not at all, wherever it is interrupted and whatever fails."""

import contextlib
import copy
import importlib.util
import random
import signal
import sys
import warnings

import numpy as np
import pytest

import optimlab as ol
from bits import using
from interrupts import Stop, interrupt
from optimlab import graph, optim
from optimlab.optim import blocks

pytestmark = pytest.mark.usefixtures("no_finalizers")
ENGINES = ["eager", "numpy", *(["numba"] if importlib.util.find_spec("numba") else [])]
OPTIONS = {  # where the defaults leave something out; apart: each parameter in a group of its own
    "SGD": [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9, "apart": True}],
    "Adafactor": [{"apart": True}],
    "Muon": [{"apart": True}],
    "Adam": [{"amsgrad": True, "weight_decay": 0.1}, {"lr": ol.tensor(0.1)}],
    "RMSprop": [{"centered": True, "momentum": 0.9}],
    "LBFGS": [{"max_iter": 4, "max_eval": 30, "line_search_fn": "strong_wolfe"}, {"max_iter": 4, "max_eval": 30}],
    "ConjugateGradient": [{"max_iter": 4}],
}
SEARCHES = ("LBFGS", "ConjugateGradient")  # which try points of their own, and must come back
CLASSES = [
    name
    for name in optim.__all__
    if isinstance(kind := getattr(optim, name), type)
    and issubclass(kind, optim.Optimizer)
    and kind is not optim.Optimizer
]
CASES = [(name, options) for name in CLASSES for options in OPTIONS.get(name, [{}])]
STEPS = [case for case in CASES if case[0] not in SEARCHES]
names = [f"{name}({', '.join(options)})" for name, options in CASES]
step_names = [f"{name}({', '.join(options)})" for name, options in STEPS]


class Problem:
    """Two parameters of an optimizer, its closure, and all that a step changes as bytes."""

    def __init__(self, name, options, size=(3, 2)):
        draw = np.random.default_rng(0)
        self.ps = [ol.tensor(draw.standard_normal(size).astype("float32"), requires_grad=True) for _ in range(2)]
        groups = [{"params": [p]} for p in self.ps] if options.get("apart") else self.ps
        self.optimizer = getattr(optim, name)(groups, **{key: x for key, x in options.items() if key != "apart"})
        self.goal = ol.tensor(draw.standard_normal(size).astype("float32"))
        self.sparse = name == "SparseAdam"
        self.closure = self._closure if name in SEARCHES else None

    def _closure(self):
        self.optimizer.zero_grad()
        loss = sum((((p - self.goal) ** 2) ** 2).sum() for p in self.ps)
        loss.backward()
        return loss

    def prepare(self):
        """What comes before a step."""
        if self.closure is None:
            self._closure()
        if self.sparse:
            for p in self.ps:
                p.grad = p.grad.to_sparse(1)

    def step(self):
        self.optimizer.step(self.closure) if self.closure else self.optimizer.step()

    def bits(self):
        """Everything that a step may change."""
        state = [(key, as_bytes(x)) for p in self.ps for key, x in self.optimizer.state.get(p, {}).items()]
        return [p._array.tobytes() for p in self.ps], [p._version[0] for p in self.ps], state

    def numbers(self):
        return [p._array.tobytes() for p in self.ps]


def as_bytes(x):
    """A state's value, to be compared."""
    if isinstance(x, (list, tuple)):
        return [as_bytes(y) for y in x]
    return x._array.tobytes() if isinstance(x, ol.Tensor) else x


def outcomes(name, options, steps_before):
    """A problem before a step, and what a step may leave: all as it was, or all as it is after."""
    problem = Problem(name, options)
    for _ in range(steps_before):
        problem.prepare()
        problem.step()
    problem.prepare()
    twin = copy.deepcopy(problem)
    twin.step()
    return problem, problem.bits(), twin.bits()


def versions_aside(bits):
    return bits[0], bits[2]


@pytest.mark.parametrize("steps_before", [0, 1, 3])
@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(("name", "options"), STEPS, ids=step_names)
def test_at_every_instruction_all_is_old_or_all_is_new(name, options, which, steps_before):
    """An interruption leaves what is there at that instruction: a look at each is as good as an interruption at each."""
    with using(which):
        problem, before, after = outcomes(name, options, steps_before)
        assert before != after
        seen = []

        def trace(frame, event, argument):
            frame.f_trace_opcodes = True
            if event in ("line", "opcode", "return"):
                bits = problem.bits()
                if not seen or bits != seen[-1]:
                    seen.append(bits)
            return trace

        sys.settrace(trace)
        try:
            problem.step()
        finally:
            sys.settrace(None)
    # a deep copy counts versions anew, but one step is one more
    assert [versions_aside(bits) for bits in seen] == [versions_aside(before), versions_aside(after)]
    assert all(new > old for old, new in zip(seen[0][1], seen[1][1], strict=True))


def interrupted(problem, point):
    """Run a step and raise at instruction ``point``; whether it came so far."""
    ran = interrupt(problem.step, point)
    problem.optimizer._running.clear()  # it may have fallen into the step's own way out
    return ran == point


@pytest.mark.parametrize(("name", "options"), CASES, ids=names)
def test_after_an_interruption_it_goes_on_as_if_nothing_had_been(name, options):
    """38. At instructions drawn at random; that there is no half step at any of them is seen above."""
    search = name in SEARCHES
    reached = [Problem(name, {**options, "max_iter": n} if search else options) for n in range(1, 5)]
    for problem in reached:
        problem.prepare()
        problem.step()
    start = Problem(name, options)
    allowed = [p.numbers() for p in (start, *reached)]
    draw, point = random.Random(0), 0
    while True:
        problem = Problem(name, options)
        problem.prepare()
        if not interrupted(problem, point):
            break
        assert problem.numbers() in allowed, point
        if not search:
            whole = problem.numbers() == allowed[0]
            problem.step() if whole else None
            assert problem.numbers() == allowed[1]
        point += draw.randrange(1, 3000 if search else 400)
    assert point > 500


@pytest.mark.parametrize("key", ["step", "exp_avg", "exp_avg_sq"])
@pytest.mark.parametrize("which", ENGINES)
def test_state_that_becomes_read_only_makes_no_half_step(which, key):
    with using(which):
        problem, before, after = outcomes("Adam", {}, 2)
        problem.optimizer.state[problem.ps[1]][key].numpy().flags.writeable = False
        with contextlib.suppress(ValueError):  # it may be refused, or not be seen
            problem.step()
        assert versions_aside(problem.bits()) in (versions_aside(before), versions_aside(after))
        before = problem.bits()
        problem.optimizer.param_groups[0]["weight_decay"] = 0.1  # another branch, for which all is looked at again
        with pytest.raises(ValueError, match=f"{key} of a parameter is in memory that is read-only; put a copy there"):
            problem.step()
        assert problem.bits() == before


@pytest.mark.parametrize("change", [{"lr": 0.5}, {"maximize": True}], ids=str)
def test_an_option_is_not_lost_where_the_step_after_its_change_is_interrupted(change):
    def changed():
        problem = Problem("SGD", {"lr": 0.1, "momentum": 0.9})
        for _ in range(2):
            problem.prepare()
            problem.step()
        problem.prepare()
        problem.optimizer.param_groups[0].update(change)
        return problem

    calm, point = changed(), 0
    start = calm.numbers()
    calm.step()
    while interrupted(problem := changed(), point):
        if problem.numbers() == start:
            problem.step()
        assert problem.numbers() == calm.numbers(), point
        point += 3  # to read options takes more instructions than that
    assert point > 500


@pytest.mark.parametrize(("name", "options"), CASES, ids=names)
def test_under_signals(name, options):
    """An alarm at odd times: each step has happened whole or not at all, and the run ends where an undisturbed one does."""
    calm, disturbed, hits = Problem(name, options, (10, 5)), Problem(name, options, (10, 5)), 0

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    draw = random.Random(1)
    try:
        while hits < 2000 / len(CASES):
            for problem in (calm, disturbed):
                problem.prepare()
            calm.step() if name not in SEARCHES else None
            start = disturbed.bits()
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 4e-4))
                try:
                    disturbed.step()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                hits += 1
                if name not in SEARCHES and disturbed.bits() == start:
                    disturbed.step()
            ol.set_grad_enabled(True)  # the alarm may fall into no_grad's own way out
            if name not in SEARCHES:
                assert versions_aside(disturbed.bits()) == versions_aside(calm.bits())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(("name", "options"), STEPS, ids=step_names)
def test_when_memory_runs_out(name, options, which, monkeypatch):
    """Each allocation of NumPy's fails once, the first, the second, and so on: then nothing has moved."""
    allocators = ["empty", "empty_like", "full_like", "zeros_like", "zeros", "ones", "full"]
    originals = {x: getattr(np, x) for x in allocators}
    for failing in range(1000):
        with using(which):
            blocks.renew()
            problem, before, after = outcomes(name, options, 0)
            left = failing

            def allocate(original):
                def run(*args, **kwargs):
                    nonlocal left
                    left -= 1
                    if left < 0:
                        raise MemoryError
                    return original(*args, **kwargs)

                return run

            with monkeypatch.context() as patch:
                for x in allocators:
                    patch.setattr(np, x, allocate(originals[x]))
                try:
                    problem.step()
                except MemoryError:
                    assert problem.bits() == before
                else:
                    break
            problem.step()
            assert versions_aside(problem.bits()) == versions_aside(after)
    assert failing > 0 or not problem.optimizer.state


ROWS = "SparseAdam"  # writes rows picked out by index, for which NumPy makes objects


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a generator's own end may need an object
@pytest.mark.parametrize("which", [x for x in ENGINES if x != "eager"])
@pytest.mark.parametrize(
    ("name", "options"),
    [x for x in STEPS if x[0] != ROWS],
    ids=[x for x in step_names if not x.startswith(ROWS)],
)
def test_when_no_object_can_be_made(name, options, which):
    """Each allocation of Python's own fails once, those in C included: what a commit needs has been made beforehand."""
    testing = pytest.importorskip("_testcapi")
    with using(which):
        problem, before, after = outcomes(name, options, 3)
        for failing in range(10_000):
            testing.set_nomemory(failing, failing + 1)
            try:
                problem.step()
            except (MemoryError, SystemError):  # NumPy does not always say what was wrong
                testing.remove_mem_hooks()
                assert versions_aside(problem.bits()) in (versions_aside(before), versions_aside(after))
                if problem.bits() != before:
                    problem, before, after = outcomes(name, options, 3)
            else:
                break
            finally:
                testing.remove_mem_hooks()
                graph._mode.recording = True
                problem.optimizer._running.clear()
        assert failing > 50 and versions_aside(problem.bits()) == versions_aside(after)


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(("name", "options"), CASES, ids=names)
def test_floating_point_errors_are_not_heard(name, options, which):
    """Infinities and their kin are results like others: no error, no warning, whatever NumPy was told to do with them."""
    with using(which), np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "overflow in a step")  # which says in words that a state became infinite
        problem = Problem(name, options)
        if problem.closure:  # a loss that is not finite they refuse, in words of their own
            for value in (1e8, 1e-44):
                problem.goal = ol.full(problem.goal.shape, value)
                problem.step()
            return
        for value in (1e38, 1e-44, np.inf, np.nan):
            for p in problem.ps:
                p.grad = ol.full(p.shape, value)
                p.grad = p.grad.to_sparse(1) if problem.sparse else p.grad
            problem.step()
