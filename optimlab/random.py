"""The random numbers of torch's CPU generator: for one seed the same stream.

Mersenne Twister seeded as in Matsumoto and Nishimura (1998). A float32 takes the low 24 bits of one 32-bit output, a
float64 the low 53 bits of two; normals are made by Box and Muller's transform (1958).

同一个种子得到与 torch 相同的随机数。
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optimlab.checks import Number

_SEED = Number("Invalid seed: {value}", -(2**63), 2**64 - 1, whole=True)
_CHUNK = 16  # torch fills normals in chunks of 16 from this size on, and one by one below it


class Generator:
    """A stream of random numbers; ``manual_seed(s)`` starts it anew.

    随机数发生器；``manual_seed`` 让它从头开始。
    """

    def __init__(self) -> None:
        self._seed = 67280421310721  # torch's default, so that an unseeded program is the same each time too
        self._bits: Any = None  # made at the first number: numpy.random is slow to import
        self._spare: float | None = None  # the second normal of a pair that was made one by one

    def manual_seed(self, seed: int) -> "Generator":
        """Start the stream of ``seed``, an integer in [-2**63, 2**64 - 1]; only its low 32 bits matter."""
        self._seed = int(_SEED("seed", seed))
        self._bits = self._spare = None
        return self

    def initial_seed(self) -> int:
        """The seed that the stream was started with."""
        return self._seed

    def _raw(self, n: int) -> np.ndarray:
        """The next n outputs of 32 bits, as uint64."""
        if self._bits is None:
            self._bits = np.random.MT19937()
            self._bits._legacy_seeding(self._seed % 2**32)  # the seeding of the 1998 paper, which torch uses too
        return self._bits.random_raw(n)

    def _uniform(self, n: int, dtype: np.dtype) -> np.ndarray:
        """n numbers in [0, 1)."""
        if dtype == np.float32:
            return (self._raw(n) & np.uint64(2**24 - 1)).astype(np.float32) / np.float32(2**24)
        high, low = self._raw(2 * n).reshape(n, 2).T
        return (((high << np.uint64(32)) | low) & np.uint64(2**53 - 1)).astype(np.float64) / 2**53

    def uniform(self, shape: Sequence[int], dtype: np.dtype, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers in [low, high): an array of ``shape``."""
        low, scale = dtype.type(low), dtype.type(high) - dtype.type(low)
        return _fused(self._uniform(math.prod(shape), dtype), scale, low).reshape(shape)

    def integers(self, shape: Sequence[int], low: int, high: int) -> np.ndarray:
        """Integers in [low, high): an array of ``shape``."""
        n = math.prod(shape)
        return (self._raw(n) % np.uint64(high - low)).astype(np.int64).reshape(shape) + low

    def bernoulli(self, shape: Sequence[int], p: Any) -> np.ndarray:
        """0 or 1: an array of ``shape``."""
        return self.uniform(shape, np.dtype(np.float64)) < p

    def normal(self, shape: Sequence[int], dtype: np.dtype, mean: float = 0, std: float = 1) -> np.ndarray:
        """Normal numbers: an array of ``shape``."""
        return self._normal(shape, dtype) * dtype.type(std) + dtype.type(mean)

    def _normal(self, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """Standard normal numbers: an array of ``shape``."""
        n = math.prod(shape)
        if n < _CHUNK:
            return np.array([self._one_normal() for _ in range(n)], dtype).reshape(shape)
        values = self._uniform(n, dtype)
        tail = n % _CHUNK
        if tail:  # the last chunk overlaps the one before it, with fresh uniforms
            fresh = self._uniform(_CHUNK, dtype)
            chunks = np.concatenate([values[: n - tail], fresh])
        else:
            chunks = values
        pairs = chunks.reshape(-1, 2, _CHUNK // 2)
        radius = np.sqrt(dtype.type(-2) * np.log(dtype.type(1) - pairs[:, 0]))
        angle = dtype.type(2 * math.pi) * pairs[:, 1]
        made = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
        if not tail:
            return made.reshape(shape)
        first = np.concatenate([made[: n - tail], np.empty(tail, dtype)])
        first[n - _CHUNK :] = made[-_CHUNK:]
        return first.reshape(shape)

    def permutation(self, n: int) -> np.ndarray:
        """The numbers 0 … n-1 in random order (Fisher and Yates)."""
        order = list(range(n))
        for i, draw in enumerate(self._raw(max(n - 1, 0)).tolist()):
            j = i + draw % (n - i)
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    def _one_normal(self) -> float:
        if self._spare is not None:
            value, self._spare = self._spare, None
            return value
        u1, u2 = self._uniform(2, np.dtype(np.float64))
        radius, angle = math.sqrt(-2 * math.log1p(-u2)), 2 * math.pi * u1
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)


def _fused(u: np.ndarray, scale: Any, low: Any) -> np.ndarray:
    """u · scale + low rounded once, as the processor's fused multiply-add does it for torch."""
    if u.dtype == np.float32:  # a product of two float32 is exact in float64
        return (u.astype(np.float64) * np.float64(scale) + np.float64(low)).astype(np.float32)
    product = u * scale
    split = lambda x: (x * 134217729.0) - (x * 134217729.0 - x)  # noqa: E731 - Veltkamp's: the upper half of the bits
    u1, s1 = split(u), split(scale)
    lost = ((u1 * s1 - product) + u1 * (scale - s1) + (u - u1) * s1) + (u - u1) * (scale - s1)  # Dekker's
    total = product + low
    back = total - product
    return total + (((product - (total - back)) + (low - back)) + lost)  # Knuth's sum, with what the product lost


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default stream of random numbers anew.

    固定默认发生器的随机种子。

    seed: an integer in [-2**63, 2**64 - 1]. Returns the generator.
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    return 0


def initial_seed() -> int:
    """The seed of the default stream. 默认发生器的种子。"""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    return None


def set_rng_state(new_state: Any) -> None:
    return None
