"""torch.amp on a CPU: `GradScaler` scales a loss and takes the scale out of its gradients; `autocast` changes nothing.

自动混合精度在 CPU 上的样子：GradScaler 缩放损失，autocast 不起作用。
"""

import warnings
from collections.abc import Iterable
from contextlib import ContextDecorator
from typing import Any

import numpy as np

from optimlab.commit import commit
from optimlab.dtype import float16
from optimlab.nn.utils import _numbers, _scaled
from optimlab.tensor import Tensor

_FIX = "This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration."


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """False: every operation computes in the precision of its tensors. 不自动转换精度。"""
    return False


class autocast(ContextDecorator):
    """Accepted, as a context and a decorator: operations compute in the precision of their tensors. 不转换精度。

    torch's says so itself where there is no GPU; on the CPU it computes in bfloat16, which is not here.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`; pass 'cpu'")
        if enabled:
            reason = "there is no bfloat16 here" if device_type == "cpu" else f"{device_type.upper()} is not available"
            warnings.warn(f"{reason}. Disabling autocast.", stacklevel=2)

    def __enter__(self) -> "autocast":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was switched."""


class GradScaler:
    """Scales a loss so that small gradients survive half precision; steps with gradients that overflowed are left out. 梯度缩放。

    The loop is ``scale(loss).backward()``, ``step(optimizer)``, ``update()``. device: for "cuda", the default, it is disabled,
    with torch's warning, and does nothing; for "cpu" it works. init_scale: the first scale; a step that overflowed multiplies it
    by backoff_factor, growth_interval steps in a row that did not multiply it by growth_factor.
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        if enabled and device == "cuda":
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2 if type(self) is GradScaler else 3,
            )
        self._enabled = enabled and device != "cuda"
        if self._enabled and growth_factor <= 1:
            raise AssertionError(f"The growth factor must be > 1.0; it is {growth_factor}")
        if self._enabled and backoff_factor >= 1:
            raise AssertionError(f"The backoff factor must be < 1.0; it is {backoff_factor}")
        self._state = {
            "scale": init_scale, "growth_factor": growth_factor, "backoff_factor": backoff_factor,
            "growth_interval": growth_interval, "_growth_tracker": 0,
        }  # fmt: skip
        self._begun = False
        self._overflowed: dict[int, bool] = {}  # by id, of the optimizers unscaled since the last update
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """A tensor, or several, times the scale."""
        if not self._enabled:
            return outputs
        self._begun = True
        if isinstance(outputs, Tensor):
            return outputs * self._state["scale"]
        if not isinstance(outputs, Iterable):
            raise ValueError("outputs must be a Tensor or an iterable of Tensors")
        scaled = map(self.scale, outputs)
        return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled

    def _check_begun(self, name: str) -> None:
        if not self._begun:
            raise AssertionError(f"Attempted {name} but _scale is None.  {_FIX}")

    def unscale_(self, optimizer: Any) -> None:
        """Take the scale out of the gradients of ``optimizer``, once before each step: to clip them, for example."""
        if not self._enabled:
            return
        self._check_begun("unscale_")
        if id(optimizer) in self._stepped:
            raise RuntimeError("unscale_() is being called after step(); call update() before")
        if id(optimizer) in self._overflowed:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g.dtype is float16 for g in grads):
            raise ValueError("Attempting to unscale FP16 gradients; keep the parameters in float32")
        inverse = float(np.float32(1 / self._state["scale"]))
        self._overflowed[id(optimizer)] = not all(np.isfinite(_numbers(g)).all() for g in grads)
        commit([call for g in grads for call in _scaled(g, inverse)])

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(…)`` with the scale out of its gradients, unless they overflowed."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_begun("step")
        if id(optimizer) in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if id(optimizer) not in self._overflowed:
            self.unscale_(optimizer)
        found = None if self._overflowed[id(optimizer)] else optimizer.step(*args, **kwargs)
        self._stepped.add(id(optimizer))
        return found

    def update(self, new_scale: Any = None) -> None:
        """Move the scale by what the steps since the last update met, or to ``new_scale``."""
        if not self._enabled:
            return
        self._check_begun("update")
        state = self._state
        if new_scale is not None:
            state["scale"] = float(new_scale)
        elif not self._overflowed:
            raise AssertionError("No inf checks were recorded prior to update; call step(optimizer) before")
        elif any(self._overflowed.values()):
            state["scale"] *= state["backoff_factor"]
            state["_growth_tracker"] = 0
        else:
            state["_growth_tracker"] += 1
            if state["_growth_tracker"] == state["growth_interval"]:
                grown = state["scale"] * state["growth_factor"]
                state["scale"] = grown if grown <= np.finfo(np.float32).max else state["scale"]
                state["_growth_tracker"] = 0
        self._overflowed, self._stepped = {}, set()

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale; 1 where it is disabled."""
        return self._state["scale"] if self._enabled else 1.0

    def state_dict(self) -> dict[str, Any]:
        """The scale and what moves it; empty where it is disabled."""
        return dict(self._state) if self._enabled else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._state = {key: state_dict[key] for key in self._state}
