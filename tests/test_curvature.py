"""L-BFGS and conjugate gradients: against torch and scipy, at rest whatever happens, and what they refuse."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest

import latex
import optimlab as ol
from interrupts import interrupt
from optimlab import optim
from optimlab.lab.problems import BEALE, HIMMELBLAU, ROSENBROCK, quadratic
from optimlab.optim.curvature import BETA, two_loop
from optimlab.optim.linesearch import Trial, cubic_minimum, strong_wolfe
from oracle import PROBLEMS, default_dtype

BOTH = [optim.LBFGS, optim.ConjugateGradient]


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def run(torch, problem, options, dtype="float64", steps=5):
    """The parameters after every step, and the optimizer."""
    with default_dtype(torch, dtype), warnings.catch_warnings():
        warnings.simplefilter("ignore" if torch is not ol else "error")
        ps, advance = PROBLEMS[problem](torch, dtype)
        optimizer, path = torch.optim.LBFGS(ps, **options), []
        for t in range(1, steps + 1):
            advance(optimizer, t)
            path.append(np.concatenate([p.detach().numpy().reshape(-1) for p in ps]))
    return np.array(path), optimizer


def minimise(cls, f, start, **options):
    """One step of many iterations from ``start``; the point reached and the optimizer's counts."""
    p = ol.tensor(np.array(start, np.float64), requires_grad=True)
    optimizer = cls([p], **{"max_iter": 1000, "max_eval": 10000, **options})

    def closure():
        optimizer.zero_grad()
        loss = f(p)
        loss.backward()
        return loss

    optimizer.step(closure)
    return p.detach().numpy(), optimizer.state[p]


# ---- against torch and scipy


SEARCHES = pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}], ids=str)


@SEARCHES
def test_lbfgs_in_float32(options):
    torch = pytest.importorskip("torch")
    (ours, _), (theirs, _) = run(ol, "linear", options, "float32"), run(torch, "linear", options, "float32")
    assert ours.dtype == np.float32
    # the loss is a sum of squares: near its minimum float32 has half its digits, 3e-4, to offer
    assert (np.linalg.norm(ours - theirs, axis=1) <= 3e-4 * np.linalg.norm(theirs, axis=1)).all()


@SEARCHES
def test_the_state_is_torchs(options):
    torch = pytest.importorskip("torch")
    for problem in ("rosenbrock", "linear", "network"):
        limits = {"max_iter": 3, "history_size": 4}
        (_, ours), (_, theirs) = (run(lib, problem, options | limits, steps=3) for lib in (ol, torch))
        (state,), (expected,) = ours.state.values(), theirs.state.values()
        assert state.keys() == expected.keys() and repr(ours) == repr(theirs)
        for key, value in expected.items():
            for a, b in zip(*([x] if not isinstance(x, list) else x for x in (state[key], value)), strict=True):
                assert (a is None) is (b is None), key
                if a is not None:
                    np.testing.assert_allclose(
                        *(np.array(x.tolist() if hasattr(x, "tolist") else x) for x in (a, b)),
                        rtol=1e-8,
                        atol=1e-12,
                        err_msg=key,
                    )


@SEARCHES
def test_state_dicts_go_both_ways(options):
    torch = pytest.importorskip("torch")

    def translated(value, tensor):
        if isinstance(value, dict):
            return {k: translated(v, tensor) for k, v in value.items()}
        if isinstance(value, list):
            return [translated(v, tensor) for v in value]
        return tensor(value.detach().numpy()) if hasattr(value, "detach") else value

    options = {"max_iter": 3, **options}
    straight, _ = run(torch, "rosenbrock", options, steps=8)
    for first, second in ((torch, ol), (ol, torch)):
        path, before = run(first, "rosenbrock", options, steps=4)
        with default_dtype(second, "float64"):
            ps, advance = PROBLEMS["rosenbrock"](second, "float64")
            ps[0].data = second.tensor(path[-1])
            after = second.optim.LBFGS(ps, **options)
            after.load_state_dict(translated(before.state_dict(), second.tensor))
            for t in range(5, 9):
                advance(after, t)
        np.testing.assert_allclose(ps[0].detach().numpy(), straight[-1], rtol=1e-8)


