"""torch.cuda.amp, the older place of torch.amp. torch.amp 的旧位置。"""

import warnings
from typing import Any

from optimlab import amp

__all__ = ["GradScaler", "autocast"]


def _warn(name: str) -> None:
    warnings.warn(
        f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}('cuda', args...)` instead.",
        FutureWarning,
        stacklevel=3,
    )


class GradScaler(amp.GradScaler):
    """`amp.GradScaler` for a GPU: disabled here. 没有 GPU，不起作用。"""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _warn("GradScaler")
        super().__init__("cuda", *args, **kwargs)


class autocast(amp.autocast):
    """`amp.autocast` for a GPU: it changes nothing here. 没有 GPU，不起作用。"""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        _warn("autocast")
        super().__init__("cuda", dtype, enabled, cache_enabled)
