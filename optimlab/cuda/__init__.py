"""torch.cuda as programs ask it on a machine without a GPU. 没有 GPU 的机器上的 torch.cuda。"""

from typing import Any

from optimlab.cuda import amp as amp
from optimlab.dtype import check_device
from optimlab.random import Generator


def is_available() -> bool:
    """False: optimlab computes on the CPU. 只用 CPU 计算。"""
    return False


def device_count() -> int:
    """0, the number of GPUs. GPU 的数目：0。"""
    return 0


def is_initialized() -> bool:
    """False: there is nothing to start. 未初始化。"""
    return False


def current_device() -> Any:
    """Raises, as torch's CPU build does. 没有当前 GPU。"""
    check_device("cuda")


def manual_seed(seed: int) -> None:
    """Nothing but the check of ``seed``: there is no GPU whose numbers it could start. 无 GPU，不起作用。"""
    Generator().manual_seed(seed)


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing: there is no GPU memory. 无 GPU，不起作用。"""


def memory_allocated(device: Any = None) -> int:
    """0, the bytes in use on a GPU. 占用的显存：0。"""
    return 0


max_memory_allocated = memory_reserved = memory_allocated


def synchronize(device: Any = None) -> None:
    """Nothing: no GPU computes in the background. 无 GPU，不起作用。"""
