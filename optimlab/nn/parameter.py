"""Parameter: a tensor that belongs to a model. 参数：属于模型的张量。"""

from optimlab.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a `Module` counts among its parameters. 会被模块登记的张量。

    data: a tensor of floats (its memory is shared). requires_grad: False freezes it.
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter data must be a Tensor, not {type(data).__name__}; use Parameter(tensor(...))")
        self._begin(data._array)
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
