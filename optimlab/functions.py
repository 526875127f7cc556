"""The functions of tensors under torch's names: ``torch.exp(x)`` beside ``x.exp()``, and those that take several tensors.

torch 名下的张量函数。
"""

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optimlab.arrays import TensorError
from optimlab.checks import Number
from optimlab.dtype import DTYPES, common
from optimlab.operators import ALIASES, BINARY, UNARY
from optimlab.reductions import axis_of
from optimlab.shapes import check_all_tensors
from optimlab.tensor import Tensor, apply

OF_ELEMENTS = (
    *UNARY, *BINARY, *ALIASES, "add", "sub", "div", "clamp", "clip", "clamp_min", "clamp_max", "round", "lerp", "addcmul",
    "addcdiv", "masked_fill", "equal", "allclose", "isclose",
)  # fmt: skip
OF_SEVERAL = (
    "sum", "mean", "var", "std", "norm", "dist", "prod", "cumsum", "cumprod", "diff",
    "logsumexp", "softmax", "log_softmax", "all", "any", "argmax",
    "argmin", "count_nonzero", "max", "min", "amax", "amin", "argsort", "sort", "topk", "median", "unique", "matmul", "dot",
    "inner", "mv", "mm", "bmm", "outer", "ger", "addmm", "trace", "multinomial",
)  # fmt: skip
OF_SHAPES = (
    "reshape", "broadcast_to", "tile", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "permute", "transpose",
    "swapaxes", "movedim", "t", "narrow", "select", "split", "chunk", "unbind", "gather", "take_along_dim", "scatter",
    "scatter_add", "index_select", "masked_select", "nonzero", "flip", "roll", "tril", "triu", "diagonal", "diag", "numel",
    "clone", "detach", "is_floating_point",
)  # fmt: skip


