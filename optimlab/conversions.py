"""A tensor's numbers in another dtype, and new tensors of its own.

张量的类型转换。
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.dtype import as_numpy, bool_, check_device, float16, float32, float64, int8, int16, int32, int64
from optimlab.dtype import device as device_type
from optimlab.operators import Base
from optimlab.shapes import sizes

if TYPE_CHECKING:
    from optimlab.tensor import Tensor


class Conversions(Base):
    """The methods of `Tensor` that give its numbers in another dtype."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor in another dtype, ``to(float64)`` or ``to(other)``; itself where it has that already.

        A device may stand beside the dtype; "cpu" is the one there is. copy=True copies in any case.
        """
        wanted, copy = kwargs.pop("dtype", None), kwargs.pop("copy", False)
        places = [kwargs.pop("device", None)]
        kwargs.pop("non_blocking", None), kwargs.pop("memory_format", None)
        if kwargs:
            raise TypeError(f"to() got an unexpected keyword argument {next(iter(kwargs))!r}")
        for x in args:
            if isinstance(x, (str, device_type)) or (x is None and len(args) > 1):
                places.append(x)
            elif not isinstance(x, bool):
                wanted = x.dtype if hasattr(x, "_array") else x
        for place in places:
            check_device(place)
        found = self._array.dtype if wanted is None else as_numpy(wanted)
        if found == self._array.dtype:
            return self.clone() if copy else self
        return self._apply("to", dtype=found)

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False) -> Any:
        """A new tensor with a copy of ``data``, of this tensor's dtype."""
        check_device(device)
        values = np.array(data._array if hasattr(data, "_array") else data)
        found = self._wrap(values.astype(self._array.dtype if dtype is None else as_numpy(dtype)))
        return found.requires_grad_(requires_grad)

    def new_full(
        self, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """A new tensor of the given size, of this tensor's dtype, with every element ``fill_value``."""
        values = np.full(sizes((size,)), fill_value)
        return self.new_tensor(values, dtype=dtype, device=device, requires_grad=requires_grad)

    def new_zeros(self, *size: Any, **options: Any) -> Any:
        """A new tensor of zeros of the given size, of this tensor's dtype; options as in `new_full`."""
        return self.new_full(sizes(size), 0, **options)

    new_empty = new_zeros

    def new_ones(self, *size: Any, **options: Any) -> Any:
        """A new tensor of ones of the given size, of this tensor's dtype; options as in `new_full`."""
        return self.new_full(sizes(size), 1, **options)

    def cpu(self) -> Any:
        """The tensor itself: it is in main memory."""
        return self

    def cuda(self, device: Any = None) -> Any:
        """There is no GPU here; raises as torch's CPU build does."""
        return check_device("cuda")

    def type(self, dtype: Any = None) -> Any:
        """The name of the tensor's type, such as ``torch.FloatTensor``; with a dtype the tensor in it."""
        return self.to(dtype) if dtype is not None else f"torch.{TYPE_NAMES[self._array.dtype.name]}Tensor"

    def type_as(self, other: "Tensor") -> Any:
        """The tensor in the dtype of ``other``."""
        return self.to(other.dtype)

    def float(self) -> Any:
        """In float32."""
        return self.to(float32)

    def double(self) -> Any:
        """In float64."""
        return self.to(float64)

    def half(self) -> Any:
        """In float16."""
        return self.to(float16)

    def long(self) -> Any:
        """In int64."""
        return self.to(int64)

    def int(self) -> Any:
        """In int32."""
        return self.to(int32)

    def short(self) -> Any:
        """In int16."""
        return self.to(int16)

    def char(self) -> Any:
        """In int8."""
        return self.to(int8)

    def byte(self) -> Any:
        """In uint8."""
        return self.to(np.uint8)

    def bool(self) -> Any:
        """In bool: whether each element is not 0."""
        return self.to(bool_)


TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int", "int16": "Short",
    "int8": "Char", "uint8": "Byte", "bool": "Bool",
}  # fmt: skip
