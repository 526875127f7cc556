"""Sparse gradients: SGD, Adagrad and SparseAdam move the rows that have one; the others refuse."""

import copy
import pickle

import numpy as np
import pytest

import optimlab as ol
from optimlab import optim

SGD, Adagrad, SparseAdam = optim.SGD, optim.Adagrad, optim.SparseAdam


def leaf(*shape):
    draw = np.random.default_rng(0)
    return ol.tensor(draw.standard_normal(shape), requires_grad=True)


def sparse(rows, values, shape=(5, 2)):
    return ol.sparse_coo_tensor([list(rows)], np.asarray(values, np.float64).reshape(len(rows), *shape[1:]), shape)


def some_rows(t, shape=(5, 2)):
    """A gradient for up to three rows, some of them named twice; at t = 3 for none."""
    draw = np.random.default_rng(t)
    rows = draw.integers(0, shape[0], 0 if t == 3 else 3)
    return sparse(rows, draw.standard_normal((len(rows), *shape[1:])), shape)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SGD, {"lr": 0.1}),
        (SGD, {"lr": 0.1, "maximize": True}),
        (SGD, {"lr": 0.1, "momentum": 0.9}),
        (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
        (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (Adagrad, {"lr": 0.1}),
        (Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "maximize": True}),
    ],
    ids=str,
)
def test_rows_move_as_if_the_rest_were_zero(cls, options):
    """For SGD and Adagrad a gradient of zeros changes nothing, so the sparse form is a matter of speed alone."""
    p, q = leaf(5, 2), leaf(5, 2)
    few, all_ = cls([p], **options), cls([q], **options)
    for t in range(12):
        p.grad = None if t == 5 else some_rows(t)
        q.grad = None if t == 5 else some_rows(t).to_dense()
        few.step(), all_.step()
        assert p.tolist() == q.tolist()
    assert repr(few.state_dict()) == repr(all_.state_dict())


def test_rows_that_are_absent_are_not_touched():
    for cls in (SGD, Adagrad, SparseAdam):
        p = leaf(5, 2)
        before, optimizer = p.detach().clone(), cls([p], lr=0.1)
        p.grad = sparse([1, 3], [[1, 2], [3, 4]])
        optimizer.step()
        moved = (p.detach() != before).numpy().all(axis=1)
        assert moved.tolist() == [False, True, False, True, False]
        for value in optimizer.state[p].values():
            if isinstance(value, ol.Tensor) and value.ndim:
                assert (value.numpy()[[0, 2, 4]] == 0).all() and (value.numpy()[[1, 3]] != 0).all()


def test_sparse_adam_keeps_the_moments_of_absent_rows():
    """Row by row it is Adam, but that t is the parameter's, and ε stands where the paper's faster form has it."""
    lr, beta1, beta2, eps = 0.1, 0.9, 0.99, 1e-3
    p = leaf(5, 2)
    rows = {i: [x, np.zeros(2), np.zeros(2)] for i, x in enumerate(p.tolist())}
    optimizer = SparseAdam([p], lr=lr, betas=(beta1, beta2), eps=eps)
    for t in range(1, 20):
        p.grad = some_rows(t)
        optimizer.step()
        whole = some_rows(t).to_dense().numpy()
        for i in set(some_rows(t)._indices().tolist()[0]):
            x, m, v = rows[i]
            m, v = beta1 * m + (1 - beta1) * whole[i], beta2 * v + (1 - beta2) * whole[i] ** 2
            x = x - lr * np.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + eps)
            rows[i] = [x, m, v]
    np.testing.assert_allclose(p.detach().numpy(), [x for x, _, _ in rows.values()], rtol=1e-12)
    assert optimizer.state[p]["step"] == 19 and type(optimizer.state[p]["step"]) is int


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "maximize": True}),
        ("Adagrad", {}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "maximize": True, "initial_accumulator_value": 0.1}),
        ("SparseAdam", {}),
        ("SparseAdam", {"lr": 0.01, "betas": (0.5, 0.9), "maximize": True}),
    ],
    ids=str,
)
def test_it_is_torchs(name, options):
    torch = pytest.importorskip("torch")
    torch.sparse.check_sparse_tensor_invariants.enable()  # else torch warns that it does not
    p, q = leaf(5, 2), torch.tensor(leaf(5, 2).tolist(), dtype=torch.float64, requires_grad=True)
    ours, theirs = getattr(optim, name)([p], **options), getattr(torch.optim, name)([q], **options)
    for t in range(30):
        rows = some_rows(t)
        p.grad = rows
        i, v = rows._indices().numpy(), rows._values().numpy()
        q.grad = torch.sparse_coo_tensor(torch.tensor(i), torch.tensor(v), (5, 2))
        ours.step(), theirs.step()
        # sums of rows that are named twice, and fused multiply-add
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-13, atol=1e-15)
    state, expected = ours.state[p], theirs.state[q]
    assert list(state) == list(expected)
    for key, value in expected.items():
        value = value.to_dense().numpy() if hasattr(value, "to_dense") else value
        mine = state[key].numpy() if isinstance(state[key], ol.Tensor) else state[key]
        assert type(mine) is type(value)
        np.testing.assert_allclose(mine, value, rtol=1e-12, atol=1e-15)