def test_lbfgs_on_rosenbrock():
    """Superlinear: 46 evaluations to 3e-10, the last four of which gain as many digits as all before them."""
    errors = {}
    for n in (34, 37):
        x, state = minimise(
            optim.LBFGS, rosenbrock, (-1.2, 1), line_search_fn="strong_wolfe", max_iter=n, tolerance_change=0
        )
        errors[state["func_evals"]] = np.linalg.norm(x - 1)
    assert errors.keys() == {43, 46} and errors[43] > 1e-5 and errors[46] < 3e-10


@pytest.mark.parametrize("max_iter", [1, 2])
def test_a_single_iteration_with_a_line_search_moves(max_iter):
    """torch with max_iter=1 stays at (-1.2, 1) for ever: no evaluation is left for the line search."""
    p = ol.tensor([-1.2, 1.0], dtype=ol.float64, requires_grad=True)
    optimizer = optim.LBFGS([p], max_iter=max_iter, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(60)]
    assert losses == sorted(losses, reverse=True)
    assert np.abs(p.detach().numpy() - 1).max() < 1e-4  # where the loss changes by less than tolerance_change


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({"max_iter": 4}, [1.0, 0.0, 1.0]),
        (
            {"max_iter": 3, "line_search_fn": "strong_wolfe"},
            [1.2399051112618855, -0.2620955475074642, 0.4803018052451525],
        ),
        ({"lr": 0.3}, [1.306695955732982, -0.2236520892871598, 0.6969018136743484]),
    ],
    ids=str,
)
def test_a_closure_may_keep_the_parameters_within_bounds(options, end):
    """As the pixels of an image are; ``end`` is where torch ends, which bounds neither a trial nor the last move."""
    p = ol.tensor([0.2, 0.9, 0.5], dtype=ol.float64, requires_grad=True)
    optimizer = optim.LBFGS([p], **options)

    def closure():
        with ol.no_grad():
            p.clamp_(0, 1)
        optimizer.zero_grad()
        loss = ((p - ol.tensor([2.0, -1.0, 0.3], dtype=ol.float64)) ** 4).sum() + p.prod()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.step(closure)
    np.testing.assert_allclose(p.tolist(), end, rtol=1e-10, atol=1e-15)  # torch rounds otherwise


def wood(p):
    a, b, c, d = (p[i] for i in range(4))
    return (
        100 * (a**2 - b) ** 2
        + (a - 1) ** 2
        + (c - 1) ** 2
        + 90 * (c**2 - d) ** 2
        + 10.1 * ((b - 1) ** 2 + (d - 1) ** 2)
        + 19.8 * (b - 1) * (d - 1)
    )


