"""Samplers: in which order examples are taken; torch's for the same seed. 采样器：按什么顺序取样本。"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from optimlab.checks import Flag, Number
from optimlab.creation import tensor
from optimlab.dtype import float64
from optimlab.random import Generator, default_generator

_COUNT = Number("Invalid {name}: {value}", low=1, whole=True)


def draw_seed(generator: Generator | None) -> int:
    """A seed drawn from a stream, as torch draws it: 63 bits of two outputs."""
    high, low = (generator or default_generator)._raw(2).tolist()
    return (high << 32 | low) % 2**63


class Sampler:
    """Numbers of examples, in the order in which they are taken; subclasses define ``__iter__``. 采样器。"""

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__, which yields the numbers of examples")


class SequentialSampler(Sampler):
    """0, 1, 2, … 依次采样。"""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """All examples in random order, or with replacement; ``num_samples`` of them. 随机采样。

    generator: the stream to draw from; by default each round gets a stream of its own, seeded from the default one.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.generator = data_source, generator
        self.replacement = bool(Flag()("replacement", replacement))
        self._num_samples = None if num_samples is None else int(_COUNT("num_samples", num_samples))

    @property
    def num_samples(self) -> int:
        """How many numbers a round yields."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, generator = len(self.data_source), self.generator
        if generator is None:
            generator = Generator().manual_seed(draw_seed(None))
        if self.replacement:
            yield from generator.integers((self.num_samples,), 0, n).tolist()
            return
        for start in range(0, self.num_samples + 1, max(n, 1)):  # torch draws a last order even for no more samples
            yield from generator.permutation(n)[: self.num_samples - start].tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given numbers in random order. 子集随机采样。"""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in (self.generator or default_generator).permutation(len(self.indices)).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """``num_samples`` numbers, example i drawn with a probability in proportion to ``weights[i]``. 加权随机采样。

    replacement: whether an example may be drawn again; without, num_samples of them must have a weight above 0.
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.num_samples = int(_COUNT("num_samples", num_samples))
        self.replacement, self.generator = bool(Flag()("replacement", replacement)), generator
        self.weights = tensor(weights, dtype=float64)
        p = self.weights._array
        if p.ndim != 1 or not np.isfinite(p).all() or (p < 0).any() or not p.any():
            raise ValueError(
                f"Invalid weights: {weights!r:.60}; weights must be numbers >= 0 in one row, and some above 0"
            )
        if not replacement and num_samples > np.count_nonzero(p):
            raise ValueError(
                f"Invalid num_samples: {num_samples}; without replacement it must be at most {np.count_nonzero(p)}, "
                "the number of weights above 0"
            )

    def __iter__(self) -> Iterator[int]:
        drawn = self.weights.multinomial(self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """The numbers of a sampler in lists of batch_size; drop_last leaves a shorter last list out. 批采样。"""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        self.sampler, self.batch_size = sampler, int(_COUNT("batch_size", batch_size))
        self.drop_last = bool(Flag()("drop_last", drop_last))

    def __iter__(self) -> Iterator[list]:
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return whole + (rest > 0 and not self.drop_last)
