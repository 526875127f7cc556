"""Module: a model as a tree of parts that knows its parameters, its buffers and its smaller modules.

模块：模型是一棵由部件组成的树，它知道自己有哪些参数、缓冲区和子模块。
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from optimlab.dtype import as_numpy, check_device, dtype, float16, float32, float64
from optimlab.hooks import RemovableHandle, add_hook
from optimlab.nn.backward_hooks import call as seen_on_the_way_back
from optimlab.nn.parameter import Parameter
from optimlab.nn.state import States, dotted
from optimlab.tensor import Tensor


def _kind(value: Any) -> str:
    """The type of a value as torch names it."""
    return value.type() if isinstance(value, Tensor) else type(value).__name__


class Module(States):
    """A part of a model: parameters, buffers and modules are found as attributes; ``forward`` computes. 模型的部件。"""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]  # tensors that belong to the state but are not trained
    _modules: dict[str, "Module | None"]

    _forward_hooks: dict[int, tuple[Callable, bool]]
    _forward_pre_hooks: dict[int, tuple[Callable, bool]]
    _backward_hooks: dict[int, Callable]
    _non_persistent_buffers_set: set[str]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _non_persistent_buffers_set=set(),
            _forward_hooks={}, _forward_pre_hooks={}, _backward_hooks={},
        )  # fmt: skip

    # ---- parts as attributes

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        for kind, part in ((Parameter, "parameters"), (Module, "module")):
            if isinstance(value, kind):
                if "_modules" not in own:
                    raise AttributeError(
                        f"cannot assign {part} before Module.__init__() call; begin __init__ with super().__init__()"
                    )
                for key in ("_buffers", "_parameters" if kind is Module else "_modules"):
                    own[key].pop(name, None)
                own.pop(name, None)
                own["_parameters" if kind is Parameter else "_modules"][name] = value
                return
        for key, part, wanted in (
            ("_parameters", "parameter", "torch.nn.Parameter"),
            ("_modules", "child module", "torch.nn.Module"),
            ("_buffers", "buffer", "torch.Tensor"),
        ):
            if name in own.get(key, ()):
                if value is not None and not (key == "_buffers" and isinstance(value, Tensor)):
                    raise TypeError(
                        f"cannot assign '{_kind(value)}' as {part} '{name}' ({wanted} or None expected); "
                        f"delete it first, or change its numbers: module.{name}.copy_(tensor) under no_grad()"
                    )
                own[key][name] = value
                return
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for key in ("_parameters", "_modules", "_buffers"):
            found = own.get(key)
            if found is None:
                raise AttributeError(
                    f"{type(self).__name__!r} object has no attribute {name!r}: Module.__init__() was not called; "
                    "begin __init__ with super().__init__()"
                )
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for key in ("_parameters", "_modules", "_buffers"):
            if name in self.__dict__.get(key, ()):
                del self.__dict__[key][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._parameters, *self._modules, *self._buffers})

    def _free_name(self, kind: str, name: Any, found: Mapping) -> str:
        """``name`` if a new part may have it; TypeError or KeyError otherwise, as torch raises them."""
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in found:
            raise KeyError(f"attribute '{name}' already exists")
        return name

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None keeps its name and place."""
        name = self._free_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_kind(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is saved with the model but not trained; with persistent=False it is not saved either."""
        name = self._free_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_kind(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Add a smaller module."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass; pass a Module, as ReLU()")
        self._modules[self._free_name("module", name, self._modules)] = module

    register_module = add_module

    # ---- running it

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._forward_pre_hooks or self._forward_hooks or self._backward_hooks):
            return self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_pre_hooks.values()):
            changed = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if changed is not None and with_kwargs:
                args, kwargs = changed
            elif changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        if self._backward_hooks:
            return seen_on_the_way_back(self, list(self._backward_hooks.values()), args, lambda a: self._run(a, kwargs))
        return self._run(args, kwargs)

    def _run(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """``forward`` and the hooks after it."""
        output = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_hooks.values()):
            changed = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            output = output if changed is None else changed
        return output

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; what it returns, unless None, replaces the arguments."""
        return _register(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; what it returns, unless None, replaces the output."""
        return _register(self._forward_hooks, hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)``, two tuples, in backward; what it returns replaces grad_input."""
        return add_hook(self._backward_hooks, hook, prepend)

    def train(self, mode: bool = True) -> "Module":
        """Put every module into training mode; returns the module."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean; mode must be True or False, not {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Put every module into evaluation mode; returns the module."""
        return self.train(False)

    # ---- what it consists of

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules directly below, each once, with their names."""
        seen: set[int] = set()
        for name, child in self._modules.items():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator["Module"]:
        """The modules directly below, each once."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, "Module"]]:
        """The module itself and all below it, each once, with dotted names."""
        seen = set() if memo is None else memo
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            name, module = waiting.pop()
            if module not in seen:
                if remove_duplicate:
                    seen.add(module)
                yield name, module
                children = [(dotted(name, key), child) for key, child in module._modules.items() if child is not None]
                waiting += reversed(children)

    def modules(self) -> Iterator["Module"]:
        """The module itself and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, key: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for name, module in modules:
            for own_name, x in getattr(module, key).items():
                if x is not None and id(x) not in seen:
                    if remove_duplicate:
                        seen.add(id(x))
                    yield dotted(name, own_name), x

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with dotted names such as ``0.weight``."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once: what an optimizer is given."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once, with dotted names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> "Module":
        """The module of a dotted name; "" is the module itself."""
        module: Any = self
        for name in target.split(".") if target else []:
            if name not in module._modules:
                raise AttributeError(
                    f"{type(module).__name__} has no attribute `{name}`; it has {list(module._modules)}"
                )
            module = module._modules[name]
        return module

    def _get(self, key: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in getattr(module, key):
            raise AttributeError(
                f"{type(module).__name__} has no attribute `{name}`; it has {list(getattr(module, key))}"
            )
        return getattr(module, key)[name]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name."""
        return self._get("_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name."""
        return self._get("_buffers", target)

    # ---- changing all of it

    def apply(self, fn: Callable[["Module"], Any]) -> "Module":
        """Call ``fn`` on every module, the module itself last; returns the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> "Module":
        """Turn all parameters and buffers of floats into another float dtype; returns the module.

        ``to(float64)``, ``to(dtype=float64)``, ``to(tensor)``; a device may stand there too: "cpu", the only one.
        """
        wanted = None
        for x in (*args, *(kwargs.get(key) for key in ("device", "dtype"))):
            if isinstance(x, Tensor):
                x = x.dtype
            if isinstance(x, dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
                wanted = as_numpy(x)
            elif not isinstance(x, bool):  # non_blocking
                check_device(x)
        if wanted is None:
            return self
        if wanted.kind != "f":
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.{wanted}"
            )
        tensors = [x for x in (*self.parameters(), *self.buffers()) if x.is_floating_point()]
        tensors += [p._grad for p in self.parameters() if p._grad is not None]
        for x, array in [(x, x._array.astype(wanted, copy=False)) for x in tensors]:
            x._array = array
        return self

    def float(self) -> "Module":
        """All floats as float32; returns the module."""
        return self.to(float32)

    def double(self) -> "Module":
        """All floats as float64; returns the module."""
        return self.to(float64)

    def half(self) -> "Module":
        """All floats as float16; returns the module."""
        return self.to(float16)

    def cuda(self, device: Any = None) -> "Module":
        """There is no GPU here; raises as torch's CPU build does."""
        return self.to("cuda")

    def share_memory(self) -> "Module":
        """The module itself: nothing is to be done for threads."""
        return self

    def cpu(self) -> "Module":
        """The module itself, which is there already."""
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for p in self.parameters():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad.detach().zero_()

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Freeze (False) or free all parameters; returns the module."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    # ---- its text

    def extra_repr(self) -> str:
        """What stands between the brackets of a module without parts."""
        return ""

    def _parts(self) -> list[str]:
        """A line for each smaller module."""
        return [f"({name}): {child!r}" for name, child in self._modules.items()]

    def __repr__(self) -> str:
        extra = self.extra_repr()
        parts = [part.replace("\n", "\n  ") for part in self._parts()]
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not parts:
            return f"{type(self).__name__}({extra})"
        inside = "\n  " + "\n  ".join(lines + parts) + "\n" if lines or parts else ""
        return f"{type(self).__name__}({inside})"


def _register(hooks: dict, hook: Callable, prepend: bool, with_kwargs: bool) -> RemovableHandle:
    handle = add_hook(hooks, hook, prepend)
    hooks[handle.id] = (hook, with_kwargs)
    return handle