def powell(p):
    a, b, c, d = (p[i] for i in range(4))
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def chained(p):
    return (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()


FUNCTIONS = [
    (ROSENBROCK, (-1.2, 1)),
    (BEALE, BEALE.start),
    (HIMMELBLAU, HIMMELBLAU.start),
    (quadratic(100.0), (4, 1)),
    (wood, (-3, -1, -3, -1)),
    (powell, (3, -1, 0, 1)),
    (chained, (-1.2, 1) * 5),
]


@pytest.mark.parametrize(("f", "start"), FUNCTIONS, ids=lambda x: getattr(x, "name", getattr(x, "__name__", "")))
def test_conjugate_gradients_need_no_more_than_scipys(f, start):
    minimize = pytest.importorskip("scipy.optimize").minimize

    def value_and_gradient(x):
        p = ol.tensor(x, requires_grad=True)
        loss = f(p)
        loss.backward()
        return loss.item(), p.grad.numpy()

    theirs = minimize(value_and_gradient, start, jac=True, method="CG", options={"gtol": 1e-6})
    for beta in BETA:
        x, state = minimise(optim.ConjugateGradient, f, start, tolerance_grad=1e-6, tolerance_change=0, beta=beta)
        assert state["n_iter"] <= 1.5 * theirs.nit, beta
        assert np.abs(value_and_gradient(x)[1]).max() <= 1e-6, beta


@pytest.mark.parametrize("beta", BETA)
def test_conjugate_gradients_on_rosenbrock(beta):
    x, state = minimise(optim.ConjugateGradient, rosenbrock, (-1.2, 1), beta=beta, tolerance_change=0)
    assert state["func_evals"] < 150
    assert np.abs(x - 1).max() < 1e-6


def test_a_single_iteration_has_evaluations_enough_for_its_search():
    x, state = minimise(
        optim.LBFGS, lambda p: (p**8).sum(), [1.0], max_iter=1, max_eval=1, lr=1e4, line_search_fn="strong_wolfe"
    )
    assert abs(x.item()) < 0.9 and state["func_evals"] > 3


def test_it_ends_where_no_parameter_moves_by_more_than_tolerance_change():
    x, state = minimise(
        optim.LBFGS, lambda p: 1e6 * (p * p).sum(), [1.0], max_iter=5, lr=0.1, tolerance_change=0.5
    )  # the loss falls by 190,000
    assert state["n_iter"] == 1 and x.item() == pytest.approx(0.9)


# ---- the pieces


def test_two_loop_is_the_update_of_the_docstring():
    draw = np.random.default_rng(0)
    n, gamma = 6, 0.3
    S = draw.standard_normal((4, n))
    Y = S + 0.3 * draw.standard_normal((4, n))
    rho = [1 / (y @ s) for y, s in zip(Y, S, strict=True)]
    lines = dict(latex.formulas(optim.LBFGS))
    H = gamma * np.eye(n)
    for s, y in zip(S, Y, strict=True):
        values = {"I": np.eye(n), "s_{k}": s[:, None], "y_{k}": y[:, None], "H_{k}": H}
        for name in (r"\rho_{k}", "V_{k}", "H_{k+1}"):
            values[name] = latex.evaluate(lines[name], values)
        H = values["H_{k+1}"]
    q = draw.standard_normal(n)
    np.testing.assert_allclose(two_loop(q, list(Y), list(S), rho, gamma)[0], H @ q, rtol=1e-12)
    np.testing.assert_allclose(two_loop(Y[-1], list(Y), list(S), rho, gamma)[0], S[-1], rtol=1e-12)  # H y = s


def test_beta_is_that_of_the_docstring():
    draw = np.random.default_rng(1)
    lines = [(n, e) for n, e in latex.formulas(optim.ConjugateGradient) if "text" in n]
    assert len(lines) == 3
    for _ in range(20):
        g, g_, d_ = draw.standard_normal((3, 5))
        values = {"g_{k}": g, "g_{k-1}": g_, "d_{k-1}": d_}
        for (_, expression), beta in zip(lines, BETA.values(), strict=True):
            assert beta(g, g_, d_) == pytest.approx(latex.evaluate(expression, values), rel=1e-12)


def test_all_conjugate_gradients_are_one_on_a_quadratic():
    """With exact steps the directions are conjugate, β is the same by all three formulas, and n steps are enough."""
    draw = np.random.default_rng(1)
    A = draw.standard_normal((8, 8))
    A = A @ A.T + np.eye(8)
    x, d_, g_ = draw.standard_normal(8), None, None
    for _ in range(8):
        g = A @ x
        d = -g
        if d_ is not None:
            betas = [beta(g, g_, d_) for beta in BETA.values()]
            assert betas == pytest.approx([betas[0]] * 3, rel=1e-6)
            d = -g + betas[0] * d_
            assert abs(d @ A @ d_) < 1e-6 * abs(d @ A @ d)
        x = x - (g @ d) / (d @ A @ d) * d
        d_, g_ = d, g
    assert np.abs(x).max() < 1e-8


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("c2", [0.1, 0.9])
def test_a_line_search_ends_where_both_conditions_hold(first, c2):
    phis = {
        "quartic": (lambda t: (t - 1) ** 4 + (t - 1) ** 2, lambda t: 4 * (t - 1) ** 3 + 2 * (t - 1)),
        "steep": (lambda t: math.exp(min(t, 700.0)) - 5 * t, lambda t: math.exp(min(t, 700.0)) - 5),
        "wavy": (lambda t: -math.sin(t) + t * t / 20, lambda t: -math.cos(t) + t / 10),
    }
    for name, (f, slope) in phis.items():
        start = Trial(0, f(0), None, slope(0))
        with np.errstate(all="ignore"):
            best = strong_wolfe(
                lambda t, f=f, slope=slope: Trial(t, f(t), None, np.float64(slope(t))),
                start, np.float64(first), c1=1e-4, c2=c2, least=1e-12, most=60,
            )  # fmt: skip
        assert best.f <= start.f + 1e-4 * best.t * start.slope, name
        assert abs(best.slope) <= c2 * abs(start.slope), name


def test_a_line_search_tries_the_points_that_torch_tries():
    """On 400 random lines, some of which are staircases, where values tie, and with few trials allowed."""
    torch = pytest.importorskip("torch")
    from torch.optim.lbfgs import _strong_wolfe

    draw = np.random.default_rng(0)
    lengths = set()
    for i in range(400):
        a, w, shift, bend = (draw.uniform(*ends) for ends in ((-3, 3), (0.1, 6), (-3, 3), (0, 0.5)))
        steps = (None, None, 2, 1)[i % 4]

        def f(t, a=a, w=w, shift=shift, bend=bend, steps=steps):
            value = a * math.sin(w * t + shift) + bend * (t - 1) ** 2 - t / 9
            return value if steps is None else round(value, steps)

        def slope(t, a=a, w=w, shift=shift, bend=bend):
            return a * w * math.cos(w * t + shift) + 2 * bend * (t - 1) - 1 / 9

        if slope(0) >= 0:
            continue
        first, c2, most = 10 ** draw.uniform(-3, 3), draw.choice([0.1, 0.5, 0.9]), int(draw.integers(0, 25))
        least = draw.choice([1e-9, 0.3])
        ours, theirs = [], []

        def phi(t, f=f, slope=slope, ours=ours):
            ours.append(float(t))
            return Trial(t, f(float(t)), None, np.float64(slope(float(t))))

        def objective(x, t, d, f=f, slope=slope, theirs=theirs):
            theirs.append(float(t))
            return f(float(t)), torch.tensor([slope(float(t))], dtype=torch.float64)

        zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        begin = Trial(0, f(0), None, np.float64(slope(0)))
        with np.errstate(all="ignore"):
            best = strong_wolfe(phi, begin, first, c1=1e-4, c2=c2, least=least, most=most)
        start = torch.tensor(slope(0), dtype=torch.float64)
        value, _, t, _ = _strong_wolfe(objective, zero, first, one, f(0), start * one, start, 1e-4, c2, least, most)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, err_msg=str(i))
        assert (best.f, float(best.t)) == (pytest.approx(value, rel=1e-9), pytest.approx(float(t), rel=1e-9))
        lengths.add(len(ours))
    assert {1, 2, 3, 5, 8} <= lengths


