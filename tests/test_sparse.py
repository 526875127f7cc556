"""Sparse tensors: few rows, torch's names, texts and messages; the same numbers as their dense form."""

import copy

import numpy as np
import pytest

import optimlab as ol

INDICES, ROWS = [[2, 0, 2]], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
DENSE = [[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]]
TEXT = """\
tensor(indices=tensor([[2, 0, 2]]),
       values=tensor([[1., 2.],
                      [3., 4.],
                      [5., 6.]]),
       size=(3, 2), nnz=3, layout=torch.sparse_coo)"""


def sparse(torch=ol, **options):
    return torch.sparse_coo_tensor(INDICES, ROWS, (3, 2), **options)


def test_what_it_says_of_itself():
    s = sparse()
    assert isinstance(s, ol.Tensor) and s.is_sparse and not s.to_dense().is_sparse
    assert (s.shape, s.size(0), s.ndim, s.numel(), s._nnz()) == ((3, 2), 3, 2, 6, 3)
    assert (s.sparse_dim(), s.dense_dim(), s.is_coalesced(), s.dtype) == (1, 1, False, ol.float32)
    assert (s._indices().tolist(), s._values().tolist(), s.to_dense().tolist()) == (INDICES, ROWS, DENSE)
    assert repr(s) == TEXT and "float64" in repr(s.double())


def test_coalesce():
    s = sparse()
    with pytest.raises(
        RuntimeError, match=r"Cannot get values on an uncoalesced tensor, please call .coalesce\(\) first"
    ):
        s.values()
    once = s.coalesce()
    assert once.is_coalesced() and once.coalesce() is once
    assert (once.indices().tolist(), once.values().tolist()) == ([[0, 2]], [[3.0, 4.0], [6.0, 8.0]])
    single = ol.sparse_coo_tensor([[0, 1, 0], [1, 0, 1]], [1.0, 2.0, 4.0], (2, 2)).coalesce()
    assert (single.indices().tolist(), single.values().tolist()) == ([[0, 1], [1, 0]], [5.0, 2.0])


def test_arithmetic_is_that_of_the_dense_form():
    s, other = sparse(), ol.sparse_coo_tensor([[1, 2]], [[1.0, 1.0], [1.0, 1.0]], (3, 2))
    dense, ones = np.array(DENSE), other.to_dense().numpy()
    for result, wanted in [
        (s + s, 2 * dense),
        (s + other, dense + ones),
        (s - other, dense - ones),
        (s.coalesce() + other.coalesce(), dense + ones),
        (s * 2, 2 * dense),
        (2 * s, 2 * dense),
        (s / 2, dense / 2),
        (-s, -dense),
        (s.clone().zero_(), 0 * dense),
        (s.detach().clone().mul_(3), 3 * dense),
        (copy.deepcopy(s).add_(s), 2 * dense),
    ]:
        assert result.is_sparse and result.to_dense().tolist() == wanted.tolist()
    added = ol.ones(3, 2) + s
    assert not added.is_sparse and added.tolist() == (dense + 1).tolist() == (s + ol.ones(3, 2)).tolist()
    assert ol.ones(3, 2).add_(s).tolist() == (dense + 1).tolist()
    assert (s.coalesce() + other.coalesce()).is_coalesced() and not (s + other).is_coalesced()
    assert s.to_dense().tolist() == DENSE  # nothing above wrote into it


def test_to_sparse_and_back():
    x = ol.tensor([[0.0, 1.0], [0.0, 0.0], [2.0, 3.0]])
    each, rows = x.to_sparse(), x.to_sparse(1)
    assert (each.indices().tolist(), each.values().tolist()) == ([[0, 2, 2], [1, 0, 1]], [1.0, 2.0, 3.0])
    assert (rows.indices().tolist(), rows.values().tolist()) == ([[0, 2]], [[0.0, 1.0], [2.0, 3.0]])
    for t in (x, ol.ones(1), ol.zeros(3), ol.zeros(0, 2), ol.zeros(2, 0)):
        back = t.to_sparse().to_dense()
        assert back.tolist() == t.tolist() and back.shape == t.shape
    assert rows.to_sparse() is rows
    with pytest.raises(RuntimeError, match="detach"):
        ol.ones(2, requires_grad=True).to_sparse()


def test_it_is_a_gradient():
    p = ol.zeros(3, 2, requires_grad=True)
    p.grad = sparse()
    assert p.grad.is_sparse
    p.sum().backward()  # a dense gradient makes the sum dense
    assert p.grad.tolist() == (np.array(DENSE) + 1).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ([[0, 1]], [1.0], (3,)),
            "indices and values must have same nnz, but got nnz from indices: 2, nnz from values: 1",
        ),
        (([[0, 1]], [1.0, 2.0], (3, 2)), r"'len\(size\) == sparse_dim \+ dense_dim' is not satisfied: len\(size\) = 2"),
        (([[3]], [1.0], (3,)), "found index 3 in row 0 of indices"),
        (([[-1]], [1.0], (3,)), "found index -1"),
        (([0, 1], [1.0, 2.0], (3,)), "indices must be sparse_dim x nnz"),
        (([[0]], [[1.0, 2.0]], (3, 3)), "values has incorrect size"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ol.functional.TensorError, match=message):
        ol.sparse_coo_tensor(*arguments)


def test_what_it_cannot_do_is_refused():
    s = sparse()
    with pytest.raises(TypeError, match=r"can't convert Sparse layout tensor to numpy. Use Tensor.to_dense\(\) first"):
        s.numpy()
    with pytest.raises(NotImplementedError, match=r"Could not run 'exp'.*to_dense"):
        s.exp()
    with pytest.raises(NotImplementedError, match="Could not run 'multiply'"):
        s * s
    with pytest.raises(AttributeError, match=r"no 'tolist'; call .to_dense\(\) first"):
        s.tolist()
    with pytest.raises(ValueError, match="Invalid sparse_dim: 0"):
        ol.tensor(3.0).to_sparse()
    with pytest.raises(ValueError, match="size of tensor b"):
        s + ol.ones(2)
    with pytest.raises(RuntimeError, match="coalesce expected sparse coordinate tensor layout but got Strided"):
        ol.ones(3).coalesce()
    with pytest.raises(TypeError, match="indices must be integers"):
        ol.sparse_coo_tensor([[0.5]], [1.0], (3,))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch announces that it does not check
def test_torch_says_the_same():
    torch = pytest.importorskip("torch")
    for make in (
        lambda t: sparse(t),
        lambda t: sparse(t).coalesce(),
        lambda t: sparse(t) + sparse(t),
        lambda t: sparse(t, dtype=t.float64, requires_grad=True),
        lambda t: t.zeros(0, 2).to_sparse(1),
        lambda t: t.tensor([[0.0, 1.0], [2.0, 0.0]]).to_sparse(),
        lambda t: t.sparse_coo_tensor([[0, 1]], [1.0, 2.0]),
        lambda t: sparse(t).clone().zero_(),
    ):
        assert repr(make(ol)) == repr(make(torch))
