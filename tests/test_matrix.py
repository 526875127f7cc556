"""Adafactor and Muon: against torch, against their docstrings, and where they do better."""

import copy
import math
import pickle

import numpy as np
import pytest

import latex
import optimlab as ol
from optimlab import optim
from optimlab.optim.matrix import bfloat16, lerp, newton_schulz, rms
from oracle import default_dtype, to_array


def run(torch, name, options, shape, steps=20):
    """The parameter and its state after steps on recorded gradients."""
    draw = np.random.RandomState(1)
    with default_dtype(torch, "float64"):
        p = torch.tensor(draw.standard_normal(shape), requires_grad=True)
        optimizer = getattr(torch.optim, name)([p], **options)
        for _ in range(steps):
            p.grad = torch.tensor(draw.standard_normal(shape))
            optimizer.step()
        return {k: to_array(v) for k, v in {"p": p, **optimizer.state[p]}.items()}


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("Adafactor", {"weight_decay": 0.1}, (2, 3, 4)),
        ("Adafactor", {"d": 1.5}, (2, 1, 2, 3)),
        ("Adafactor", {"maximize": True}, (1, 1)),
        ("Muon", {}, (10, 5)),
        ("Muon", {}, (3, 7)),
        ("Muon", {"ns_steps": 0}, (4, 3)),
        ("Muon", {"momentum": 0}, (1, 1)),
    ],
    ids=str,
)
def test_other_shapes_are_torchs_too(name, options, shape):
    torch = pytest.importorskip("torch")
    ours, theirs = run(ol, name, options, shape), run(torch, name, options, shape)
    assert list(ours) == list(theirs)
    for key, value in theirs.items():  # sums in another order, fused multiply-add; bfloat16 comes out equal
        assert ours[key].dtype == value.dtype
        np.testing.assert_allclose(ours[key], value, rtol=1e-12, atol=1e-14, err_msg=key)


# ---- the formulas


def sample(cls, p, **options):
    """One step from a state in the middle of things: the arrays before, the gradient, the arrays after."""
    draw = np.random.default_rng(0)
    p = ol.tensor(p, requires_grad=True)
    optimizer = cls([p], **options)
    for _ in range(4):
        before = {"p": p.detach().numpy().copy()} | {k: v.numpy().copy() for k, v in optimizer.state.get(p, {}).items()}
        g = draw.standard_normal(p.shape)
        p.grad = ol.tensor(g)
        optimizer.step()
    return before, g, {"p": p.detach().numpy()} | {k: v.numpy() for k, v in optimizer.state[p].items()}


def test_adafactor_is_the_formula_of_its_docstring():
    eps, d, lr, weight_decay, beta2_decay = (1e-3, 1e-2), 1.2, 0.7, 0.1, -0.7
    p = 0.1 * np.random.default_rng(1).standard_normal((4, 6))
    before, g, after = sample(
        optim.Adafactor, p, lr=lr, eps=eps, d=d, weight_decay=weight_decay, beta2_decay=beta2_decay
    )
    values = {r"\eta": lr, r"\lambda": weight_decay, r"\tau": beta2_decay, "d": d, "t": 4.0, "g_{t}": g}
    values |= {r"\epsilon_1": eps[0], r"\epsilon_2": eps[1], "p_{t-1}": before["p"]}
    values |= {"R_{t-1}": before["row_var"], "C_{t-1}": before["col_var"]}
    for name, expression in latex.formulas(optim.Adafactor):
        values[name] = latex.evaluate(expression, values)
    for name, key in {"p_{t}": "p", "R_{t}": "row_var", "C_{t}": "col_var"}.items():
        np.testing.assert_allclose(values[name], after[key], rtol=1e-13)


def test_muon_is_the_formula_of_its_docstring():
    options = {"lr": 0.3, "weight_decay": 0.2, "momentum": 0.7, "eps": 1e-5, "ns_steps": 4}
    p = np.random.default_rng(1).standard_normal((4, 6))
    before, g, after = sample(optim.Muon, p, full_precision=True, **options)
    values = {r"\eta": 0.3, r"\lambda": 0.2, r"\mu": 0.7, r"\epsilon": 1e-5, "m": 4, "n": 6, "g_{t}": g}
    values |= dict(zip("abc", (3.4445, -4.775, 2.0315), strict=True))
    values |= {"p_{t-1}": before["p"], "B_{t-1}": before["momentum_buffer"]}
    lines = dict(latex.formulas(optim.Muon))
    for name in ("B_{t}", "U_{t}", "X_{0}"):
        values[name] = latex.evaluate(lines[name], values)
    values["X_{k}"] = values["X_{0}"]
    for _ in range(4):
        values["A_{k}"] = latex.evaluate(lines["A_{k}"], values)
        values["X_{k}"] = latex.evaluate(lines["X_{k+1}"], values)
    values["X_{K}"] = values["X_{k}"]
    np.testing.assert_allclose(values["B_{t}"], after["momentum_buffer"], rtol=1e-13)
    np.testing.assert_allclose(latex.evaluate(lines["p_{t}"], values), after["p"], rtol=1e-12)