def _function(name: str) -> Callable:
    """The method as a function; ``out`` is a tensor that takes the result."""
    method = getattr(Tensor, name)

    @functools.wraps(method)
    def function(input: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        result = method(input, *args, **kwargs)
        return result if out is None else out._become(result)

    function.__qualname__ = name
    return function


METHODS: dict[str, Callable] = {
    name: _function(name) for name in (*OF_ELEMENTS, *OF_SEVERAL, *OF_SHAPES) if name != "pow"
}


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """``input`` to the power ``exponent``; one of them may be a number. 幂。"""
    result = input**exponent
    return result if out is None else out._become(result)


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds, ``other`` elsewhere; without them the places where it holds. 按条件选择。"""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    try:
        return Tensor._where(condition, input, other)
    except ValueError as error:
        shapes = [tuple(getattr(x, "shape", ())) for x in (condition, input, other)]
        raise TensorError(f"where(): the shapes {shapes} do not broadcast to one: {error}") from None


def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors one after the other along ``dim``. 沿一个轴拼接。"""
    parts = check_all_tensors("cat", tensors)
    kept = [x for x in parts if x._array.shape != (0,)] or parts[:1]  # torch skips empty vectors
    if any(x.ndim == 0 for x in kept):
        raise TensorError("zero-dimensional tensor (at position 0) cannot be concatenated; use stack")
    wanted = functools.reduce(lambda a, b: np.empty(1, common(a, b)), [x._array for x in parts]).dtype
    axis = axis_of(dim, kept[0].ndim)
    for i, x in enumerate(kept):
        ours, theirs = list(x.shape), list(kept[0].shape)
        if len(ours) != len(theirs):
            raise TensorError(f"Tensors must have same number of dimensions: got {len(theirs)} and {len(ours)}")
        ours[axis] = theirs[axis]
        if ours != theirs:
            raise TensorError(
                f"Sizes of tensors must match except in dimension {axis}. Expected {theirs} but got {list(x.shape)} for "
                f"tensor number {i} in the list."
            )
    result = apply("cat", *(x.to(DTYPES[wanted]) for x in kept), dim=axis)
    return result if out is None else out._become(result)


concat = concatenate = cat


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors side by side along a new axis ``dim``. 沿新的轴堆叠。"""
    parts = check_all_tensors("stack", tensors)
    for i, x in enumerate(parts):
        if x.shape != parts[0].shape:
            raise TensorError(
                f"stack expects each tensor to be equal size, but got {list(parts[0].shape)} at entry 0 and {list(x.shape)} "
                f"at entry {i}"
            )
    return cat([x.unsqueeze(dim) for x in parts], axis_of(dim, parts[0].ndim + 1))._called("Stack")


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along the second axis, vectors along the first. 水平拼接。"""
    parts = [x.reshape(1) if x.ndim == 0 else x for x in check_all_tensors("hstack", tensors)]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other; vectors as rows. 竖直拼接。"""
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in check_all_tensors("vstack", tensors)])


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors, each repeated to the shape of them all. 广播到同一形状。"""
    shape = np.broadcast_shapes(*(tuple(x.shape) for x in tensors))
    return tuple(x.expand(shape) for x in tensors)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The distance of each row of x1 from each of x2, as a matrix; in batches too. 两组点之间的距离。"""
    return (x1.unsqueeze(-2) - x2.unsqueeze(-3)).norm(p, -1)._called("Cdist")


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors as the coordinates of a grid: one tensor for each, of the grid's shape. 网格坐标。"""
    axes = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise TensorError(f"torch.meshgrid: indexing must be one of 'xy' or 'ij', but received: {indexing}")
    turned = indexing == "xy" and len(axes) > 1
    shape = tuple(x.numel() for x in axes)
    grids = [x.reshape(*(-1 if j == i else 1 for j in range(len(axes)))).expand(shape) for i, x in enumerate(axes)]
    if turned:
        grids = [g.transpose(0, 1) for g in grids]
    return tuple(grids)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation: ``einsum("ij,jk->ik", a, b)``. 爱因斯坦求和。

    Operands are multiplied two at a time from the left; an index is summed over when nothing after it names it.
    """
    parts = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (tuple, list)) else list(operands)
    ins, arrow, out = equation.replace(" ", "").partition("->")
    names = ins.split(",")
    if len(names) != len(parts):
        raise TensorError(f"einsum(): {len(names)} subscripts for {len(parts)} operands; each operand needs its own")
    free = iter(sorted(set(map(chr, [*range(65, 91), *range(97, 123)])) - set(equation)))
    dots = max((x.ndim - len(n.replace("...", "")) for n, x in zip(names, parts, strict=True) if "..." in n), default=0)
    shared = "".join(itertools.islice(free, dots))
    names = [
        n.replace("...", shared[dots - (x.ndim - len(n) + 3) :]) if "..." in n else n
        for n, x in zip(names, parts, strict=True)
    ]
    for n, x in zip(names, parts, strict=True):
        if len(n) != x.ndim:
            raise TensorError(f"einsum(): subscripts {n!r} do not match the {x.ndim} axes of their operand")
    if not arrow:
        whole = "".join(names)
        out = ("..." if dots else "") + "".join(sorted(c for c in set(whole) - set(shared) if whole.count(c) == 1))
    out = out.replace("...", shared)
    if unknown := set(out) - set("".join(names)):
        raise TensorError(
            f"einsum(): output subscript {min(unknown)} does not appear in the equation for any input operand of {equation!r}"
        )
    x, name = _diagonal(parts[0], names[0])
    for i, (other, other_name) in enumerate(zip(parts[1:], names[1:], strict=True), 1):
        other, other_name = _diagonal(other, other_name)
        later = set(out).union(*names[i + 1 :])
        kept = "".join(c for c in dict.fromkeys(name + other_name) if c in later)
        try:
            x = apply("einsum", x, other, subscripts=f"{name},{other_name}->{kept}")
        except ValueError as error:
            raise TensorError(f"einsum(): operands do not fit {equation!r}: {error}") from None
        name = kept
    gone = tuple(i for i, c in enumerate(name) if c not in out)
    x = x.sum(gone) if gone else x
    name = "".join(c for c in name if c in out)
    return x.permute(*(name.index(c) for c in out)) if name != out else x


def _diagonal(x: Tensor, name: str) -> tuple[Tensor, str]:
    """Indices that occur twice in one operand run together."""
    for c in dict.fromkeys(name):
        while name.count(c) > 1:
            i = name.index(c)
            j = name.index(c, i + 1)
            n = np.arange(x.shape[i])
            x = x.movedim(j, i + 1).movedim(i, 0).movedim(i + 1, 1)[n, n]
            name = c + name[:i] + name[i + 1 : j] + name[j + 1 :]
    return x, name


def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor. 是否为张量。"""
    return isinstance(obj, Tensor)


def typename(obj: Any) -> str:
    """The name of an object's type, torch's for a tensor: ``torch.FloatTensor``. 类型的名称。"""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often 0, 1, 2, … occur among non-negative integers, or the sum of their weights. 计数。"""
    return Tensor._wrap(np.bincount(input._array, None if weights is None else weights._array, minlength))


def get_num_threads() -> int:
    """How many threads NumPy's library for matrices may use, as its variables say, else the processors. 线程数。"""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        if os.environ.get(variable, "").isdecimal():
            return int(os.environ[variable])
    return os.cpu_count() or 1


def set_num_threads(n: int) -> None:
    """Nothing but the check of ``n``: NumPy's threads are set by OMP_NUM_THREADS, before its import. 线程数在导入前设定。"""
    Number("set_num_threads expects a positive integer", low=1, whole=True)("n", n)


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing but the check of ``precision``: products of float32 are computed in float32. 矩阵乘法精度不可调。"""
    if precision not in ("highest", "high", "medium"):
        raise TensorError(f"Invalid precision: {precision!r}; precision must be 'highest', 'high' or 'medium'")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing: every operation here is deterministic. 所有运算都是确定的。"""


def compile(model: Any = None, **options: Any) -> Any:
    """The function or module itself: nothing is compiled here; also as a decorator with options. 不编译，原样返回。"""
    return model if model is not None else lambda function: function
