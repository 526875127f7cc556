"""Parameter and Module: a model as a tree of parts that knows its parameters.

参数与模块：模型是一棵由部件组成的树，它知道自己有哪些参数。
"""

from collections.abc import Iterator
from typing import Any

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


class Module:
    """A part of a model: parameters and smaller modules are found as attributes; ``forward`` computes. 模型的部件。"""

    training: bool

    def __init__(self) -> None:
        self.__dict__.update(_parameters={}, _modules={}, training=True)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(
                f"cannot assign {name!r} before Module.__init__() call; begin __init__ with super().__init__()"
            )
        if name in self._parameters and not isinstance(value, (Parameter, type(None))):
            raise TypeError(
                f"cannot assign {type(value).__name__} as parameter {name!r} (Parameter or None expected); "
                f"wrap it, Parameter(tensor), or change the numbers, module.{name}.data = tensor"
            )
        for kind, found, other in (
            (Parameter, self._parameters, self._modules),
            (Module, self._modules, self._parameters),
        ):
            if isinstance(value, kind) or (value is None and name in found):
                found[name] = value  # one that is replaced keeps its place in the order
                other.pop(name, None)
                self.__dict__.pop(name, None)
                return
        self._modules.pop(name, None)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for found in ("_parameters", "_modules"):
            if name in self.__dict__.get(found, ()):
                return self.__dict__[found][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for found in (self._parameters, self._modules):
            if name in found:
                del found[name]
                return
        object.__delattr__(self, name)

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.forward(*inputs, **kwargs)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """The module itself and all below it, each once, with dotted names."""
        seen: set[int] = set()
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            name, module = waiting.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module
                dot = name + "." if name else ""
                waiting += [(dot + key, child) for key, child in reversed(module._modules.items()) if child is not None]

    def modules(self) -> Iterator["Module"]:
        """The module itself and all below it."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator["Module"]:
        """The modules directly below."""
        return (child for child in self._modules.values() if child is not None)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with dotted names such as ``0.weight``."""
        seen: set[int] = set()
        for name, module in self.named_modules(prefix):
            for key, p in module._parameters.items():
                if p is not None and id(p) not in seen:
                    seen.add(id(p))
                    yield (name + "." if name else "") + key, p

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once: what an optimizer is given."""
        return (p for _, p in self.named_parameters())

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for p in self.parameters():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad.detach().zero_()

    def train(self, mode: bool = True) -> "Module":
        """Put every module into training mode; returns the module."""
        if not isinstance(mode, bool):
            raise TypeError(f"Invalid mode: {mode!r}; training mode is expected to be boolean")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Put every module into evaluation mode; returns the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Freeze (False) or free all parameters; returns the module."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def extra_repr(self) -> str:
        """What stands between the brackets of a module without parts."""
        return ""

    def __repr__(self) -> str:
        parts = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        inside = "\n" + "\n".join(parts) + "\n" if parts else self.extra_repr()
        return f"{type(self).__name__}({inside})"
