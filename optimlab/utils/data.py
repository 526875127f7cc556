"""Data sets, and the loader that hands them out in batches, in torch's order for the same seed.

数据集，以及按批取数据的加载器；种子相同，顺序就与 torch 相同。
"""

import bisect
import copy
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from optimlab.checks import Flag, Number
from optimlab.creation import tensor
from optimlab.dtype import float64
from optimlab.functional import TensorError
from optimlab.random import Generator, default_generator
from optimlab.tensor import Tensor

_COUNT = Number("Invalid {name}: {value}", low=1, whole=True)


def _seed(generator: Generator | None) -> int:
    """A seed drawn from a stream, as torch draws it: 63 bits of two outputs."""
    high, low = (generator or default_generator)._raw(2).tolist()
    return (high << 32 | low) % 2**63


# ---- data sets


class Dataset:
    """Examples by number: subclasses define ``__getitem__`` and ``__len__``. 可按编号取样本的数据集。"""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} must define __getitem__, which returns the example of a number"
        )

    def __add__(self, other: "Dataset") -> "ConcatDataset":
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Examples one after the other: subclasses define ``__iter__``. 只能依次读取的数据集。"""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__, which yields the examples")


class TensorDataset(Dataset):
    """Tensors of equal length; example i is the tuple of their i-th rows. 由张量组成的数据集。"""

    def __init__(self, *tensors: Tensor) -> None:
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor) or t.ndim == 0 or len(t) != len(tensors[0]):
                kind = f"shape {tuple(t.shape)}" if isinstance(t, Tensor) else f"type {type(t).__name__}"
                raise ValueError(
                    f"Size mismatch between tensors: argument {i} is of {kind}; all must be tensors with the same first axis"
                )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def batch(self, indices: list[int]) -> list[Tensor]:
        """Many examples stacked, as `default_collate` would, in one step for each tensor."""
        index = np.array(indices, np.int64)
        return [t[index] for t in self.tensors]

    def __len__(self) -> int:
        return len(self.tensors[0]) if self.tensors else 0


class ConcatDataset(Dataset):
    """Data sets one after the other. 依次连接的数据集。"""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("datasets should not be an empty iterable; give at least one")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise TypeError("ConcatDataset does not support IterableDataset, whose examples have no numbers")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range; there are {len(self)} examples")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class Subset(Dataset):
    """The examples of ``dataset`` whose numbers stand in ``indices``. 子集。"""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Parts of a data set, drawn at random without overlap. 随机划分数据集。

    lengths: numbers of examples that add up to the data set's, or fractions that add up to 1 (what rounding leaves over goes
    to the first parts, one each).
    """
    lengths, n = list(lengths), len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for i, fraction in enumerate(lengths):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1: {fraction}")
        counts = [math.floor(n * fraction) for fraction in lengths]
        left = n - sum(counts)
        counts = [count + left // len(counts) + (i < left % len(counts)) for i, count in enumerate(counts)]
        for i, count in enumerate(counts):
            if count == 0:
                warnings.warn(
                    f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=2
                )
    else:
        counts = [int(Number("Invalid {name}: {value}", 0, whole=True)("lengths", count)) for count in lengths]
    if sum(counts) != n:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"{' + '.join(map(str, counts))} is not {n}; lengths must add up to it, or be fractions that add up to 1"
        )
    order = (generator or default_generator).permutation(n).tolist()
    return [
        Subset(dataset, order[stop - count : stop])
        for stop, count in zip(itertools.accumulate(counts), counts, strict=True)
    ]


# ---- samplers: in which order


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
        self.replacement = Flag()("replacement", replacement)
        self._num_samples = None if num_samples is None else int(_COUNT("num_samples", num_samples))

    @property
    def num_samples(self) -> int:
        """How many numbers a round yields."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, generator = len(self.data_source), self.generator
        if generator is None:
            generator = Generator().manual_seed(_seed(None))
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
        self.replacement, self.generator = Flag()("replacement", replacement), generator
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
        generator, p, double = self.generator or default_generator, self.weights._array, np.dtype(np.float64)
        if self.replacement:
            bounds = np.cumsum(p)
            bounds /= bounds[-1]
            bounds[-1] = 1
            drawn = np.searchsorted(bounds, generator.uniform((self.num_samples,), double))
            return iter(drawn.tolist())
        # the first arrivals of processes with rates p (Efraimidis and Spirakis 2006)
        waiting = -np.log1p(-generator.uniform(p.shape, double))
        with np.errstate(divide="ignore", invalid="ignore"):
            return iter(np.argsort(-(p / waiting), kind="stable")[: self.num_samples].tolist())

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


# ---- batches


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch of many examples: tensors, arrays and numbers are stacked; tuples, lists and dicts by their parts. 合并成批。"""
    first = batch[0]
    if isinstance(first, Tensor):
        shapes = {tuple(t.shape) for t in batch}
        if len(shapes) > 1:
            raise TensorError(
                f"stack expects each tensor to be equal size, but got {sorted(shapes)}; pass collate_fn= to batch them"
            )
        if any(t.requires_grad for t in batch):
            raise RuntimeError("examples must not require grad, for a batch has no history; call .detach()")
        return Tensor._wrap(np.stack([t._array for t in batch]))
    if isinstance(first, (np.ndarray, np.generic)):
        return tensor(np.stack(batch))
    if isinstance(first, (bool, int)):
        return tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype=float64)
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return _like(first, {key: default_collate([example[key] for example in batch]) for key in first})
    if isinstance(first, Sequence):
        if any(len(example) != len(first) for example in batch):
            raise RuntimeError("each element in list of batch should be of equal size; pass collate_fn= to batch them")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}: pass collate_fn="
    )