def test_a_line_search_comes_back_from_infinity():
    def phi(t):
        return Trial(t, math.inf, None, math.nan) if t > 2 else Trial(t, (t - 1) ** 2, None, 2 * (t - 1))

    assert strong_wolfe(phi, phi(0), 1e3, c1=1e-4, c2=0.1, least=1e-12, most=60).t == pytest.approx(1, abs=0.1)


def test_a_line_search_ends_where_no_number_is_left_between_its_ends():
    """At a jump there is no flat point; with ``least=0`` it is the numbers that run out, not the trials."""
    seen = []

    def phi(t):
        seen.append(t)
        return Trial(t, -t, None, np.float64(-1.0)) if t < 1 else Trial(t, 0.0, None, np.float64(-1.0))

    with np.errstate(all="ignore"):
        best = strong_wolfe(phi, phi(0.0), 0.5, c1=1e-4, c2=0.1, least=0.0, most=10_000)
    assert 1 - 1e-15 < best.t < 1 and len(seen) < 400


def test_cubic_minimum():
    def trial(t):
        return Trial(t, t**3 - 3 * t, None, 3.0 * t**2 - 3)  # least at 1

    for a, b in [(0, 2), (2, 0), (0.5, 1.5)]:
        assert cubic_minimum(trial(a), trial(b)) == pytest.approx(1, abs=1e-12)
    assert cubic_minimum(trial(0), trial(2), 1.5, 9) == 1.5
    assert cubic_minimum(Trial(0, 0, None, -1.0), Trial(1, -9, None, -1.0)) <= 1
    assert cubic_minimum(Trial(0, 0, None, 1.0), Trial(1, 0.5, None, 1.0)) == 0.5  # no minimum: the middle
    assert cubic_minimum(trial(2), trial(2)) == 2