def test_lerp_starts_from_the_nearer_end():
    a, b = np.float64(0.1), np.float64(0.7)
    assert lerp(a, b, 0.0) == a and lerp(a, b, 1.0) == b
    for w in (0.05, 0.3, 0.5, 0.95):
        assert lerp(a, b, w) == pytest.approx((1 - w) * a + w * b, rel=1e-15)


# ---- Newton–Schulz


def test_bfloat16_rounds_to_even():
    one, step = 1.0, 2.0**-7
    halves = np.array([one + step / 2, one + 3 * step / 2, -(one + step / 2), one + step / 2 + 1e-6])
    assert bfloat16(halves).tolist() == [1, one + 2 * step, -1, one + step]
    special = bfloat16(np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3.4e38, 1e-40]))
    assert special[0] == np.inf and special[1] == -np.inf and np.isnan(special[2])
    assert math.copysign(1, special[4]) == -1 and special[5] == np.inf and 0 < special[6] < 2e-40
    signalling = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(bfloat16(signalling)).all()


def test_bfloat16_is_torchs():
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(0)
    x = draw.integers(0, 2**32, 20000, np.uint32).view(np.float32)
    x = x[~np.isnan(x)]
    np.testing.assert_array_equal(bfloat16(x), torch.tensor(x).bfloat16().float().numpy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3), (8, 4), (16, 16), (64, 32)])
def test_newton_schulz_is_torchs(shape, dtype):
    torch = pytest.importorskip("torch")
    from torch.optim._muon import _zeropower_via_newtonschulz

    draw = np.random.default_rng(2)
    for _ in range(5):
        G = draw.standard_normal(shape).astype(dtype)
        ours = newton_schulz(G, (3.4445, -4.775, 2.0315), 5, 1e-7)
        theirs = _zeropower_via_newtonschulz(torch.tensor(G), (3.4445, -4.775, 2.0315), 5, 1e-7).float().numpy()
        # to the bit, but for sums that torch adds up in another order and that then round to the other neighbour: never up
        # to 10 x 5, at 64 x 32 one start in ten, and at any size on another processor. Then a few last bits of bfloat16 differ
        assert np.array_equal(ours, theirs) or np.linalg.norm(ours - theirs) <= 1e-2 * np.linalg.norm(theirs)
        assert np.array_equal(ours, theirs) or max(shape) > 10 or torch.backends.cpu.get_cpu_capability() != "AVX512"


def test_newton_schulz_keeps_singular_vectors_and_evens_out_singular_values():
    draw = np.random.default_rng(3)
    for shape in ((6, 9), (9, 6)):
        U, S, Vt = np.linalg.svd(draw.standard_normal(shape), full_matrices=False)
        for G in (U * S @ Vt, U * np.geomspace(1, 0.05, 6) @ Vt):
            X = newton_schulz(G, (3.4445, -4.775, 2.0315), 5, 1e-7, np.asarray)
            inside = U.T @ X @ Vt.T
            assert np.abs(inside - np.diag(np.diag(inside))).max() < 1e-12
            assert np.diag(inside).min() > 0.65 and np.diag(inside).max() < 1.25


def test_full_precision_is_an_option_that_torch_does_not_see():
    p = ol.tensor(np.eye(3), requires_grad=True)
    plain = optim.Muon([p])
    assert "full_precision" not in plain.param_groups[0] and "full_precision" not in repr(plain)
    exact = optim.Muon([p], full_precision=True)
    assert exact.param_groups[0]["full_precision"] is True
    exact.load_state_dict(plain.state_dict())
    assert exact.param_groups[0]["full_precision"] is True
    results = []
    for optimizer in (plain, exact):
        p.data = ol.tensor(np.eye(3))
        p.grad = ol.tensor(np.arange(9.0).reshape(3, 3))
        optimizer.step()
        results.append(p.detach().numpy().copy())
    assert 1e-7 < np.abs(results[0] - results[1]).max() < 1e-4  # lr times a few of bfloat16's last bits
    with pytest.raises(TypeError, match="full_precision must be True or False"):
        optim.Muon([p], full_precision=1)


# ---- where they do better than torch


