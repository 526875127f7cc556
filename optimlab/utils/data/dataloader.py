"""DataLoader: a data set in batches. 按批提供数据。"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from optimlab.checks import Flag, Number
from optimlab.creation import tensor
from optimlab.dtype import float64
from optimlab.functional import TensorError
from optimlab.random import Generator
from optimlab.tensor import Tensor
from optimlab.utils.data.dataset import IterableDataset, TensorDataset
from optimlab.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed


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


def get_worker_info() -> None:
    """None: the data is read by the process itself, never by a worker. 没有子进程读数据。"""


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
        draw_seed(self.generator)  # torch draws a seed for its workers at the start of each round, even without any
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
