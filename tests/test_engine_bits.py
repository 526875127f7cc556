"""Three engines, one result: the rule on whole arrays, the NumPy program and the Numba kernel give the same bits."""

import importlib.util
import json
import operator
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import bits
import optimlab as ol
from bits import using
from cases import label
from optimlab import optim
from optimlab.commit import commit
from optimlab.optim import kernel
from optimlab.optim.blocks import NumPyRun, cut
from optimlab.optim.kernel import NumbaRun
from optimlab.optim.program import BLOCK, SCRATCH, arrange
from optimlab.optim.tape import record

# the numbers here are as hard as can be, so moments overflow, of which NumPy's engine tells
pytestmark = pytest.mark.filterwarnings("ignore:overflow in a step:RuntimeWarning")

COMPILERS = ["numba"] if importlib.util.find_spec("numba") else []
CASES = bits.elementwise()


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Kernels go to a folder of their own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("OPTIMLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def assert_same_bits(arrays, others):
    assert [a.tobytes() for a in arrays] == [b.tobytes() for b in others]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=[label(*case) for case in CASES])
def test_engines_agree_to_the_bit(name, options, dtype):
    wanted = bits.run("eager", name, options, dtype)
    for engine in ("numpy", *COMPILERS):
        assert_same_bits(bits.run(engine, name, options, dtype), wanted)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_blocks_leave_no_seam(name):
    wanted = bits.run("eager", name, {}, "float32", bits.LONG)
    for engine in ("numpy", *COMPILERS):
        assert_same_bits(bits.run(engine, name, {}, "float32", bits.LONG), wanted)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Rprop", "RMSprop", "Adagrad", "NAdam", "AdamW"])
def test_half_precision_is_computed_in_single(name):
    """Only the parameter itself is rounded: in half precision 1e-5 ** 2 and eps are 0, and torch's Adam ends at -inf."""
    wanted = bits.run("eager", name, {}, "float16")
    for engine in ("numpy", *COMPILERS):
        assert_same_bits(bits.run(engine, name, {}, "float16"), wanted)
    start = np.array([[1.0, -2.0, 3.0], [0.5, 100.0, -1e-3]], np.float16).T  # not C-contiguous
    p, twin = ol.tensor(start, requires_grad=True), ol.tensor(start.astype(np.float32), requires_grad=True)
    optimizer, exact = getattr(optim, name)([p]), getattr(optim, name)([twin])
    for t in range(30):
        if t == 20:
            optimizer.load_state_dict(optimizer.state_dict())
        p.grad = ol.full((3, 2), 1e-5, dtype=ol.float16)
        twin.grad = p.grad.float()
        optimizer.step(), exact.step()
        assert p.dtype is ol.float16
        np.testing.assert_array_equal(p.detach().numpy(), twin.detach().numpy().astype(np.float16))
        with ol.no_grad():
            twin.copy_(p)  # as if it, too, had been rounded
    for key, value in optimizer.state[p].items():
        assert value.dtype is ol.float32 and value.tolist() == exact.state[twin][key].tolist()


