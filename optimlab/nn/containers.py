"""Modules and parameters in rows and under names: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict.

容器：按顺序或按名字存放模块与参数。
"""

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from optimlab.nn.module import Module, Parameter
from optimlab.operators import shape_of
from optimlab.tensor import Tensor


class _Row(Module):
    """Parts named "0", "1", …"""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._modules.values()))

    def _at(self, index: Any) -> str:
        """The name of a part by its position, counted from the end where negative."""
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"index {position} is out of range; there are {len(self)} modules")
        return list(self._modules)[position]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(*self._rest(list(self._modules.items())[index]))
        return self._modules[self._at(index)]

    def _rest(self, items: list) -> tuple:
        return ([module for _, module in items],)

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, self._at(index), module)

    def __delitem__(self, index: Any) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._at(index)]
        for name in names:
            del self._modules[name]
        self._renumber(list(self._modules.values()))

    def _renumber(self, modules: Iterable[Any]) -> None:
        modules = list(modules)
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(
                    f"{type(module).__name__} is not a Module subclass; argument {i} must be a Module, as ReLU()"
                )
        self._modules.clear()
        self._modules.update({str(i): module for i, module in enumerate(modules)})

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        self._renumber([*self, module])
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end; returns the container."""
        self._renumber([*self, *modules])
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before position ``index``."""
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def __add__(self, other: Iterable[Module]) -> Any:
        return type(self)(*self._rest([("", module) for module in (*self, *other)]))

    def __iadd__(self, other: Iterable[Module]) -> Any:
        return self.extend(other)

    def pop(self, index: int = -1) -> Module:
        """Take a module out and return it."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Row):
    """Modules run one after the other; ``net[0]`` is the first. 依次执行的模块。

    Given as arguments, or as one dict of names and modules.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self._renumber(args)

    def _rest(self, items: list) -> tuple:
        return (dict(items),) if all(n for n, _ in items) else tuple(m for _, m in items)

    def __delitem__(self, index: Any) -> None:
        names = list(self._modules)
        super().__delitem__(index)
        if any(not name.isdigit() for name in names):  # names of one's own stay
            kept = [name for i, name in enumerate(names) if i not in _positions(index, len(names))]
            modules = list(self)
            self._modules.clear()
            self._modules.update(zip(kept, modules, strict=True))

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input


def _positions(index: Any, length: int) -> set[int]:
    return set(range(length)[index]) if isinstance(index, slice) else {range(length)[index]}


class ModuleList(_Row):
    """A list whose modules belong to the model. 模块列表。"""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._renumber(modules or ())

    def _parts(self) -> list[str]:
        """Modules that read the same stand on one line: ``(0-1): 2 x ReLU()``."""
        lines, start = [], 0
        for text, group in itertools.groupby(map(repr, self)):
            n = len(list(group))
            lines.append(f"({start}): {text}" if n == 1 else f"({start}-{start + n - 1}): {n} x {text}")
            start += n
        return lines


class ModuleDict(Module):
    """A dict whose modules belong to the model. 模块字典。"""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Any) -> None:
        """Take over modules from a dict or from pairs of name and module."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """Pairs of name and module."""
        return self._modules.items()

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        return self._modules.pop(key)  # type: ignore[return-value]

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()


def _as_parameter(value: Any) -> Parameter:
    if not isinstance(value, Tensor):
        raise TypeError(f"{type(value).__name__} is no Parameter; pass a Parameter or a tensor of floats")
    return value if isinstance(value, Parameter) else Parameter(value)


def _size(p: Any) -> str:
    return f"[{p.dtype} of size {'x'.join(map(str, shape_of(p)))}]"


class ParameterList(Module):
    """A list whose parameters belong to the model; tensors become parameters. 参数列表。"""

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))

    def __getitem__(self, index: Any) -> Any:
        found = list(self)[index]
        return ParameterList(found) if isinstance(index, slice) else found

    def __setitem__(self, index: int, value: Tensor) -> None:
        self._parameters[str(range(len(self))[index])] = _as_parameter(value)

    def append(self, value: Tensor) -> "ParameterList":
        """Add a parameter at the end; returns the list."""
        self._parameters[str(len(self))] = _as_parameter(value)
        return self

    def extend(self, values: Iterable[Tensor]) -> "ParameterList":
        """Add parameters at the end; returns the list."""
        for value in [_as_parameter(value) for value in values]:
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Tensor]) -> "ParameterList":
        return self.extend(values)

    def __repr__(self) -> str:
        lines = [f"    ({name}): Parameter containing: {_size(p)}" for name, p in self._parameters.items()]
        return "\n".join(["ParameterList(", *lines, ")"]) if lines else "ParameterList()"


class ParameterDict(Module):
    """A dict whose parameters belong to the model; tensors become parameters. 参数字典。"""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def update(self, parameters: Any) -> None:
        """Take over parameters from a dict or from pairs of name and parameter."""
        for name, value in dict(parameters).items():
            self[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        self.register_parameter(key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def keys(self) -> Any:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Any:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Any:
        """Pairs of name and parameter."""
        return self._parameters.items()
