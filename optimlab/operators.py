"""What a tensor can be asked to do element by element: operators, functions, comparisons, and their in-place forms.

Each is a row of ``functional.OPERATIONS``. Methods that differ in nothing but the row are made from a table of their names.

逐元素的运算：每个方法都对应 ``functional.OPERATIONS`` 里的一行；只有名字不同的方法由一张表生成。
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.arrays import TensorError

if TYPE_CHECKING:
    from optimlab.tensor import Tensor

    class Base:
        """What the parts of `Tensor` know of the whole: anything."""

        def __getattr__(self, name: str) -> Any: ...

else:
    Base = object


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a tensor or array as a plain tuple; () for a number."""
    return tuple(getattr(x, "shape", ()))


class Operators(Base):
    """The methods of `Tensor` that treat every element alike."""

    # ---- arithmetic

    def __add__(self, other: Any) -> "Tensor":
        return self._binary("add", other)

    def __radd__(self, other: Any) -> "Tensor":
        return self._binary("add", other, True)

    def __sub__(self, other: Any) -> "Tensor":
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> "Tensor":
        return self._binary("sub", other, True)

    def __mul__(self, other: Any) -> "Tensor":
        return self._binary("mul", other)

    def __rmul__(self, other: Any) -> "Tensor":
        return self._binary("mul", other, True)

    def __truediv__(self, other: Any) -> "Tensor":
        return self._binary("div", other)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return self._binary("div", other, True)

    def __pow__(self, other: Any) -> "Tensor":
        return self._binary("pow", other)

    def __rpow__(self, other: Any) -> "Tensor":
        return self._binary("pow", other, True)

    def __floordiv__(self, other: Any) -> "Tensor":
        return self._binary("floor_divide", other)

    def __rfloordiv__(self, other: Any) -> "Tensor":
        return self._binary("floor_divide", other, True)

    def __mod__(self, other: Any) -> "Tensor":
        return self._binary("remainder", other)

    def __rmod__(self, other: Any) -> "Tensor":
        return self._binary("remainder", other, True)

    def __neg__(self) -> "Tensor":
        return self._apply("neg")

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> "Tensor":
        return self._apply("abs")

    def __invert__(self) -> "Tensor":
        return self._apply("bitwise_not")

    def __and__(self, other: Any) -> "Tensor":
        return self._binary("bitwise_and", other)

    def __or__(self, other: Any) -> "Tensor":
        return self._binary("bitwise_or", other)

    def __xor__(self, other: Any) -> "Tensor":
        return self._binary("bitwise_xor", other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # ---- comparisons: tensors of bools, without history

    def __eq__(self, other: Any) -> Any:
        return self._binary("eq", other)

    def __ne__(self, other: Any) -> Any:
        return self._binary("ne", other)

    def __lt__(self, other: Any) -> Any:
        return self._binary("lt", other)

    def __le__(self, other: Any) -> Any:
        return self._binary("le", other)

    def __gt__(self, other: Any) -> Any:
        return self._binary("gt", other)

    def __ge__(self, other: Any) -> Any:
        return self._binary("ge", other)

    __hash__ = object.__hash__  # a tensor is a key by what it is, not by what it holds

    def equal(self, other: "Tensor") -> bool:
        """Whether shapes and all elements are equal."""
        return bool(np.array_equal(self._array, other._array))

    def isclose(self, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> "Tensor":
        """Where |self - other| <= atol + rtol |other|."""
        return self._wrap(np.isclose(self._array, getattr(other, "_array", other), rtol, atol, equal_nan))

    def allclose(self, other: "Tensor", rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
        """Whether |self - other| <= atol + rtol |other| everywhere."""
        return bool(self.isclose(other, rtol, atol, equal_nan)._array.all())

    # ---- functions that take more than the elements

    def add(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """self + alpha * other."""
        return self + other if alpha == 1 else self + alpha * other

    def sub(self, other: Any, *, alpha: Any = 1) -> "Tensor":
        """self - alpha * other."""
        return self - other if alpha == 1 else self - alpha * other

    def div(self, other: Any, *, rounding_mode: str | None = None) -> "Tensor":
        """self / other, rounded to integers towards zero ("trunc") or down ("floor") where a mode is given."""
        if rounding_mode not in (None, "trunc", "floor"):
            raise TensorError(
                f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
            )
        if rounding_mode == "floor":
            return self // other
        return self / other if rounding_mode is None else (self / other).trunc().to((self + other).dtype)

    def round(self, *, decimals: int = 0) -> "Tensor":
        """Each element rounded to ``decimals`` digits after the point, halves to even."""
        return self._apply("round", decimals=decimals)

    def clamp(self, min: Any = None, max: Any = None) -> "Tensor":
        """Each element, or the bound that it lies beyond; bounds are numbers or tensors."""
        if min is None and max is None:
            raise TensorError("torch.clamp: At least one of 'min' or 'max' must not be None")
        if not any(isinstance(bound, Operators) for bound in (min, max)):
            whole = self._array.dtype.kind != "f" and any(isinstance(bound, float) for bound in (min, max))
            return (self.float() if whole else self)._apply("clamp", low=min, high=max)._called("Clamp", 1)
        low: Any = self if min is None else self.maximum(self._like(min))
        return low if max is None else low.minimum(self._like(max))

    clip = clamp

    def clamp_min(self, min: Any) -> "Tensor":
        """Each element, or ``min`` where it is smaller."""
        return self.clamp(min=min)

    def clamp_max(self, max: Any) -> "Tensor":
        """Each element, or ``max`` where it is larger."""
        return self.clamp(max=max)

    def _like(self, number: Any) -> Any:
        """A number as a tensor of this dtype; a tensor as it is."""
        return number if isinstance(number, Operators) else self._wrap(np.asarray(number, self._array.dtype))

    def lerp(self, end: Any, weight: Any) -> "Tensor":
        """self + weight * (end - self), computed from the nearer end."""
        way = end - self
        if isinstance(weight, Operators):
            found = self._where(weight.abs() < 0.5, self + weight * way, end - way * (1 - weight))
            return found._called("Lerp", 1)
        return (self + weight * way if abs(weight) < 0.5 else end - way * (1 - weight))._called("Lerp")

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> "Tensor":
        """self + value * tensor1 * tensor2."""
        return (self + (tensor1 * tensor2 if value == 1 else value * tensor1 * tensor2))._called("Addcmul")

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> "Tensor":
        """self + value * tensor1 / tensor2."""
        return (self + (tensor1 / tensor2 if value == 1 else value * tensor1 / tensor2))._called("Addcdiv")

    def where(self, condition: Any, other: Any) -> "Tensor":
        """Each element where the condition holds, that of ``other`` elsewhere."""
        return self._where(condition, self, other)

    def masked_fill(self, mask: Any, value: Any) -> "Tensor":
        """``value`` where the mask holds, each element elsewhere."""
        return self._where(mask, bool(value) if self._array.dtype.kind == "b" else value, self)._called("MaskedFill")

    # ---- in place

    def copy_(self, src: Any, non_blocking: bool = False) -> "Tensor":
        """Take over the numbers of ``src``, which may broadcast."""
        return self._become(self._apply("copy", src))

    def fill_(self, value: Any) -> "Tensor":
        """Set every element to ``value``."""
        return self.copy_(value) if isinstance(value, Operators) else self._become(self._apply("fill", value=value))

    def zero_(self) -> "Tensor":
        """Set every element to 0."""
        if self.is_sparse:
            return self._become(self._wrap(np.zeros_like(self._array)))
        return self.fill_(0)

    def __iadd__(self, other: Any) -> "Tensor":
        return self._become(self + other)

    def __isub__(self, other: Any) -> "Tensor":
        return self._become(self - other)

    def __imul__(self, other: Any) -> "Tensor":
        return self._become(self * other)

    def __itruediv__(self, other: Any) -> "Tensor":
        return self._become(self / other)

    def __ipow__(self, other: Any) -> "Tensor":
        return self._become(self**other)

    def __ifloordiv__(self, other: Any) -> "Tensor":
        return self._become(self // other)

    def __imod__(self, other: Any) -> "Tensor":
        return self._become(self % other)

    def __iand__(self, other: Any) -> "Tensor":
        return self._become(self & other)

    def __ior__(self, other: Any) -> "Tensor":
        return self._become(self | other)

    def __ixor__(self, other: Any) -> "Tensor":
        return self._become(self ^ other)


UNARY = {
    "abs": "The absolute value of each element.",
    "neg": "Each element with the other sign.",
    "sign": "-1, 0 or 1 for each element, as its sign is.",
    "square": "The square of each element.",
    "sqrt": "The square root of each element: nan below 0.",
    "rsqrt": "One over the square root of each element.",
    "reciprocal": "One over each element.",
    "exp": "e to the power of each element.",
    "expm1": "e to the power of each element, less 1, exact near 0.",
    "log": "The natural logarithm of each element: -inf at 0, nan below.",
    "log1p": "The natural logarithm of 1 and each element, exact near 0.",
    "log2": "The logarithm to base 2 of each element.",
    "log10": "The logarithm to base 10 of each element.",
    "sin": "The sine of each element, in radians.",
    "cos": "The cosine of each element, in radians.",
    "tan": "The tangent of each element, in radians.",
    "asin": "The arc sine of each element, in radians.",
    "acos": "The arc cosine of each element, in radians.",
    "atan": "The arc tangent of each element, in radians.",
    "sinh": "The hyperbolic sine of each element.",
    "cosh": "The hyperbolic cosine of each element.",
    "tanh": "The hyperbolic tangent of each element.",
    "sigmoid": "1 / (1 + e^-x) of each element.",
    "relu": "Each element, or 0 where it is negative.",
    "floor": "The next integer below each element.",
    "ceil": "The next integer above each element.",
    "trunc": "Each element without what stands after the point.",
    "isnan": "Where an element is not a number.",
    "isinf": "Where an element is infinite.",
    "isfinite": "Where an element is a finite number.",
    "logical_not": "Where an element is 0.",
    "bitwise_not": "Each bit the other way; not, for bools.",
}
BINARY = {
    "mul": "The product of each two elements.",
    "pow": "Each element to the power of ``other``.",
    "fmod": "What is left of each element after division, with its own sign.",
    "remainder": "What is left of each element after division, with the divisor's sign.",
    "floor_divide": "The quotient of each two elements, rounded down.",
    "atan2": "The angle of the point (other, self), in radians.",
    "maximum": "The larger of each two elements; nan where one is.",
    "minimum": "The smaller of each two elements; nan where one is.",
    "logical_and": "Where both elements are not 0.",
    "logical_or": "Where one of the elements is not 0.",
    "logical_xor": "Where exactly one of the elements is not 0.",
    "bitwise_and": "The bits that both have; and, for bools.",
    "bitwise_or": "The bits that one has; or, for bools.",
    "bitwise_xor": "The bits in which they differ.",
    "eq": "Where self == other.",
    "ne": "Where self != other.",
    "lt": "Where self < other.",
    "le": "Where self <= other.",
    "gt": "Where self > other.",
    "ge": "Where self >= other.",
}
ALIASES = {
    "multiply": "mul", "divide": "div", "true_divide": "div", "subtract": "sub", "negative": "neg", "absolute": "abs",
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne", "arctan": "atan",
}  # fmt: skip
IN_PLACE = (
    *(
        "add",
        "sub",
        "mul",
        "div",
        "pow",
        "fmod",
        "remainder",
        "floor_divide",
        "clamp",
        "clamp_min",
        "clamp_max",
        "clip",
    ),
    *("lerp", "addcmul", "addcdiv", "addmm", "masked_fill", "round", "multiply", "divide", "subtract"),
    *(name for name in UNARY if not name.startswith("is")),
)


def _named(method: Any, name: str, doc: str) -> None:
    method.__name__, method.__qualname__, method.__doc__ = name, f"Operators.{name}", doc
    setattr(Operators, name, method)


def _unary(name: str) -> Callable:
    def method(self: "Tensor") -> "Tensor":
        return self._apply(name)

    return method


def _binary(name: str) -> Callable:
    def method(self: "Tensor", other: Any) -> "Tensor":
        found = self._binary(name, other)
        if found is NotImplemented:
            raise TypeError(f"{name}(): argument 'other' must be Tensor or Number, not {type(other).__name__}")
        return found

    return method


def _in_place(name: str) -> Callable:
    def method(self: "Tensor", *args: Any, **kwargs: Any) -> "Tensor":
        return self._become(getattr(self, name)(*args, **kwargs))

    return method


for _name, _doc in UNARY.items():
    _named(_unary(_name), _name, _doc)
for _name, _doc in BINARY.items():
    _named(_binary(_name), _name, _doc)
for _name, _other in ALIASES.items():
    setattr(Operators, _name, getattr(Operators, _other))
for _name in IN_PLACE:
    _named(_in_place(_name), f"{_name}_", f"`{_name}` in place; returns the tensor.")