@pytest.mark.parametrize("engine", ["numpy", *COMPILERS])
def test_arrays_of_any_make(engine, tmp_path):
    """Turned round, with gaps, read-only, in a file, overlapping their parameter: what they are is all that counts."""
    draw = np.random.default_rng(0)
    numbers = draw.standard_normal((40, 30))
    stored = np.memmap(tmp_path / "g", np.float64, "w+", shape=(40, 30))
    stored[...] = numbers
    frozen = numbers.copy()
    frozen.flags.writeable = False
    wide = np.zeros((80, 60))
    wide[::2, ::2] = numbers
    kinds = {
        "plain": lambda: numbers.copy(),
        "turned": lambda: np.asfortranarray(numbers),
        "gaps": lambda: wide.copy()[::2, ::2],
        "backwards": lambda: numbers[::-1, ::-1].copy()[::-1, ::-1],
        "frozen": lambda: frozen,
        "stored": lambda: stored.view(),
    }
    results = set()
    with using(engine):
        for of_p, of_g in [(a, b) for a in kinds for b in kinds if a not in ("frozen", "stored")]:
            p = ol.from_numpy(kinds[of_p]()).requires_grad_()
            p._grad = ol.Tensor._wrap(kinds[of_g]())
            optimizer = optim.Adam([p], weight_decay=0.1)
            optimizer.step()
            for kind in ("plain", of_g):  # the plan may not fit any more
                p._grad = ol.Tensor._wrap(kinds[kind]())
                optimizer.step()
            results.add(np.ascontiguousarray(p.detach().numpy()).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("engine", ["numpy", *COMPILERS])
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_a_gradient_that_overlaps_its_parameter_is_read_first(engine, shift):
    results = []
    for overlapping in (False, True):
        memory = np.random.default_rng(0).standard_normal(3 * BLOCK)
        p = ol.from_numpy(memory[: 2 * BLOCK]).requires_grad_()
        g = memory[shift : 2 * BLOCK + shift]
        p.grad = ol.from_numpy(g if overlapping else g.copy())
        with using(engine):
            optim.Adam([p], lr=0.1, weight_decay=0.1, decoupled_weight_decay=True).step()
        results.append(p.detach().numpy().tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("engine", ["numpy", *COMPILERS])
def test_a_parameter_may_lie_in_memory_that_is_no_arrays(engine):
    """Whose memory it is cannot be asked there: only addresses tell that the gradient is in it."""
    memory = np.array([1.0, -2.0, 3.0])
    p, twin = ol.from_numpy(np.frombuffer(memoryview(memory))), ol.tensor(memory.copy())
    p._grad, twin._grad = ol.Tensor._wrap(memory), ol.Tensor._wrap(memory.copy())
    with using(engine):
        for x in (p, twin):
            optim.AdamW([x.requires_grad_()], lr=0.1, weight_decay=0.1).step()
    assert p.tolist() == twin.tolist()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_is_cut_into_blocks_too(order):
    found = []
    for engine in ("eager", "numpy", *COMPILERS):
        draw = np.random.default_rng(0)
        p = ol.from_numpy(np.array(draw.standard_normal((BLOCK // 2 + 5, 3)), order=order)).requires_grad_()
        p.grad = ol.from_numpy(draw.standard_normal(p.shape))
        with using(engine):
            optim.SGD([p], lr=0.1, weight_decay=0.1).step()
        found.append(p.detach().numpy().tobytes())
    assert all(x == found[0] for x in found)


def test_another_branch_reads_the_gradient_that_was_there():
    """RAdam changes to its other branch, and the gradient is the very array of the step before."""
    found = []
    for engine in ("eager", "numpy", *COMPILERS):
        p = ol.tensor([1.0, 2.0], requires_grad=True)
        p.grad = ol.tensor([3.0, -4.0])
        optimizer = optim.RAdam([p], lr=0.1)
        with using(engine):
            for _ in range(bits.STEPS):
                optimizer.step()
        found.append(p.tolist())
    assert all(x == found[0] for x in found)


@pytest.mark.parametrize("engine", ["eager", "numpy", *COMPILERS])
def test_steps_that_are_counted_anew_in_place_are_seen(engine):
    """Parameters of one group that shared a t, and do no more."""
    found = []
    for split in (False, True):
        ps = [ol.tensor([1.0, 2.0], requires_grad=True) for _ in range(2)]
        optimizer = optim.Adam([{"params": [p]} for p in ps] if split else ps, lr=0.1)
        with using(engine):
            for t in range(4):
                if t == 2:
                    optimizer.state[ps[1]]["step"].fill_(10)
                for p in ps:
                    p.grad = ol.tensor([1.0, float(t)])
                optimizer.step()
        found.append([p.tolist() for p in ps])
    assert found[0] == found[1] and found[0][0] != found[0][1]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("engine", ["eager", "numpy", *COMPILERS])
def test_a_gradient_that_is_another_parameter_is_read_first(engine, groups):
    """x·y: the gradient of each is the other, as it was before the step."""
    x, y = ol.tensor([2.0, 1.0], requires_grad=True), ol.tensor([4.0, 3.0], requires_grad=True)
    optimizer = optim.SGD([{"params": [x]}, {"params": [y]}] if groups == 2 else [x, y], lr=0.5)
    with using(engine):
        for _ in range(2):
            x.grad, y.grad = y.detach(), x.detach()[:]
            optimizer.step()
    assert (x.tolist(), y.tolist()) == ([-1.5, -1.75], [3.0, 2.75])


@pytest.mark.parametrize("engine", ["eager", "numpy", *COMPILERS])
def test_a_gradient_that_an_earlier_group_writes_is_read_first(engine):
    """Also where the earlier group's parameter has new memory since the last step, and where it is its state."""
    x, y = ol.tensor([2.0, 1.0], requires_grad=True), ol.tensor([4.0, 3.0], requires_grad=True)
    optimizer = optim.SGD([{"params": [x]}, {"params": [y]}], lr=0.5, momentum=0.5)
    with using(engine):
        for _ in range(3):
            x.grad, y.grad = ol.ones(2), ol.ones(2)
            optimizer.step()
        x.data = ol.tensor([8.0, 16.0])
        x.grad, y.grad = ol.ones(2), x.detach()
        v, buffer = (optimizer.state[p]["momentum_buffer"].tolist() for p in (x, y))
        start = y.tolist()
        optimizer.step()
        assert y.tolist() == [a - 0.5 * (0.5 * b + g) for a, b, g in zip(start, buffer, [8.0, 16.0], strict=True)]
        y.grad = optimizer.state[x]["momentum_buffer"]
        v, buffer = (optimizer.state[p]["momentum_buffer"].tolist() for p in (x, y))
        start = y.tolist()
        optimizer.step()
        assert y.tolist() == [a - 0.5 * (0.5 * b + g) for a, b, g in zip(start, buffer, v, strict=True)]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("engine", ["eager", "numpy", *COMPILERS])
def test_state_that_two_parameters_share_is_refused(engine, groups):
    """What a step would leave there depends on the order, and so on the engine."""
    ps = [ol.ones(3, requires_grad=True) for _ in range(2)]
    optimizer = optim.Adam([{"params": [p]} for p in ps] if groups == 2 else ps)
    with using(engine):
        for shared in (False, True):
            for p in ps:
                p.grad = ol.ones(3)
            if not shared:
                optimizer.step()
        before = [p.tolist() for p in ps]
        optimizer.state[ps[1]]["exp_avg"] = optimizer.state[ps[0]]["exp_avg"][:]
        with pytest.raises(
            ValueError, match=r"share memory, and a step would write there twice; give each .* \.clone\(\)"
        ):
            optimizer.step()
    assert [p.tolist() for p in ps] == before


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("engine", ["eager", "numpy", *COMPILERS])
def test_a_constant_may_be_too_large_for_single_precision(engine):
    """It is infinite there, in silence: 1e300 is another word for no limit."""
    p = ol.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.Rprop([p], lr=1.0, etas=(0.5, 2.0), step_sizes=(0.0, 1e300))
    with using(engine), np.errstate(all="raise"):
        for _ in range(3):
            p.grad = ol.ones(2)
            optimizer.step()
    assert p.tolist() == [1.0 - 7.0, 2.0 - 7.0]


@pytest.mark.parametrize("engine", ["eager", "numpy", *COMPILERS])
@pytest.mark.parametrize("kind", [float, ol.tensor])
def test_minus_zero_is_zero_among_options(engine, kind):
    """They are equal, so a plan sees no change."""
    p = ol.tensor([-0.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.0)
    with using(engine):
        for value in (0.0, -0.0, -0.0):
            optimizer.param_groups[0]["lr"] = kind(value)
            p.grad = ol.ones(1)
            optimizer.step()
    assert np.signbit(p.detach().numpy()).all()  # -0 - 0; to take away -0 would make it 0


def test_an_older_processor_gives_the_same_bits():
    """Without the wide registers of this one, in NumPy and in Numba."""
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3", "NUMBA_CPU_NAME": "generic"}
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        environment = {**os.environ, "NUMBA_CPU_NAME": "generic"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", bits.__file__, "numpy", *COMPILERS],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(bits.__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    wanted = bits.digests("eager")
    for engine, found in json.loads(done.stdout).items():
        assert found == wanted, engine


# ---- rules that nobody would write


def random_rule(draw):
    """A rule that does this and that with p, g and two states, and swaps, keeps or copies some of them."""
    plan = [(draw.integers(15), *draw.integers(100, size=3), float(draw.standard_normal())) for _ in range(12)]
    ends = draw.integers(100, size=3), draw.random() < 0.3

    def rule(p, g, a, b, *, lr):
        values = [p, g, a, b]
        for kind, i, j, k, c in plan:
            x, y, z = (values[n % len(values)] for n in (i, j, k))
            values.append(
                [
                    lambda x, y, z, c: x + y,
                    lambda x, y, z, c: x - c,
                    lambda x, y, z, c: c * x,
                    lambda x, y, z, c: x / y,
                    lambda x, y, z, c: x**2,
                    lambda x, y, z, c: np.sqrt(x),
                    lambda x, y, z, c: np.abs(x),
                    lambda x, y, z, c: np.sign(x),
                    lambda x, y, z, c: np.maximum(x, c if c > 0 else y),
                    lambda x, y, z, c: np.minimum(x, y),
                    lambda x, y, z, c: np.where(x > y, y, z),
                    lambda x, y, z, c: np.where(x <= c, z, c),
                    lambda x, y, z, c: -x * lr,
                    lambda x, y, z, c: c - x,
                    lambda x, y, z, c: c / x,
                ][kind](x, y, z, c)
            )
        if ends[1]:
            return {"p": values[-1], "a": b, "b": a}
        return {"p": values[-1], "a": values[ends[0][0] % len(values)], "b": values[ends[0][1] % len(values)]}

    return rule


@pytest.mark.parametrize("seed", range(300))
def test_any_rule_gives_the_same_bits(seed):
    draw = np.random.default_rng(seed)
    rule, size = random_rule(draw), 23
    arrays = {letter: [bits.hard(draw, size, "float64")] for letter in "pabg"}
    with np.errstate(all="ignore"):
        wanted = rule(**{letter: a.copy() for letter, (a,) in arrays.items()}, lr=0.1)
    tape, constants, _ = record(rule, ("p", "a", "b"), ("p", "g", "a", "b"), (), {"lr": 0.1})
    g = arrays.pop("g")
    for make in (
        lambda a: NumPyRun(tape, a, True),
        *([lambda a: NumbaRun(tape, a)] if COMPILERS and seed < 15 else []),
    ):
        found = {letter: [a.copy() for a in group] for letter, group in arrays.items()}
        commit(make(found).calls(g, constants))
        for letter, (a,) in found.items():
            both = [np.where(np.isnan(x), np.nan, x).tobytes() for x in (a, wanted[letter])]
            assert both[0] == both[1], (letter, tape)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda p, g: np.exp(g), "use np.exp on arrays"),
        (lambda p, g: np.sum(g), "use np.sum on arrays"),
        (lambda p, g: np.sqrt(g, out=p), "use np.sqrt with out= on arrays"),
        (lambda p, g: np.add.reduce(g), "use np.add.reduce on arrays"),
        (lambda p, g: np.sqrt(g > 0), "use np.sqrt on arrays"),
        (lambda p, g: np.where(g, p, g), "use np.where like this"),
        (lambda p, g: np.where(g > 0), "use np.where like this"),
        (lambda p, g: np.where(g > 0, 1.0, 0.0), "choose between two numbers"),
        (lambda p, g: g**3, "raise an array to the power 3"),
        (lambda p, g: g ** np.float64(2), "to the power np.float64(2.0)"),
        (lambda p, g: g * np.float64(2), "put np.float64(2.0) beside an array"),
        (lambda p, g: g * True, "put True beside an array"),
        (lambda p, g: g + (g > 0), "put a comparison beside an array"),
        (lambda p, g: (g > 0) + g, "use __add__ on arrays"),
        (lambda p, g: -(g > 0), "use __neg__ on arrays"),
        (lambda p, g: g if g > 0 else p, "use __bool__ on arrays"),
        (lambda p, g: g // 2, "use __floordiv__ on arrays"),
        (lambda p, g: 2**g, "use __rpow__ on arrays"),
        (lambda p, g: operator.isub(p, g), "use __isub__ on arrays"),
        (lambda p, g: p[0], "use __getitem__ on arrays"),
        (lambda p, g: g.sum(), "use .sum of an array"),
        (lambda p, g: 1.0, "return 'p': 1.0, it must be an array"),
        (lambda p, g: g > 0, "it must be an array"),
    ],
)
def test_what_engines_would_compute_in_another_way_is_refused(rule, words):
    with pytest.raises(TypeError, match=r"^a rule cannot .* on arrays it may use") as error:
        record(lambda p, g: {"p": rule(p, g)}, ("p",), ("p", "g"), (), {})
    assert words in str(error.value)


def test_a_number_of_the_state_stays_a_number():
    with pytest.raises(TypeError, match=r"cannot return 'eta': .*, it must be a plain number"):
        record(lambda p, g, *, eta: {"p": p, "eta": g}, ("p",), ("p", "g"), ("eta",), {"eta": 0.1})


@pytest.mark.parametrize("seed", range(300))
def test_a_program_fits_its_scratch(seed):
    tape, *_ = record(random_rule(np.random.default_rng(seed)), ("p", "a", "b"), ("p", "g", "a", "b"), (), {"lr": 0.1})
    program = arrange(tape)
    for itemsize in (4, 8):
        assert 1000 < program.block(itemsize) <= BLOCK
        assert program.block(itemsize) * (program.floats * itemsize + program.masks) <= SCRATCH
    assert all(out != "g" for _, _, out in program.instructions)


def test_an_update_needs_little_scratch():
    """One value between two operations is all that Adam needs at a time."""
    options = {name: optim.Adam.default_group()[name] for name in optim.Adam.rule.hyper}
    tape, *_ = record(optim.Adam.rule.function, ("p", "m", "v"), ("p", "g", "m", "v"), (), options | {"t": 1})
    assert arrange(tape).floats == 1
    assert not any(name in ("positive", "bitwise_or") for name, *_ in arrange(tape).instructions)  # no copies


def test_nothing_is_multiplied_by_one():
    """SGD's ``1 - dampening`` is 1 as a rule; a pass over memory for it would be a fifth of the step."""
    options = {name: optim.SGD.default_group()[name] for name in optim.SGD.rule.hyper} | {"momentum": 0.9}

    def recorded(**more):
        return record(optim.SGD.rule.function, ("p", "v"), ("p", "g", "v"), (), options | more)

    tape, constants, _ = recorded()
    assert constants == [0.9, options["lr"]] and len(tape.operations) == 4
    tape, constants, _ = recorded(dampening=0.5)
    assert constants == [0.9, 0.5, options["lr"]] and len(tape.operations) == 5
    tape, constants, _ = recorded(lr=1)
    assert constants == [0.9] and len(tape.operations) == 3
    tape, constants, _ = record(lambda p, g: {"p": 1 * (p * 1.0)}, ("p",), ("p", "g"), (), {})
    assert tape.operations == () and tape.results == (("p", 0),)
    tape, constants, _ = record(lambda p, g: {"p": 1 / (1 - (p + 1) / 1)}, ("p",), ("p", "g"), (), {})
    assert constants == [1] * 4 and len(tape.operations) == 4  # of what is not a product, 1 is a number like others


@pytest.mark.parametrize("shape", [(), (0,), (7,), (64,), (65,), (3, 70), (5, 2, 33), (1, 1000), (200, 1), (2, 0, 3)])
def test_boxes_fill_a_shape_evenly(shape):
    array = np.zeros(shape, int)
    boxes = list(cut(shape, 64))
    for box in boxes:
        assert array[box].size <= 64
        array[box] += 1
    assert (array == 1).all()
    if array.size > 64 and array.ndim == 1:
        assert len(boxes) == 2 and array[boxes[0]].size - array[boxes[1]].size in (0, 1)


@pytest.mark.skipif(not COMPILERS, reason="Numba is not installed")
def test_a_kernel_is_one_readable_loop():
    tape, *_ = record(lambda p, g, *, lr: {"p": p - lr * g}, ("p",), ("p", "g"), (), {"lr": 0.1})
    assert kernel.source(tape, parallel=False) == textwrap.dedent(
        """\
        def kernel(_addresses, _pieces, _shares, _c):
            _c0 = _c[0]
            for _share in range(_shares.size - 1):
                for _k in range(_shares[_share], _shares[_share + 1]):
                    _n, _start, _size = _pieces[_k]
                    p = carray(pointer(_addresses[0, _n] + _start), _size)
                    g = carray(pointer(_addresses[1, _n] + _start), _size)
                    for _i in range(_size):
                        narrow()
                        _0 = p[_i]
                        _1 = g[_i]
                        _2 = _c0 * _1
                        _3 = _0 - _2
                        p[_i] = _3
        """
    )
