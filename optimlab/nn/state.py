"""A module's state as a dict of tensors, and loading one: whole, or not at all.

模块的状态字典；载入要么全部成功，要么什么都不改。
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from optimlab.commit import commit
from optimlab.functional import TensorError
from optimlab.nn.parameter import Parameter
from optimlab.sparse import COO
from optimlab.tensor import Tensor


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


def dotted(prefix: str, name: str) -> str:
    """The name of a part below ``prefix``."""
    return f"{prefix}.{name}" if prefix else name


class States:
    """What a `Module` does with its state. 模块的状态。"""

    named_modules: Callable

    def _places(self, prefix: str = "") -> Iterator[tuple[str, dict, str]]:
        """What a state dict holds: its key, and the dict and name where the tensor stands."""
        for name, module in self.named_modules(prefix=prefix, remove_duplicate=False):
            for found, left_out in ((module._parameters, ()), (module._buffers, module._non_persistent_buffers_set)):
                for key, x in found.items():
                    if x is not None and key not in left_out:
                        yield dotted(name, key), found, key

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