def test_each_parameter_has_the_epsilon_of_its_own_dtype():
    """In torch the first parameter of a group decides, so that results depend on the order."""
    moves = {}
    for order in (("float32", "float64"), ("float64", "float32"), ("float32",), ("float64",)):
        ps = {d: ol.tensor(np.ones((2, 2), d), requires_grad=True) for d in order}
        optimizer = optim.Adafactor(ps.values())
        for p in ps.values():
            p.grad = ol.tensor(np.full((2, 2), 1e-10, p._array.dtype))
        optimizer.step()
        for d, p in ps.items():
            moves.setdefault(d, set()).add(p.tolist()[0][0])
    assert all(len(found) == 1 for found in moves.values())
    assert moves["float64"] != {1.0}


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_a_parameter_without_elements_is_left_as_it_is(shape):
    """torch divides by zero."""
    p, q = ol.zeros(shape, requires_grad=True), ol.ones(2, requires_grad=True)
    for cls, params in ((optim.Adafactor, [p, q]), (optim.Muon, [p])):
        if cls is optim.Muon and len(shape) != 2:
            continue
        optimizer = cls(params)
        p.grad, q.grad = ol.zeros(shape), ol.ones(2)
        optimizer.step()
        assert p.tolist() == ol.zeros(shape).tolist() and p in optimizer.state
        assert all(np.isfinite(v.numpy()).all() for v in optimizer.state[p].values())
    assert q.tolist() != [1, 1]


def test_a_column_of_zeros_and_a_gradient_that_is_the_parameter():
    p = ol.tensor([[1.0, 0.0], [2.0, 0.0]], dtype=ol.float64, requires_grad=True)
    for cls in (optim.Adafactor, optim.Muon):
        optimizer = cls([p])
        p.grad = p.detach()  # shares its memory
        apart = ol.tensor(p.tolist(), dtype=ol.float64, requires_grad=True)
        other = cls([apart])
        apart.grad = apart.detach().clone()
        optimizer.step(), other.step()
        assert p.tolist() == apart.tolist() and np.isfinite(p.detach().numpy()).all()


# ---- the life of an optimizer


@pytest.mark.parametrize("cls", [optim.Adafactor, optim.Muon])
def test_saved_copied_and_pickled_it_goes_on_alike(cls):
    def go_on(optimizer, start, steps):
        (p,) = optimizer.param_groups[0]["params"]
        for t in range(start, start + steps):
            p.grad = ol.tensor(np.random.default_rng(t).standard_normal((3, 4)))
            optimizer.step()
        return p.tolist()

    def begin():
        return cls([ol.tensor(np.ones((3, 4)), requires_grad=True)], lr=0.1)

    straight = go_on(begin(), 0, 6)
    half = begin()
    go_on(half, 0, 3)
    again = begin()
    again.param_groups[0]["params"][0].data = half.param_groups[0]["params"][0].detach().clone()
    again.load_state_dict(half.state_dict())
    for twin in (copy.deepcopy(half), pickle.loads(pickle.dumps(half)), again):
        assert go_on(twin, 3, 3) == straight


def test_state_dicts_go_both_ways():
    torch = pytest.importorskip("torch")
    for name, options in (("Adafactor", {}), ("Muon", {})):
        for first, second in ((torch, ol), (ol, torch)):
            p = first.tensor(np.ones((4, 3)), requires_grad=True)
            before = getattr(first.optim, name)([p], **options)
            p.grad = first.tensor(np.arange(12.0).reshape(4, 3))
            before.step()
            saved = before.state_dict()
            q = second.tensor(p.detach().numpy(), requires_grad=True)
            after = getattr(second.optim, name)([q], **options)
            after.load_state_dict(
                {"param_groups": saved["param_groups"],
                 "state": {0: {k: second.tensor(v.numpy()) for k, v in saved["state"][0].items()}}}
            )  # fmt: skip
            for x, lib, o in ((p, first, before), (q, second, after)):
                x.grad = lib.tensor(np.cos(np.arange(12.0)).reshape(4, 3))
                o.step()
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-12)
            assert repr(before) == repr(after)