# ---- at rest whatever happens


class Failing:
    """A closure on Rosenbrock's function that fails at its n-th call."""

    def __init__(self, p, optimizer, n, failure):
        self.p, self.optimizer, self.left, self.failure = p, optimizer, n, failure

    def __call__(self):
        self.left -= 1
        self.optimizer.zero_grad()
        if self.left == 0 and isinstance(self.failure, type):
            raise self.failure
        loss = rosenbrock(self.p)
        loss.backward()
        return loss + self.failure if self.left == 0 else loss


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt, math.nan, -math.inf])
@pytest.mark.parametrize("options", [{}, {"line_search_fn": "strong_wolfe"}, "cg"], ids=str)
def test_a_failing_closure_leaves_the_last_accepted_iteration(options, failure):
    """Wherever it fails: what is left is a step that took fewer iterations, and it goes on as if nothing had been."""

    def start():
        p = ol.tensor([-1.2, 1.0], dtype=ol.float64, requires_grad=True)
        if options == "cg":
            return p, optim.ConjugateGradient([p], max_iter=100)
        return p, optim.LBFGS([p], max_iter=100, **({"lr": 0.1} | options))

    accepted = {}
    for n in range(1, 12):  # what n iterations reach, by the number of them
        p, optimizer = start()
        optimizer.param_groups[0]["max_iter"] = n
        optimizer.step(Failing(p, optimizer, -1, None))
        accepted[n] = p.tolist()
    for n in range(1, 12):
        p, optimizer = start()
        with pytest.raises(failure if isinstance(failure, type) else FloatingPointError):
            optimizer.step(Failing(p, optimizer, n, failure))
        state = optimizer.state.get(p)
        if state is None:
            assert p.tolist() == [-1.2, 1.0]
            continue
        reached = accepted[state["n_iter"]]
        assert p.tolist() == reached and ol.is_grad_enabled()
        assert optimizer.step(Failing(p, optimizer, -1, None)).item() == rosenbrock(reached)


def test_a_signal_at_any_instruction_leaves_an_accepted_iteration():
    """Interrupted between any two instructions of the optimizer, it rests at an iteration, with the state of that iteration."""
    ours = ("curvature.py", "walk.py", "linesearch.py", "commit.py")

    def attempt(cls, options, point):
        p = ol.tensor([-1.2, 1.0], dtype=ol.float64, requires_grad=True)
        optimizer = cls([p], **options)
        grad = ol.tensor([0.0, 0.0], dtype=ol.float64)

        def closure():
            x, y = p.tolist()
            grad.numpy()[:] = [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]
            p.grad = grad
            return rosenbrock([x, y])

        stopped = interrupt(lambda: optimizer.step(closure), point, ours) == point
        state = {k: v for k, v in optimizer.state.get(p, {}).items() if k != "func_evals"}
        return stopped, p.tolist(), repr(state)

    for cls, options in [
        (optim.LBFGS, {"max_iter": 2, "lr": 0.1, "max_eval": 9}),
        (optim.LBFGS, {"max_iter": 2, "line_search_fn": "strong_wolfe", "max_eval": 9}),
        (optim.ConjugateGradient, {"max_iter": 2, "max_eval": 9}),
    ]:
        rests = [([-1.2, 1.0], "{}")] + [attempt(cls, options | {"max_iter": n}, math.inf)[1:] for n in (1, 2)]
        seen, point = set(), 0
        while (result := attempt(cls, options, point))[0]:
            assert result[1:] in rests, point
            seen.add(rests.index(result[1:]))
            point += 19  # every instruction would take a minute
        assert seen == {0, 1, 2} and point > 1000


