"""torch.serialization, where torch has ``save`` and ``load``; they stand in ``checkpoint.py``. 存取函数在 torch 里的位置。"""

from optimlab.checkpoint import load, save

__all__ = ["load", "save"]
