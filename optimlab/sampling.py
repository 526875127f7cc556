"""The methods of a tensor that fill it with random numbers: torch's own for the same seed.

用随机数填充张量。
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.arrays import TensorError
from optimlab.operators import Base
from optimlab.random import Generator, default_generator

if TYPE_CHECKING:
    from optimlab.tensor import Tensor


def source(generator: Generator | None) -> Generator:
    """The generator to draw from: the default one where none is given."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"generator must be a Generator or None, not {type(generator).__name__}")
    return generator


class Sampling(Base):
    """The methods of `Tensor` that draw."""

    def normal_(self, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> "Tensor":
        """Fill with normal numbers of the given mean and standard deviation."""
        if not std >= 0:
            raise TensorError(f"normal_ expects std >= 0.0, but found std {std}")
        values = source(generator).normal(self._array.shape, self._floats("normal_"), mean, std)
        return self._become(self._apply("copy", values))

    def uniform_(
        self, from_: float = 0, to: float = 1, *, generator: Generator | None = None, **named: Any
    ) -> "Tensor":
        """Fill with uniform numbers in [from, to)."""
        low = named.pop("from", from_)  # a word of Python's own, so it cannot be written as a parameter
        if named:
            raise TypeError(f"uniform_() got an unexpected keyword argument {next(iter(named))!r}")
        if not low <= to:
            raise TensorError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={to}")
        values = source(generator).uniform(self._array.shape, self._floats("uniform_"), low, to)
        return self._become(self._apply("copy", values))

    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> "Tensor":
        """Fill with 1, with probability ``p``, or 0; p is a number or a tensor."""
        chance = p._array if hasattr(p, "_array") else p
        if not np.all((np.asarray(chance) >= 0) & (np.asarray(chance) <= 1)):
            raise TensorError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        values = source(generator).bernoulli(self._array.shape, chance)
        return self._become(self._apply("copy", values.astype(self._array.dtype)))

    def random_(self, *bounds: int, generator: Generator | None = None) -> "Tensor":
        """Fill with integers in [low, high): ``random_(high)`` or ``random_(low, high)``."""
        low, high = bounds if len(bounds) == 2 else (0, *bounds) if bounds else (0, None)
        if high is None:
            dtype = self._array.dtype
            high = 2 ** (np.finfo(dtype).nmant + 1) + 1 if dtype.kind == "f" else int(np.iinfo(dtype).max) + 1
        values = source(generator).integers(self._array.shape, low, high)
        return self._become(self._apply("copy", values.astype(self._array.dtype)))

    def exponential_(self, lambd: float = 1, *, generator: Generator | None = None) -> "Tensor":
        """Fill with exponential numbers of mean 1 / lambd."""
        if not lambd > 0:
            raise TensorError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        values = source(generator).exponential(self._array.shape, self._floats("exponential_"), lambd)
        return self._become(self._apply("copy", values))

    def multinomial(
        self, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
    ) -> "Tensor":
        """num_samples places of each row, drawn in proportion to its elements; without replacement no place twice."""
        p, n = self._array, num_samples
        self._floats("multinomial")
        if p.ndim not in (1, 2) or not p.shape[-1]:
            raise TensorError(f"prob_dist must be 1 or 2 dim, and not empty; its shape is {p.shape}")
        if n <= 0:
            raise TensorError(f"cannot sample n_sample <= 0 samples; num_samples is {n}")
        if not replacement and n > p.shape[-1]:
            raise TensorError(
                f"cannot sample n_sample > prob_dist.size(-1) samples without replacement: {n} > {p.shape[-1]}"
            )
        if not ((p >= 0) & (p < np.inf)).all():
            raise TensorError("probability tensor contains either `inf`, `nan` or element < 0")
        if not p.any(axis=-1).all():
            raise TensorError("invalid multinomial distribution (sum of probabilities <= 0)")
        generator = source(generator)
        if replacement and n > 1:
            bounds = p.cumsum(axis=-1)
            bounds /= bounds[..., -1:]
            bounds[..., -1] = 1
            uniform = generator.uniform((*p.shape[:-1], n), np.dtype(np.float64))
            rows = zip(bounds.reshape(-1, p.shape[-1]), uniform.reshape(-1, n), strict=True)
            return self._wrap(np.stack([np.searchsorted(*row) for row in rows]).reshape(uniform.shape))
        # the first arrivals of processes with rates p (Efraimidis and Spirakis 2006)
        with np.errstate(all="ignore"):
            rates = p / generator.exponential(p.shape, p.dtype)
        return self._wrap(np.argsort(-rates, axis=-1, kind="stable")[..., :n])

    def _floats(self, name: str) -> np.dtype:
        if self._array.dtype.kind != "f":
            raise TensorError(f"{name} fills tensors of floats, not {self.dtype}; call .float() first")
        return self._array.dtype
