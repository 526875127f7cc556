"""Properties 31 to 35: clipping, and the chain rule."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

import optimlab as ol
from optimlab import nn
from optimlab.testing import gradcheck, gradgradcheck
from worlds import draw, leaves, seeds

# tame ones: no tower of exponentials overflows, so that every difference quotient means something
UNARY = [
    ol.sin,
    ol.tanh,
    lambda x: ol.exp(-x * x),
    lambda x: -x,
    lambda x: x + ol.sin(x),  # the gradient goes two ways as one array
    lambda x: ol.sqrt(x * x + 1),
    lambda x: x**3 / (1 + x * x),
    lambda x: ol.log(1 + x * x),
]
BINARY = [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b, lambda a, b: a / (2 + b * b)]
REDUCE = [lambda x: x.sum(), lambda x: x.mean(), lambda x: (x * x).sum(), lambda x: x.sum(0).sum()]
# shapes that broadcast against (2, 3)
partners = st.sampled_from([(2, 3), (3,), (1, 3), (2, 1), (1, 1), (1,), ()])


@st.composite
def functions(draw):
    """A function of two tensors, put together at random."""
    inner = draw(st.lists(st.sampled_from(UNARY), max_size=3))
    outer = draw(st.lists(st.sampled_from(UNARY), max_size=2))
    binary = draw(st.sampled_from(BINARY))

    def f(a, b):
        for g in inner:
            a = g(a)
        x = binary(a, b)
        for g in outer:
            x = g(x)
        return x

    return f


@given(seeds, st.floats(1e-3, 10), st.sampled_from([1.0, 2.0, 3.0, float("inf")]), st.sampled_from([1e-20, 1.0, 1e30]))
def test_clipping_shortens_and_keeps_the_direction(seed, most, norm_type, scale):
    """31. No longer than max_norm; the same direction; once more changes nothing; gradients of 1e30 stay."""
    xs, (gs,) = draw(seed, 1, (3,), (2, 2))
    ps = [ol.tensor(x.astype(np.float32), requires_grad=True) for x in xs]
    for p, g in zip(ps, gs, strict=True):
        p.grad = ol.tensor((g * scale).astype(np.float32))
    before = np.concatenate([p.grad.numpy().ravel().astype(np.float64) for p in ps])
    nn.utils.clip_grad_norm_(ps, most, norm_type)
    once = np.concatenate([p.grad.numpy().ravel().astype(np.float64) for p in ps])
    # float32 rounds each element, and torch's rule divides by norm + 1e-6
    assert np.linalg.norm(once, norm_type) <= most * (1 + 1e-6)
    cosine = before @ once / np.linalg.norm(before) / np.linalg.norm(once)
    assert np.any(once) and cosine > 1 - 1e-6
    nn.utils.clip_grad_norm_(ps, most, norm_type)
    twice = np.concatenate([p.grad.numpy().ravel() for p in ps])
    np.testing.assert_allclose(twice, once, rtol=2e-6 + 1e-6 / most)


@given(functions(), st.sampled_from(REDUCE), partners, seeds)
def test_derivatives_are_difference_quotients(f, reduce, partner, seed):
    """32. Of functions put together at random, with broadcasting; first and second."""
    (a, b), _ = draw(seed, 0, (2, 3), partner)
    a, b = leaves([a / 2, b / 2])
    assert gradcheck(lambda a, b: reduce(f(a, b)), (a, b), atol=1e-7, rtol=1e-3)
    assume(seed % 4 == 0)  # second differences take four times as long
    assert gradgradcheck(lambda a, b: f(a, b).sum(), (a, b), atol=1e-5, rtol=1e-3)


@given(functions(), partners, seeds)
def test_forward_and_backward_are_transposes(f, partner, seed):
    """33. <J v, u> = <v, J' u>, with J v by a second backward (Pearlmutter's trick)."""
    (a, b, va, vb, u), _ = draw(seed, 0, (2, 3), partner, (2, 3), partner, (2, 3))
    a, b = leaves([a, b])
    y = f(a, b)
    seed_ = ol.zeros(2, 3, dtype=ol.float64, requires_grad=True)
    pulled = ol.autograd.grad(y, (a, b), grad_outputs=seed_, create_graph=True)  # J' w, linear in w
    along = sum((g * ol.tensor(v)).sum() for g, v in zip(pulled, (va, vb), strict=True))
    (jv,) = ol.autograd.grad(along, seed_)
    back = ol.autograd.grad(f(a, b), (a, b), grad_outputs=ol.tensor(u))
    left = float((jv.numpy() * u).sum())
    right = sum(float((g.numpy() * v).sum()) for g, v in zip(back, (va, vb), strict=True))
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


@given(functions(), partners, seeds, st.floats(-3, 3))
def test_backward_adds_up_and_is_linear(f, partner, seed, c):
    """34. Twice the backward, twice the gradient; a seed c times as large, c times the gradient."""
    (a, b), _ = draw(seed, 0, (2, 3), partner)
    a, b = leaves([a, b])
    y = f(a, b).sum()
    y.backward(retain_graph=True)
    once = [x.grad.numpy().copy() for x in (a, b)]
    y.backward(retain_graph=True)
    for x, g in zip((a, b), once, strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), 2 * g)
        x.grad = None
    y.backward(ol.tensor(c, dtype=ol.float64))
    for x, g in zip((a, b), once, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), c * g, rtol=1e-12, atol=1e-12)


def test_a_chain_of_20_000_operations():
    """35. A loop walks it, not a recursion."""
    x = leaf = ol.tensor([1.0], dtype=ol.float64, requires_grad=True)
    for _ in range(20_000):
        x = x + 1e-4 * x
    x.sum().backward()
    # 20,000 roundings; one operation left out would be 1e-4
    np.testing.assert_allclose(leaf.grad.numpy(), 1.0001**20_000, rtol=1e-11)