@pytest.mark.parametrize("cls", BOTH)
def test_an_infinite_loss_is_too_far(cls):
    """A line search comes back from it; a step without one is refused, and the parameters are where they were."""
    p = ol.tensor([0.0], dtype=ol.float64, requires_grad=True)

    def closure():
        x = p.item()
        p.grad = ol.tensor([2 * (x - 1) if x < 2 else math.nan], dtype=ol.float64)
        return (x - 1) ** 2 if x < 2 else math.inf

    searches = {"line_search_fn": "strong_wolfe"} if cls is optim.LBFGS else {}
    cls([p], lr=1e3, **searches).step(closure)
    assert p.item() == pytest.approx(1, abs=1e-6)
    if cls is optim.LBFGS:
        p.data = ol.tensor([0.0], dtype=ol.float64)
        with pytest.raises(FloatingPointError, match="a loss of inf"):
            cls([p], lr=1e3).step(closure)
        assert p.item() == 0
    p.data = ol.tensor([3.0], dtype=ol.float64)
    with pytest.raises(FloatingPointError, match="a loss of inf"):
        cls([p], **searches).step(closure)
    with pytest.raises(FloatingPointError, match="the gradient of parameter 0 has NaN or Inf"):
        cls([p], **searches).step(lambda: closure() * 0 if p.item() < 2 else 1.0)


# ---- what it refuses


def make(cls, **options):
    return cls([ol.tensor([1.0, 2.0], requires_grad=True)], **options)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    ("closure", "wanted", "words"),
    [
        (None, TypeError, "needs a function"),
        (5, TypeError, "Invalid closure: 5"),
        (lambda: None, TypeError, "Invalid loss: None"),
        (lambda: "0.1", TypeError, "must return the loss"),
        (lambda: True, TypeError, "must return the loss"),
        (lambda: ol.ones(2), ValueError, "2 elements"),
        (lambda: ol.ones(2), RuntimeError, "cannot be converted to Scalar"),
        (lambda: 1j, TypeError, "complex"),
    ],
)
def test_bad_closures(cls, closure, wanted, words):
    optimizer = make(cls)
    with pytest.raises(wanted, match=words):
        optimizer.step(closure)
    (p,) = optimizer.param_groups[0]["params"]
    assert p.tolist() == [1, 2] and not optimizer.state
    with pytest.raises(TypeError, match=rf"^{cls.__name__}.step\(\) missing 1 required positional argument: 'closure'"):
        optimizer.step()
    with pytest.raises(RuntimeError, match="inside step"):
        optimizer.step(lambda: optimizer.step(lambda: 1.0))


@pytest.mark.parametrize("cls", BOTH)
def test_a_closure_may_return_a_number_and_must_call_backward(cls):
    optimizer = make(cls)
    (p,) = optimizer.param_groups[0]["params"]

    def closure():
        p.grad = p.detach().clone()
        return (p.detach() ** 2).sum().item() / 2

    assert optimizer.step(closure) == 2.5
    assert p.tolist() == pytest.approx([0, 0], abs=1e-4)
    with pytest.warns(UserWarning, match="no gradient") as caught:
        make(cls).step(lambda: 1.0)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("cls", "options", "wanted", "words"),
    [
        (optim.LBFGS, {"lr": -1}, ValueError, "Invalid learning rate: -1"),
        (optim.LBFGS, {"lr": ol.ones(2)}, ValueError, "Tensor lr must be 1-element"),
        (optim.LBFGS, {"max_iter": -1}, ValueError, "max_iter must be an integer >= 1"),
        (optim.LBFGS, {"max_iter": 2.5}, TypeError, "max_iter must be an integer"),
        (optim.LBFGS, {"max_eval": 0}, ValueError, "max_eval must be an integer >= 1"),
        (optim.LBFGS, {"history_size": 0}, ValueError, "history_size must be an integer >= 1"),
        (optim.LBFGS, {"tolerance_grad": -1}, ValueError, "tolerance_grad must be a finite number >= 0"),
        (optim.LBFGS, {"tolerance_change": math.nan}, ValueError, "tolerance_change must be"),
        (optim.LBFGS, {"line_search_fn": "wolfe"}, RuntimeError, "only 'strong_wolfe' is supported"),
        (optim.LBFGS, {"line_search_fn": "wolfe"}, ValueError, "must be None or 'strong_wolfe'"),
        (optim.ConjugateGradient, {"beta": "fr"}, ValueError, "'fletcher-reeves' or 'polak-ribiere'"),
        (optim.ConjugateGradient, {"beta": 1}, ValueError, "Invalid beta: 1"),
        (optim.ConjugateGradient, {"restart": 0}, ValueError, "restart must be an integer >= 1"),
        (optim.ConjugateGradient, {"max_iter": None}, TypeError, "max_iter must be an integer"),
    ],
)
def test_bad_options(cls, options, wanted, words):
    with pytest.raises(wanted, match=words):
        make(cls, **options)


