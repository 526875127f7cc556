"""torch._foreach_*: a method of Tensor on each tensor of a list, as optimizers in torch's style call them.

对列表中的每个张量调用同一个方法；torch 风格的优化器会用到。
"""

from collections.abc import Callable
from typing import Any

from optimlab.arrays import TensorError
from optimlab.operators import UNARY
from optimlab.tensor import Tensor

BOTH = (  # for these there is also the form in place
    *(name for name in UNARY if hasattr(Tensor, f"{name}_")),
    *("add", "sub", "mul", "div", "pow", "lerp", "addcmul", "addcdiv", "maximum", "minimum", "clamp_min", "clamp_max"),
)
ONE = ("norm", "max", "clone", "mm", "copy_", "zero_")
NAMED = {"addcmul": "value", "addcdiv": "value"}  # what torch takes in third place, and the method by this name


def _foreach(name: str) -> Callable:
    plain = name.removesuffix("_")

    def in_place(x: Tensor, *args: Any) -> Tensor:
        return x._become(getattr(x, plain)(*args))

    method = getattr(Tensor, name, in_place)  # maximum_ and minimum_ are no methods in torch either

    def function(self: Any, *args: Any, **kwargs: Any) -> Any:
        if name == "pow" and not isinstance(self, (list, tuple)):  # a number to the power of each tensor
            (tensors,) = args
            return tuple(self**x for x in tensors)
        if not isinstance(self, (list, tuple)) or not all(isinstance(x, Tensor) for x in self):
            raise TypeError(f"_foreach_{name}() takes a list of tensors, not {self!r:.60}")
        if not self:
            raise TensorError("Tensor list must have at least one tensor.")
        columns = []
        for x in args:
            several = isinstance(x, (list, tuple))
            if several and len(x) != len(self):
                raise TensorError(f"Tensor lists must have the same number of tensors, got {len(self)} and {len(x)}")
            columns.append(x if several else [x] * len(self))
        found = []
        for x, *row in zip(self, *columns, strict=True):
            last = {NAMED[plain]: row.pop()} if plain in NAMED and len(row) == 3 else {}
            found.append(method(x, *row, **last, **kwargs))
        return found if name.endswith("_") else tuple(found)

    function.__name__ = function.__qualname__ = f"_foreach_{name}"
    function.__doc__ = f"``x.{name}(…)`` for each tensor x of a list. 对每个张量调用 ``{name}``。"
    return function


FOREACH = {f"_foreach_{name}": _foreach(name) for name in (*BOTH, *(f"{name}_" for name in BOTH), *ONE)}
