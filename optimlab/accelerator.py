"""torch.accelerator as programs ask it on a machine without one. 没有加速器的机器上的 torch.accelerator。"""

from optimlab.cuda import device_count, is_available, synchronize

__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]


def current_accelerator(check_available: bool = False) -> None:
    """None: optimlab computes on the CPU. 没有加速器。"""
