"""What the engines are compared by: every case of the table run on numbers that are hard to treat alike.

python tests/bits.py numpy numba       # prints a digest for every case, by engine
"""

import contextlib
import hashlib
import json
import sys

import numpy as np

import optimlab as ol
from cases import OPTIMIZERS, flat, label
from optimlab import optim
from optimlab.optim.elementwise import Elementwise
from optimlab.optim.engine import get_engine
from optimlab.optim.program import BLOCK
from oracle import as_given

SIZES = (0, 1, 7, 97)
LONG = (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7)
STEPS = 7  # so that RAdam takes both of its branches


@contextlib.contextmanager
def using(engine):
    """Optimizers run on this engine, for a while."""
    before = get_engine()
    ol.set_engine(engine)
    try:
        yield
    finally:
        ol.set_engine(before)


def hard(draw, shape, dtype):
    """Ordinary numbers, and among them zeros of both signs, infinities, NaN, denormals, the largest and the smallest."""
    info = np.finfo(dtype)
    odd = [0.0, -0.0, np.inf, -np.inf, np.nan, info.smallest_subnormal, -info.smallest_subnormal * 3, info.tiny]
    odd += [info.max, -info.max, info.eps, 1.0, -1.0]
    numbers = draw.standard_normal(shape)
    return np.where(draw.random(shape) < 0.3, draw.choice(odd, shape), numbers).astype(dtype)


def elementwise():
    """The cases that run a rule on whole arrays, and every such rule as it comes."""
    rules = [
        name
        for name in optim.__all__
        if isinstance(kind := getattr(optim, name), type) and issubclass(kind, Elementwise) and name != "SparseAdam"
    ]
    cases = [
        (name, options) for name, options in flat(OPTIMIZERS) if name in rules and not options.get("differentiable")
    ]
    return cases + [(name, {}) for name in rules if (name, {}) not in cases]


def run(engine, name, options, dtype, sizes=SIZES):
    """All parameters and state after some steps, as arrays; NaN of one kind."""
    draw = np.random.default_rng(3)
    with using(engine):
        ps = [ol.tensor(hard(draw, size, dtype), requires_grad=True) for size in sizes]
        ps.append(ol.from_numpy(np.asfortranarray(hard(draw, (5, 4), dtype))).requires_grad_())
        options = as_given(ol, options)
        first, rest = options.pop("groups", ({}, {}))
        optimizer = getattr(optim, name)([{"params": ps[:1], **first}, {"params": ps[1:], **rest}], **options)
        for t in range(STEPS):
            for i, p in enumerate(ps):
                p.grad = None if t == 2 and i == 1 else ol.tensor(hard(draw, tuple(p.shape), dtype))
            optimizer.step()
    found = [p.detach().numpy() for p in ps]
    found += [x.numpy() for p in ps for x in optimizer.state[p].values()]
    return [np.where(np.isnan(a), np.asarray(np.nan, a.dtype), a) for a in found]


def digest(arrays):
    """The bits of arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def digests(engine):
    """The digest of every case, by its label."""
    return {
        f"{label(name, options)} {dtype}": digest(run(engine, name, options, dtype))
        for name, options in elementwise()
        for dtype in ("float32", "float64")
    }


if __name__ == "__main__":
    print(json.dumps({engine: digests(engine) for engine in sys.argv[1:]}))