@pytest.mark.parametrize(
    ("cls", "options", "wanted", "words"),
    [
        (optim.Adafactor, {"lr": -0.1}, ValueError, "Learning rate should be >= 0 but is: -0.1"),
        (optim.Adafactor, {"lr": ol.ones(2)}, ValueError, "Tensor lr must be 1-element"),
        (optim.Adafactor, {"beta2_decay": 0.8}, ValueError, "beta2_decay should be <= 0 but is: 0.8"),
        (optim.Adafactor, {"eps": (-1e-30, 1e-3)}, ValueError, "epsilon1 should be >= 0 but is: -1e-30"),
        (optim.Adafactor, {"eps": (None, -1)}, ValueError, "epsilon2 should be >= 0 but is: -1"),
        (optim.Adafactor, {"eps": (None, None)}, TypeError, "epsilon2 should be >= 0"),
        (optim.Adafactor, {"eps": 1e-3}, TypeError, "eps must be 2 numbers"),
        (optim.Adafactor, {"eps": (1e-3,)}, ValueError, "eps must be 2 numbers"),
        (optim.Adafactor, {"d": 0.0}, ValueError, "Clipping threshold d should be >= 1 but is: 0.0"),
        (optim.Adafactor, {"weight_decay": math.nan}, ValueError, "weight_decay should be >= 0 but is: nan"),
        (optim.Adafactor, {"maximize": 1}, TypeError, "maximize must be True or False"),
        (optim.Muon, {"lr": -1}, ValueError, "Learning rate should be >= 0 but is: -1"),
        (optim.Muon, {"momentum": -0.1}, ValueError, "momentum should be >= 0 but is: -0.1"),
        (optim.Muon, {"momentum": 1.5}, ValueError, "<= 1"),
        (optim.Muon, {"weight_decay": -1}, ValueError, "weight decay should be >= 0 but is: -1"),
        (optim.Muon, {"adjust_lr_fn": "x"}, ValueError, "Adjust learning rate function x is not supported"),
        (optim.Muon, {"ns_steps": 200}, ValueError, "Number of steps must be less than 100"),
        (optim.Muon, {"ns_steps": 2.5}, TypeError, "ns_steps must be an integer"),
        (optim.Muon, {"ns_coefficients": (1, 2)}, ValueError, "ns_coefficients must be 3 numbers"),
        (optim.Muon, {"ns_coefficients": (1, 2, "x")}, TypeError, r"ns_coefficients\[2\]"),
        (optim.Muon, {"eps": -1}, ValueError, "Invalid epsilon value: -1"),
        (optim.Muon, {"nesterov": None}, TypeError, "nesterov must be True or False"),
    ],
)
def test_bad_options(cls, options, wanted, words):
    p = ol.ones(2, 2, requires_grad=True)
    with pytest.raises(wanted, match=words):
        cls([p], **options)
    optimizer = cls([p])
    optimizer.param_groups[0].update(options)  # as later as at the beginning
    p.grad = ol.ones(2, 2)
    with pytest.raises(wanted, match=words):
        optimizer.step()
    assert p.tolist() == [[1, 1], [1, 1]] and not optimizer.state


def test_muon_wants_matrices():
    with pytest.raises(ValueError, match=r"Muon only supports 2D parameters .* torch.Size\(\[3\]\)"):
        optim.Muon([ol.ones(3, requires_grad=True)])
    optimizer = optim.Muon([ol.ones(1, 3, requires_grad=True)])
    with pytest.raises(ValueError, match="Muon only supports 2D"):
        optimizer.add_param_group({"params": [ol.ones(3, requires_grad=True)]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("cls", [optim.Adafactor, optim.Muon])
def test_a_step_happens_whole_or_not_at_all(cls):
    ps = [ol.tensor(np.ones((2, 3)), requires_grad=True) for _ in range(2)]
    optimizer = cls(ps)
    for p in ps:
        p.grad = ol.tensor(np.ones((2, 3)))
    optimizer.step()
    key = "row_var" if cls is optim.Adafactor else "momentum_buffer"

    def snapshot():
        return [p.tolist() for p in ps], repr(optimizer.state_dict())

    good = optimizer.state[ps[1]][key]
    frozen = copy.deepcopy(good)
    frozen.numpy().flags.writeable = False
    for bad, wanted, words in [
        (ol.ones(7), ValueError, r"\(7,\)"),
        (3.0, TypeError, "must be a Tensor, not float"),
        (None, TypeError, "must be a Tensor"),
        (frozen, ValueError, "read-only"),
    ]:
        optimizer.state[ps[1]][key] = bad
        before = snapshot()
        with pytest.raises(wanted, match=words):
            optimizer.step()
        assert snapshot() == before
        if bad is not frozen:  # which is copied
            with pytest.raises(wanted, match=words):
                optimizer.load_state_dict(optimizer.state_dict())
            assert snapshot() == before
    optimizer.state[ps[1]] = {"other": good}
    with pytest.raises(KeyError, match="the state of a parameter has no"):
        optimizer.step()
    optimizer.state[ps[1]] = {}
    before = snapshot()
    ps[1].grad = ol.tensor(np.ones((2, 3))).to_sparse()
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        optimizer.step()
    assert snapshot() == before


def test_rms():
    assert rms(np.array([3.0, 4.0])) == pytest.approx(math.sqrt(12.5))