def test_sparse_and_dense_gradients_in_one_group():
    """As with an embedding and the layer above it; the rows change, and so does who has a gradient at all."""
    sides = []
    for dense in (False, True):
        ps = [leaf(5, 2), leaf(3), leaf(5, 2)]
        sides.append((ps, SGD(ps, lr=0.1, momentum=0.9), dense))
    for t in range(9):
        for ps, optimizer, dense in sides:
            gradients = [some_rows(t), ol.tensor(np.full(3, t + 1.0)), some_rows(t + 50)]
            if t == 6:
                gradients[2] = gradients[2].to_dense()  # a change of mind
            for i, (p, g) in enumerate(zip(ps, gradients, strict=True)):
                p.grad = None if (t, i) in ((2, 0), (4, 1)) else g.to_dense() if dense else g
            optimizer.step()
    for p, q in zip(sides[0][0], sides[1][0], strict=True):
        assert p.tolist() == q.tolist()


def test_a_dense_gradient_may_be_followed_by_a_sparse_one():
    """Of a parameter that is not contiguous too, where kernels have no say."""
    for order in "CF":
        p = ol.from_numpy(np.ones((2, 3), order=order)).requires_grad_()
        optimizer = SGD([p], lr=0.5)
        for g in (ol.ones(2, 3, dtype=ol.float64), ol.ones(2, 3, dtype=ol.float64).to_sparse(1)):
            p.grad = g
            optimizer.step()
        assert p.tolist() == [[0.0] * 3] * 2


# ---- refusals, after which all is as before


def refused(optimizer, gradient, wanted, words):
    (p,) = optimizer.param_groups[0]["params"]
    p.grad = gradient
    before = p.tolist(), repr(optimizer.state_dict())
    with pytest.raises(wanted, match=words):
        optimizer.step()
    assert (p.tolist(), repr(optimizer.state_dict())) == before


@pytest.mark.parametrize(
    "name", sorted(set(optim.__all__) - {"SGD", "Adagrad", "SparseAdam", "LBFGS", "ConjugateGradient"})
)
def test_the_others_refuse(name):
    if not isinstance(cls := getattr(optim, name), type) or cls is optim.Optimizer:
        return
    refused(cls([leaf(5, 2)]), some_rows(1), RuntimeError, f"{name} does not support sparse gradients")


@pytest.mark.parametrize("cls", [optim.LBFGS, optim.ConjugateGradient])
def test_curvature_takes_the_whole_of_it(cls):
    found = []
    for dense in (False, True):
        p = leaf(5, 2)
        optimizer = cls([p], max_iter=3)

        def closure(p=p, dense=dense):
            p.grad = p.detach().clone() if dense else p.detach().to_sparse(1)
            return (p.detach() ** 2).sum().item() / 2

        optimizer.step(closure)
        found.append(p.tolist())
    assert found[0] == found[1]


def test_sparse_adam_refuses():
    refused(SparseAdam([leaf(5, 2)]), ol.ones(5, 2, dtype=ol.float64), RuntimeError, "does not support dense gradients")
    for options, wanted, words in [
        ({"lr": 0}, ValueError, "Invalid learning rate: 0; lr must be a finite number > 0"),
        ({"lr": ol.ones(2)}, ValueError, "Tensor lr must be 1-element"),
        ({"eps": 0}, ValueError, "Invalid epsilon value: 0"),
        ({"betas": (1.0, 0.0)}, ValueError, "Invalid beta parameter at index 0: 1.0"),
        ({"betas": (0.9,)}, ValueError, "betas must be 2 numbers"),
        ({"maximize": "no"}, TypeError, "maximize must be True or False"),
    ]:
        with pytest.raises(wanted, match=words):
            SparseAdam([leaf(5, 2)], **options)


