"""The handle of a hook, under torch's path. 钩子的句柄。"""

from optimlab.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
