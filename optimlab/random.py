"""The random numbers of torch's CPU generator: for one seed the same stream.

Mersenne Twister seeded as in Matsumoto and Nishimura (1998). A float32 takes the low 24 bits of one 32-bit output, a
float64 the low 53 bits of two; normals are made by Box and Muller's transform (1958).

同一个种子得到与 torch 相同的随机数。
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from optimlab.arrays import TensorError
from optimlab.checks import Number
from optimlab.dtype import CPU, check_device
from optimlab.normals import cosine_and_sine, logarithm

_SEED = Number("Invalid seed: {value}", -(2**63), 2**64 - 1, whole=True)
_CHUNK = 16  # torch fills normals in chunks of 16 from this size on, and one by one below it
_WORDS = 624  # the state of the Mersenne Twister
# torch's layout of a state: seed, numbers left, seeded, next word, words; then the spare normal and whether there is one
_STATE = np.dtype([
    ("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("words", "<u8", _WORDS),
    ("unused", "<f8"), ("spare", "<f8"), ("rho", "<f8"), ("has_spare", "<i8"), ("rest", "<i8"),
])  # fmt: skip


class Generator:
    """A stream of random numbers; ``manual_seed(s)`` starts it anew.

    随机数发生器；``manual_seed`` 让它从头开始。
    """

    device = CPU
    _tensor: Any = None  # makes a tensor of an array; `tensor` stands above this module and sets it

    def __init__(self, device: Any = None) -> None:
        check_device(device)
        self._seed = 67280421310721  # torch's default, so that an unseeded program is the same each time too
        self._bits: Any = None  # made at the first number: numpy.random is slow to import
        self._spare: float | None = None  # the second normal of a pair that was made one by one

    def manual_seed(self, seed: int) -> "Generator":
        """Start the stream of ``seed``, an integer in [-2**63, 2**64 - 1]; only its low 32 bits matter."""
        self._seed = int(_SEED("seed", seed)) % 2**64
        self._bits = self._spare = None
        return self

    def seed(self) -> int:
        """Start a stream that nobody can foretell; returns its seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the stream was started with."""
        return self._seed

    def get_state(self) -> Any:
        """Where the stream is: a tensor of bytes, torch's own for the same numbers drawn."""
        return self._tensor(self.state())

    def set_state(self, new_state: Any) -> "Generator":
        """Go on from where ``get_state`` was called. Raises RuntimeError for what is no such state."""
        found = getattr(new_state, "_array", new_state)
        if not isinstance(found, np.ndarray) or found.dtype != np.uint8:
            raise TypeError("expected a torch.ByteTensor; a state is what get_state() returns")
        self.resume(found)
        return self

    def state(self) -> np.ndarray:
        """The state in torch's layout, as bytes."""
        state = np.zeros(1, _STATE)
        state["seed"], state["seeded"] = self._seed, 1
        if self._bits is None:
            fresh = np.random.MT19937()
            fresh._legacy_seeding(self._seed % 2**32)
            state["left"], state["next"], state["words"] = 1, 0, fresh.state["state"]["key"]
        else:
            place = self._bits.state["state"]
            state["left"], state["next"] = _WORDS + 1 - place["pos"], place["pos"]
            state["words"] = place["key"]
        if self._spare is not None:
            state["spare"], state["has_spare"] = self._spare, 1
        return state.view(np.uint8)

    def resume(self, raw: np.ndarray) -> None:
        """Take over a state in torch's layout."""
        if raw.shape != (_STATE.itemsize,):
            raise TensorError(
                f"Expected either a CPUGeneratorImplStateLegacy or a CPUGeneratorImplState of size {_STATE.itemsize} bytes, "
                f"but found {raw.size}; a state is what get_state() returns"
            )
        state = np.ascontiguousarray(raw).view(_STATE)[0]
        if not state["seeded"] or not 1 <= state["left"] <= _WORDS or state["next"] > _WORDS:
            raise TensorError("Invalid mt19937 state; a state is what get_state() returns")
        bits = np.random.MT19937()
        key = state["words"].astype(np.uint32)
        bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": int(_WORDS + 1 - state["left"])}}
        self._seed, self._bits = int(state["seed"]), None if state["next"] == 0 else bits
        self._spare = float(state["spare"]) if state["has_spare"] % 2**32 else None

    def _raw(self, n: int) -> np.ndarray:
        """The next n outputs of 32 bits, as uint64."""
        if self._bits is None:
            self._bits = np.random.MT19937()
            self._bits._legacy_seeding(self._seed % 2**32)  # the seeding of the 1998 paper, which torch uses too
        return self._bits.random_raw(n)

    def _raw64(self, n: int) -> np.ndarray:
        """The next n numbers of 64 bits, each of two outputs."""
        high, low = self._raw(2 * n).reshape(n, 2).T
        return (high << np.uint64(32)) | low

    def _uniform(self, n: int, dtype: np.dtype) -> np.ndarray:
        """n numbers in [0, 1)."""
        if dtype == np.float64:
            return (self._raw64(n) & np.uint64(2**53 - 1)).astype(np.float64) / 2**53
        return ((self._raw(n) & np.uint64(2**24 - 1)).astype(np.float32) / np.float32(2**24)).astype(dtype, copy=False)

    def uniform(self, shape: Sequence[int], dtype: np.dtype, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers in [low, high): an array of ``shape``."""
        low, scale = dtype.type(low), dtype.type(high) - dtype.type(low)
        return fused(self._uniform(math.prod(shape), dtype), scale, low).reshape(shape)

    def integers(self, shape: Sequence[int], low: int, high: int) -> np.ndarray:
        """Integers in [low, high): an array of ``shape``."""
        n, span = math.prod(shape), high - low
        raw = self._raw64(n) if span >= 2**28 else self._raw(n)
        return (raw % np.uint64(span)).astype(np.int64).reshape(shape) + low

    def bernoulli(self, shape: Sequence[int], p: Any) -> np.ndarray:
        """Whether an event of probability ``p``, a number or an array, occurs: an array of ``shape`` of bools.

        torch draws float64 for a number, and p's own precision for a tensor.
        """
        dtype = p.dtype if isinstance(p, np.ndarray) else np.dtype(np.float64)
        return self._uniform(math.prod(shape), dtype).reshape(shape) < p

    def exponential(self, shape: Sequence[int], dtype: np.dtype, rate: float = 1.0) -> np.ndarray:
        """Exponential numbers of mean 1 / rate: an array of ``shape``."""
        uniform = self._uniform(math.prod(shape), np.dtype(np.float64))
        return (-1 / rate * np.log1p(-uniform)).astype(dtype).reshape(shape)

    def normal(self, shape: Sequence[int], dtype: np.dtype, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
        """Normal numbers: an array of ``shape``."""
        n = math.prod(shape)
        if n < _CHUNK:
            few = fused(np.array([self._one_normal() for _ in range(n)], np.float64), std, mean)
            return few.astype(dtype).reshape(shape)
        values = self._uniform(n, dtype)
        tail = n % _CHUNK
        chunks = values
        if tail:  # the last chunk overlaps the one before it, with fresh uniforms
            chunks = np.concatenate([values[: n - tail], self._uniform(_CHUNK, dtype)])
        pairs = chunks.reshape(-1, 2, _CHUNK // 2)
        radius = np.sqrt(dtype.type(-2) * logarithm(dtype.type(1) - pairs[:, 0]))
        cosine, sine = cosine_and_sine(dtype.type(2 * math.pi) * pairs[:, 1])
        made = np.stack([radius * cosine, radius * sine], axis=1).reshape(-1)
        if (mean, std) != (0, 1):
            made = fused(made, dtype.type(std), dtype.type(mean))
        if not tail:
            return made.reshape(shape)
        whole = np.concatenate([made[: n - tail], np.empty(tail, dtype)])
        whole[n - _CHUNK :] = made[-_CHUNK:]
        return whole.reshape(shape)

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


def fused(u: np.ndarray, scale: Any, low: Any) -> np.ndarray:
    """u · scale + low rounded once, as the processor's fused multiply-add does it for torch."""
    if u.dtype != np.float64:  # a product of two float32 is exact in float64
        return (u.astype(np.float64) * np.float64(scale) + np.float64(low)).astype(u.dtype)
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
    """Start a default stream that nobody can foretell; returns its seed. 用随机的种子重新开始。"""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default stream. 默认发生器的种子。"""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """Where the default stream is: a tensor of bytes, torch's own for the same numbers drawn. 默认发生器的状态。"""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Let the default stream go on from where `get_rng_state` was called. 恢复默认发生器的状态。"""
    default_generator.set_state(new_state)