def _like(mapping: Any, items: dict) -> Any:
    """A mapping of the same kind with other values."""
    if not isinstance(mapping, MutableMapping):
        return type(mapping)(items)
    clone = copy.copy(mapping)
    clone.update(items)
    return clone


def default_convert(example: Any) -> Any:
    """An example with tensors where it has arrays; what batch_size=None uses. 单个样本的转换。"""
    if isinstance(example, (np.ndarray, np.generic)):
        return tensor(example)
    if isinstance(example, Mapping):
        return _like(example, {key: default_convert(x) for key, x in example.items()})
    if isinstance(example, (tuple, list)):
        parts = [default_convert(x) for x in example]
        return type(example)(*parts) if hasattr(example, "_fields") else type(example)(parts)
    return example


class DataLoader:
    """A data set in batches: ``for x, y in DataLoader(data, 64, shuffle=True)``. 按批提供数据。

    dataset: anything with ``__getitem__`` and ``__len__``, or an `IterableDataset`. batch_size: examples a batch; None hands
    out single ones. shuffle: a new random order each round. sampler, batch_sampler: an order of one's own instead. collate_fn:
    makes a batch of a list of examples; by default `default_collate`. drop_last: leave a shorter last batch out. generator:
    the stream to draw from, by default the default one. num_workers and the like are accepted; the data is read by this process.
    """

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None, sampler: Iterable | None = None,
        batch_sampler: Iterable | None = None, num_workers: int = 0, collate_fn: Callable | None = None,
        pin_memory: bool = False, drop_last: bool = False, timeout: float = 0, worker_init_fn: Callable | None = None,
        multiprocessing_context: Any = None, generator: Generator | None = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True,
    ) -> None:  # fmt: skip
        Number("num_workers option should be non-negative: {value}", 0, whole=True)("num_workers", num_workers)
        Number("timeout option should be non-negative: {value}", 0)("timeout", timeout)
        shuffle, drop_last = bool(Flag(none=True)("shuffle", shuffle)), bool(Flag()("drop_last", drop_last))
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            for name, given in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if given is not None and given is not False:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={given}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle; the sampler decides the order")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None and not self._iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None:
            numbers = itertools.repeat(None) if self._iterable else sampler
            batch_sampler = BatchSampler(numbers, batch_size, drop_last)  # type: ignore[arg-type]
            self.batch_size: int | None = batch_sampler.batch_size
        else:
            self.batch_size = None
        self.dataset, self.sampler, self.batch_sampler, self.generator = dataset, sampler, batch_sampler, generator
        self.drop_last, self.num_workers, self.pin_memory, self.timeout = drop_last, num_workers, pin_memory, timeout
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)

    def __iter__(self) -> Iterator[Any]:
        _seed(self.generator)  # torch draws a seed for its workers at the start of each round, even without any
        return self._from_stream() if self._iterable else self._by_number()

    def _from_stream(self) -> Iterator[Any]:
        examples = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, examples)
            return
        while batch := list(itertools.islice(examples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def _by_number(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            for number in self.sampler:  # type: ignore[union-attr]
                yield self.collate_fn(self.dataset[number])
            return
        at_once = type(self.dataset) is TensorDataset and self.collate_fn is default_collate
        for batch in self.batch_sampler:
            yield self.dataset.batch(batch) if at_once else self.collate_fn([self.dataset[number] for number in batch])

    def __len__(self) -> int:
        if self._iterable:
            n, size = len(self.dataset), self.batch_size or 1
            return n // size if self.drop_last else -(-n // size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