@pytest.mark.parametrize("cls", [SGD, SparseAdam])
def test_sparse_parameters_are_refused(cls):
    for params in ([leaf(5, 2), some_rows(1)], [{"params": [leaf(5, 2)]}, {"params": some_rows(1)}]):
        with pytest.raises(
            ValueError, match=r"Sparse params at indices \[\[\d, \d\]\]: .* requires dense parameter tensors"
        ):
            cls(params)


def test_weight_decay_does_not_go_with_sparse_gradients():
    for cls in (SGD, Adagrad):
        optimizer = cls([leaf(5, 2)], weight_decay=0.1)
        refused(optimizer, some_rows(1), RuntimeError, "weight_decay option is not compatible with sparse gradients")


@pytest.mark.parametrize("cls", [Adagrad, SparseAdam])
def test_a_state_that_does_not_fit_is_refused(cls):
    optimizer = cls([leaf(5, 2)])
    (p,) = optimizer.param_groups[0]["params"]
    p.grad = some_rows(1)
    optimizer.step()
    key = "sum" if cls is Adagrad else "exp_avg"
    good = dict(optimizer.state[p])
    for change, wanted, words in [
        ({key: ol.ones(7)}, ValueError, r"\(7,\)"),
        ({key: None}, (TypeError, ValueError), key),
        ({"step": -1}, (TypeError, ValueError), "step"),
        ({"step": "x"}, TypeError, "step"),
    ]:
        optimizer.state[p].update(good | change)
        refused(optimizer, some_rows(1), wanted, words)
    optimizer.state[p].update(good)
    saved = copy.deepcopy(optimizer.state_dict())
    for t in (1, 2):
        p.grad = some_rows(t)
        optimizer.step()
    other = cls([leaf(5, 2)])
    other.load_state_dict(saved)
    (q,) = other.param_groups[0]["params"]
    assert {k: type(v) for k, v in other.state[q].items()} == {k: type(v) for k, v in good.items()}


def test_saved_copied_and_pickled_it_goes_on_alike():
    def go_on(optimizer, start, steps):
        (p,) = optimizer.param_groups[0]["params"]
        for t in range(start, start + steps):
            p.grad = some_rows(t)
            optimizer.step()
        return p.tolist()

    for cls in (SGD, Adagrad, SparseAdam):
        straight, half, again = (cls([leaf(5, 2)], lr=0.1) for _ in range(3))
        end = go_on(straight, 0, 6)
        go_on(half, 0, 3)
        again.param_groups[0]["params"][0].data = half.param_groups[0]["params"][0].detach().clone()
        again.load_state_dict(half.state_dict())
        for twin in (copy.deepcopy(half), pickle.loads(pickle.dumps(half)), again):
            assert go_on(twin, 3, 3) == end


def test_sparse_adams_state_dicts_go_both_ways():
    torch = pytest.importorskip("torch")

    def gradient(lib, t):
        rows = some_rows(t)
        i, v = rows._indices().numpy(), rows._values().numpy()
        return lib.sparse_coo_tensor(lib.tensor(i), lib.tensor(v), (5, 2), check_invariants=True)

    for there, here in ((torch, ol), (ol, torch)):
        p = there.tensor(leaf(5, 2).detach().numpy(), requires_grad=True)
        first = there.optim.SparseAdam([p])
        for t in range(4):
            p.grad = gradient(there, t)
            first.step()
        saved = first.state_dict()
        q = here.tensor(p.detach().numpy().copy(), requires_grad=True)
        second = here.optim.SparseAdam([q])
        state = {k: here.tensor(v.numpy()) if hasattr(v, "numpy") else v for k, v in saved["state"][0].items()}
        second.load_state_dict({"state": {0: state}, "param_groups": saved["param_groups"]})
        assert [type(v) is int for v in second.state[q].values()] == [True, False, False]
        for t in range(4, 8):
            p.grad, q.grad = gradient(there, t), gradient(here, t)
            first.step(), second.step()
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-13)


def test_a_gradient_of_another_dtype_or_shape_is_refused():
    p = leaf(5, 2)
    optimizer = SGD([p], lr=0.1)
    p.grad = some_rows(1)
    p.data = ol.zeros(4, 2)
    with pytest.raises(ValueError, match="a gradient is"):
        optimizer.step()
    assert p.tolist() == [[0, 0]] * 4


def test_a_schedule_may_end_at_zero():
    p = ol.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    optimizer = SparseAdam([p], lr=0.1)
    schedule = ol.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=2)
    for _ in range(3):
        p.grad = ol.sparse_coo_tensor([[1]], [[1.0, 1.0]], (2, 2))
        before = p.tolist()
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == 0 and p.tolist() == before
    with pytest.raises(ValueError, match="> 0"):
        SparseAdam([p], lr=0)
