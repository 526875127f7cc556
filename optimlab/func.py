"""torch.func: a module as a function of its parameters. 把模块当作参数的函数。"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optimlab.nn.module import Module
from optimlab.tensor import Tensor


def functional_call(
    module: Module, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *,
    tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """``module(*args, **kwargs)`` with other parameters and buffers, by their dotted names. 用另一组参数调用模块。

    parameter_and_buffer_dicts: a dict of tensors, or several with different names. tie_weights: what is one parameter under
    two names is replaced under both. strict: all names must be there, and no others. The module is left as it was.
    """
    given = parameter_and_buffer_dicts
    several = [given] if isinstance(given, Mapping) else given
    if not isinstance(several, Sequence) or not all(isinstance(d, Mapping) for d in several):
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(given)}"
        )
    if repeated := [name for name, times in Counter(name for d in several for name in d).items() if times > 1]:
        raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    new: dict[str, Tensor] = {name: x for d in several for name, x in d.items()}
    for x in new.values():
        if not isinstance(x, Tensor):
            raise TypeError(f"{x!r} is not an instance of torch.Tensor")
    stores = {
        f"{path}.{name}".lstrip("."): (store, name)
        for path, part in module.named_modules(remove_duplicate=False)
        for store in (part._parameters, part._buffers)
        for name in store
    }
    if strict and new.keys() != stores.keys():
        missing, unexpected = [k for k in stores if k not in new], [k for k in new if k not in stores]
        raise RuntimeError(
            f"Error(s) in reparametrizing for {type(module).__name__}: missing keys {missing}, unexpected keys {unexpected}"
        )
    before = {path: store[name] for path, (store, name) in stores.items()}
    if tie_weights:
        of_old = {id(before[path]): x for path, x in new.items() if before.get(path) is not None}
        new = {path: of_old[id(old)] for path, old in before.items() if id(old) in of_old} | new
    try:
        for path, x in new.items():
            if path in stores:
                store, name = stores[path]
                store[name] = x  # type: ignore[assignment]  # a Parameter or not: so torch does
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)), **(kwargs or {}))
    finally:
        for path, (store, name) in stores.items():
            store[name] = before[path]  # type: ignore[assignment]  # what stood there