@pytest.mark.parametrize("cls", BOTH)
def test_one_group_only(cls):
    a, b = ol.tensor([1.0], requires_grad=True), ol.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"doesn't support per-parameter options \(parameter groups\)"):
        cls([{"params": [a]}, {"params": [b]}])
    optimizer = cls([a])
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        optimizer.add_param_group({"params": [b]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("cls", BOTH)
def test_saved_copied_and_pickled_it_goes_on_alike(cls):
    def go_on(optimizer, steps):
        (p,) = optimizer.param_groups[0]["params"]
        for _ in range(steps):
            optimizer.step(Failing(p, optimizer, -1, None))
        return p.tolist()

    def start():
        return cls([ol.tensor([-1.2, 1.0], dtype=ol.float64, requires_grad=True)], max_iter=3)

    straight = go_on(start(), 8)
    half = start()
    go_on(half, 4)
    again = start()
    again.param_groups[0]["params"][0].data = half.param_groups[0]["params"][0].detach().clone()
    again.load_state_dict(half.state_dict())
    for twin in (copy.deepcopy(half), pickle.loads(pickle.dumps(half)), again):
        assert go_on(twin, 4) == straight


def test_a_state_that_does_not_fit_is_refused():
    p = ol.tensor([-1.2, 1.0], requires_grad=True)
    optimizer = optim.LBFGS([p], max_iter=3)
    optimizer.step(Failing(p, optimizer, -1, None))
    good = optimizer.state_dict()
    for change, wanted, words in [
        ({"d": None}, TypeError, "d of parameter 0 must be a Tensor"),
        ({"d": ol.ones(3)}, ValueError, r"\(3,\)"),
        ({"old_dirs": []}, ValueError, "must be of one length"),
        ({"n_iter": -1}, ValueError, "n_iter"),
        ({"ro": ["x"]}, TypeError, "ro"),
    ]:
        bad = {**good, "state": {0: {**good["state"][0], **change}}}
        with pytest.raises(wanted, match=words):
            optimizer.load_state_dict(bad)
    bad = {**good, "state": {0: {k: v for k, v in good["state"][0].items() if k != "t"}}}
    with pytest.raises(KeyError, match="lacks t"):
        optimizer.load_state_dict(bad)
    optimizer.state[p]["d"] = ol.ones(3)
    with pytest.raises(ValueError, match="must be"):
        optimizer.step(Failing(p, optimizer, -1, None))


@pytest.mark.parametrize("cls", BOTH)
def test_odd_parameters(cls):
    """No gradient, zero elements, a scalar, a transposed matrix, two dtypes: all in one vector."""
    matrix = ol.tensor(np.arange(6.0).reshape(2, 3).T, requires_grad=True)
    single = ol.tensor(np.float32(3.0), requires_grad=True)
    empty, idle = ol.zeros(0, requires_grad=True), ol.tensor([5.0], requires_grad=True)
    optimizer = cls([empty, matrix, single, idle])

    def closure():
        optimizer.zero_grad()
        loss = (matrix**2).sum() + (single - 1) ** 2 + empty.sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert np.abs(matrix.detach().numpy()).max() < 1e-5 and single.item() == pytest.approx(1, abs=1e-5)
    assert idle.tolist() == [5] and single.dtype is ol.float32 and matrix.dtype is ol.float64
