"""Parameter and Module: a model as a tree of parts that knows its parameters, its buffers and its smaller modules.

参数与模块：模型是一棵由部件组成的树，它知道自己有哪些参数、缓冲区和子模块。
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from optimlab.commit import commit
from optimlab.dtype import as_numpy, check_device, dtype, float16, float32, float64
from optimlab.functional import TensorError
from optimlab.hooks import RemovableHandle, add_hook
from optimlab.sparse import COO
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


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What `Module.load_state_dict` did not find in the state, and what it found too much. 未匹配的键。"""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


def _kind(value: Any) -> str:
    """The type of a value as torch names it."""
    return value.type() if isinstance(value, Tensor) else type(value).__name__


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


class Module:
    """A part of a model: parameters, buffers and modules are found as attributes; ``forward`` computes. 模型的部件。"""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]  # tensors that belong to the state but are not trained
    _modules: dict[str, "Module | None"]

    _forward_hooks: dict[int, tuple[Callable, bool]]
    _forward_pre_hooks: dict[int, tuple[Callable, bool]]
    _non_persistent_buffers_set: set[str]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _non_persistent_buffers_set=set(),
            _forward_hooks={}, _forward_pre_hooks={},
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
        if not (self._forward_pre_hooks or self._forward_hooks):
            return self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_pre_hooks.values()):
            changed = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if changed is not None and with_kwargs:
                args, kwargs = changed
            elif changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
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
                children = [(_dotted(name, key), child) for key, child in module._modules.items() if child is not None]
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
                    yield _dotted(name, own_name), x

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

    # ---- its state as a dict

    def _places(self, prefix: str = "") -> Iterator[tuple[str, dict, str]]:
        """What a state dict holds: its key, and the dict and name where the tensor stands."""
        for name, module in self.named_modules(prefix=prefix, remove_duplicate=False):
            for found, left_out in ((module._parameters, ()), (module._buffers, module._non_persistent_buffers_set)):
                for key, x in found.items():
                    if x is not None and key not in left_out:
                        yield _dotted(name, key), found, key

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """All parameters and persistent buffers by dotted name; the tensors share the module's memory.

        prefix: what each key begins with, dot included. keep_vars: hand out the parameters themselves, with their grad.
        """
        state = OrderedDict() if destination is None else destination
        for key, found, name in self._places():
            state[prefix + key] = found[name] if keep_vars else found[name].detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Take over the numbers of a `state_dict`: all of them, or after an error none. 全部载入，或在出错时一个也不动。

        state_dict: tensors or arrays by dotted name; floats are cast to the module's dtype. strict: whether a key that is
        missing, or too much, is an error; the keys are returned either way. assign: take the tensors themselves over.
        Raises TypeError where state_dict is no dict, RuntimeError (TensorError) with all that does not fit.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"Expected state_dict to be dict-like, got {type(state_dict)}; pass what state_dict() returned"
            )
        places = {key: (found, name) for key, found, name in self._places()}
        missing = [key for key in places if key not in state_dict]
        unexpected = [key for key in state_dict if key not in places]
        errors: list[str] = []
        calls: list[tuple] = []
        for kind, keys in (("Missing", missing), ("Unexpected", unexpected)):
            if strict and keys:
                listed = ", ".join([f'"{key}"' for key in keys])
                errors.append(f"{kind} key(s) in state_dict: {listed}. ")
        for key, (found, name) in places.items():
            if key not in missing:
                own, value = found[name], state_dict[key]
                array = value._array if isinstance(value, Tensor) else value
                if problem := _misfit(key, own._array, array):
                    errors.append(problem)
                elif assign:
                    calls.append((dict.__setitem__, found, name, _adopt(own, value)))
                else:
                    # copied, because the state may be of this module, with its tensors exchanged
                    calls.append((own._array.__setitem__, ..., array.astype(own.dtype.numpy)))
                    calls.append((list.__setitem__, own._version, 0, own._version[0] + 1))
        if errors:
            raise TensorError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
                + "\nNothing was loaded; build the module as it was when its state was saved"
                + (", or pass strict=False to load the keys that match" if strict and (missing or unexpected) else "")
            )
        commit(calls)
        return IncompatibleKeys(missing, unexpected)

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


def _misfit(key: str, own: np.ndarray, new: Any) -> str | None:
    """Why the array ``new`` cannot take the place of ``own``; None where it can. Warns of what is doubtful."""
    if not isinstance(new, np.ndarray):
        return (
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint '
            f"but received {'a sparse tensor: call .to_dense()' if isinstance(new, COO) else type(new)}"
        )
    if own.shape != new.shape:
        return (
            f"size mismatch for {key}: copying a param with shape torch.Size({list(new.shape)}) from checkpoint, "
            f"the shape in current model is torch.Size({list(own.shape)})."
        )
    if own.dtype.kind != new.dtype.kind and (own.dtype.kind != "f" or new.dtype.kind not in "iu"):
        return f"dtype mismatch for {key}: copying {new.dtype} from checkpoint, the current model has {own.dtype}."
    if not own.flags.writeable:
        return f"{key} is read-only in the current model; make it of a copy."
    if own.dtype.kind == "f" != new.dtype.kind:
        warnings.warn(f"{key} is {new.dtype} in the state dict; it is cast to {own.dtype}", stacklevel=3)
    elif own.dtype.kind == "f" and np.isnan(new).any():
        warnings.warn(f"{key} holds NaN in the state dict; the model will compute NaN", stacklevel=3)
    return None


def _adopt(own: Tensor, value: Any) -> Tensor:
    new = value if isinstance(value, Tensor) else Tensor._wrap(value)
    return Parameter(new.detach(), own.requires_grad) if isinstance(own, Parameter) else new
