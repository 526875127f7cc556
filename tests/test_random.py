"""Random numbers: torch's own for the same seed, bit for bit."""

import numpy as np
import pytest

import optimlab as ol

SIZES = (1, 5, 15, 16, 17, 32, 100, 1000)


def test_recorded_numbers():
    """From torch 2.13.0 after manual_seed(7), by the same calls."""
    ol.manual_seed(7)
    few, many, uniform = ol.randn(3), ol.randn(20), ol.rand(2, dtype=ol.float64)
    np.testing.assert_array_equal(
        few.numpy(), np.float32([-0.1467950940132141, 0.7861412763595581, 0.9468216300010681])
    )
    np.testing.assert_array_equal(
        many.numpy()[[0, 7, 19]], np.float32([-0.17643792927265167, 0.5035638809204102, -1.056684136390686])
    )
    np.testing.assert_array_equal(uniform.numpy(), [0.6603051061881838, 0.30734958208251295])
    assert ol.randperm(6).tolist() == [2, 3, 1, 5, 0, 4]


def draw(torch, dtype, n):
    """Every way of drawing, one after the other from one stream."""
    kind = {"dtype": getattr(torch, dtype)}
    return [
        torch.rand(n, **kind),
        torch.randint(10, (n,)),
        torch.randint(-5, 2**28 - 10, (n,)),
        torch.randint(0, 2**40, (n,)),  # from 2^28 on two outputs make one number
        torch.randperm(n),
        torch.empty(n, **kind).uniform_(-2, 3),
        torch.empty(n, **kind).bernoulli_(0.3),
        torch.bernoulli(torch.full((n,), 0.3, **kind)),
        torch.empty(n, **kind).random_(),
        torch.empty(n, **kind).random_(3, 9),
        torch.empty(n, dtype=torch.int64).random_(),
        torch.rand(n, **kind, generator=torch.Generator().manual_seed(n)),
        torch.empty(n, **kind).exponential_(0.5),
        torch.multinomial(torch.arange(n + 1, **kind), n),
        torch.multinomial(torch.arange(n + 1, **kind), 1, replacement=True),
        torch.multinomial(torch.ones(3, n, **kind), 7, replacement=True),
        torch.rand_like(torch.empty(n, **kind)),
        torch.rand_like(torch.empty(n, **kind), generator=torch.Generator().manual_seed(n)),
        torch.randint_like(torch.empty(n, **kind), 10),
        torch.randint_like(torch.empty(n, **kind), -3, 2**33, dtype=torch.int64),
    ]


def normals(torch, dtype, n):
    kind = {"dtype": getattr(torch, dtype)}
    return [
        torch.randn(n, **kind),
        torch.empty(n, **kind).normal_(3, 0.7),
        torch.normal(torch.zeros(n, **kind), 2.0),
        torch.normal(1.0, 2.0, (n,), **kind),
        torch.randn_like(torch.empty(n, **kind)),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", [0, 7, 2**40 + 5, -3])
def test_the_installed_torchs_numbers(dtype, seed):
    torch = pytest.importorskip("torch", reason="torch is not installed; recorded numbers stand for it")
    torch.manual_seed(seed), ol.manual_seed(seed)
    for n in SIZES:
        for ours, theirs in zip(draw(ol, dtype, n), draw(torch, dtype, n), strict=True):
            assert str(ours.dtype) == str(theirs.dtype)
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        for ours, theirs in zip(normals(ol, dtype, n), normals(torch, dtype, n), strict=True):
            if dtype == "float32" or n < 16:
                np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
            else:  # NumPy's logarithm, cosine and sine of float64 differ from the C library's by an ulp each; std is 2
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=4e-15)
        assert ol.get_rng_state().tolist() == torch.get_rng_state().tolist()
    assert ol.initial_seed() == torch.initial_seed()


def test_layers_start_as_torchs():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for dtype in ("float32", "float64"):
        torch.manual_seed(1), ol.manual_seed(1)
        for n in (1, 5, 16, 100):
            ours, theirs = (m.nn.Linear(n, 5, dtype=getattr(m, dtype)) for m in (ol, torch))
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_a_stream_goes_on_from_its_state():
    generator = ol.Generator().manual_seed(3)
    ol.randn(5, generator=generator)  # an odd number leaves a spare normal
    state = generator.get_state()
    wanted = [ol.randn(5, generator=generator), ol.rand(700, generator=generator), ol.randperm(9, generator=generator)]
    for other in (generator, ol.Generator()):
        other.set_state(state)
        found = [ol.randn(5, generator=other), ol.rand(700, generator=other), ol.randperm(9, generator=other)]
        assert all(a.equal(b) for a, b in zip(wanted, found, strict=True))
    ol.manual_seed(1)
    first, fresh = ol.get_rng_state(), ol.rand(3)
    ol.set_rng_state(first)
    assert ol.rand(3).equal(fresh) and ol.initial_seed() == 1


def test_a_state_of_torch_is_understood():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    theirs = torch.Generator().manual_seed(9)
    torch.randn(7, generator=theirs), torch.rand(1000, generator=theirs)
    ours = ol.Generator().set_state(ol.from_numpy(theirs.get_state().numpy()))
    assert ours.initial_seed() == 9
    np.testing.assert_array_equal(ol.randn(3, generator=ours).numpy(), torch.randn(3, generator=theirs).numpy())
    theirs.set_state(torch.tensor(ours.get_state().tolist(), dtype=torch.uint8))
    np.testing.assert_array_equal(ol.rand(3, generator=ours).numpy(), torch.rand(3, generator=theirs).numpy())


def test_streams_are_apart():
    a, b = ol.Generator().manual_seed(0), ol.Generator().manual_seed(0)
    ol.manual_seed(5)
    default = ol.rand(2)
    ol.manual_seed(5)
    assert ol.rand(4, generator=a).equal(ol.rand(4, generator=b)) and ol.rand(2).equal(default)
    assert a.seed() != b.seed() and a.device == ol.device("cpu")
    with pytest.raises(TypeError, match="Generator"):
        ol.rand(2, generator=3)
    for wrong in (ol.zeros(3), [1, 2]):
        with pytest.raises(TypeError, match="ByteTensor"):
            a.set_state(wrong)
    before = a.get_state()
    broken = before.clone()
    broken[8] = 77  # the count of numbers that are left
    broken[9] = 77
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        a.set_state(broken)
    assert a.get_state().equal(before)
