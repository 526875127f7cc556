"""Data sets: examples by number, or one after the other. 数据集：按编号取样本，或依次读取。"""

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.random import Generator, default_generator
from optimlab.tensor import Tensor


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
