"""What a parameter group may hold, checked before an optimizer takes it.

参数组可以包含什么：在优化器接受之前检查。
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from optimlab.tensor import Tensor

UNORDERED = (
    "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
    "will change between runs. Please use a list instead."
)


def parameters(params: Any) -> tuple[list[Any], list[Any] | None]:
    """A group's "params" as a list, and their names where they have some."""
    if isinstance(params, (set, frozenset)):
        raise TypeError(UNORDERED)
    if not isinstance(params, (Tensor, Iterable)) or isinstance(params, (str, bytes, dict)):
        raise TypeError(f"params of a group must be tensors in a list, not {type(params).__name__}")
    params = [params] if isinstance(params, Tensor) else list(params)
    named = [isinstance(p, tuple) for p in params]
    if not any(named):
        return params, None
    if not all(named):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing; "
            "give each as (name, tensor), or none"
        )
    names, params = [name for name, _ in params], [p for _, p in params]
    if len(set(names)) < len(names):
        raise ValueError(f"parameter names must differ; {names} has one twice")
    return params, names


def refuse_misspelt(given: dict[str, Any], options: Iterable[str]) -> None:
    """Raise ValueError for a key that looks like an option with a letter wrong; other keys are the program's own."""
    known = [*options, "params"]
    for key in given:
        if key in known or not isinstance(key, str):
            continue
        if meant := [x for x in get_close_matches(key, known, 1, 0.8) if abs(len(x) - len(key)) <= 1]:
            raise ValueError(f"a parameter group has {key!r}, which is no option; write {meant[0]!r}, or another name")


def refuse_what_cannot_move(params: Sequence[Any], differentiable: bool) -> None:
    """Raise TypeError or ValueError unless all are leaves of floats."""
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
        if not (p.is_leaf or differentiable):
            raise ValueError(
                "can't optimize a non-leaf Tensor; it was computed: use what it was computed from, or .detach()"
            )
        if not p.is_floating_point():
            raise ValueError(f"can't optimize a tensor of {p.dtype}; parameters must be floats: call .float()")
    if len({id(p) for p in params}) < len(params):
        raise ValueError("optimizer contains a parameter group with duplicate parameters; give each parameter once")


HALF = 65504.0  # what float16 can hold


def refuse_overflowing_lr(group: dict[str, Any]) -> None:
    """Raise ValueError for a learning rate that is infinite in the precision of a parameter."""
    lr = group.get("lr", 0.0)
    lr = lr.item() if isinstance(lr, Tensor) and lr.numel() == 1 else lr
    if not isinstance(lr, (int, float)) or lr <= HALF:  # nearly always
        return
    for p in group["params"]:
        if lr > (most := float(np.finfo(p._array.dtype).max)):
            raise ValueError(
                f"Invalid learning rate: {lr}; it is too large for a parameter of {p.dtype}: lr must be <= {most:.4g}"
            )


def sharing(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """Two arrays that share memory; None where there are none."""
    arrays = [a for a in arrays if a.size]
    owners = [a if a.base is None else a.base for a in arrays]
    if len({*map(id, owners)}) == len(owners) and all(type(x) is np.ndarray and x.base is None for x in owners):
        return None  # nearly always: each has memory of its own
    spans = sorted((*np.lib.array_utils.byte_bounds(a), i) for i, a in enumerate(arrays))
    reach: list[tuple[int, int]] = []  # (end, index) of those that reach beyond the start of the next
    for start, end, i in spans:
        reach = [(e, k) for e, k in reach if e > start]
        for _, k in reach:
            if np.shares_memory(arrays[i], arrays[k]):
                return arrays[k], arrays[i]
        reach.append((end, i))
    return None


def refuse_shared_memory(params: Sequence[Tensor]) -> None:
    """Raise ValueError where an element would be stepped twice: a parameter in two groups, or two views of the same memory."""
    if len({id(p) for p in params}) < len(params):
        raise ValueError("some parameters appear in more than one parameter group; give each to one group")
    arrays = [p._array for p in params if not p.is_sparse]
    for a in arrays:
        if a.size and any(step == 0 and n > 1 for step, n in zip(a.strides, a.shape, strict=True)):
            raise ValueError(
                f"a parameter of shape {a.shape} repeats the same memory, as .expand() makes it; optimize what it was made from"
            )
    if two := sharing(arrays):
        raise ValueError(
            f"two parameters, of shapes {two[0].shape} and {two[1].shape}, share memory and would step twice; "
            "give the tensor they are views of"
        )
