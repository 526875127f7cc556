"""What surrounds training: data, and the handles of hooks. 训练的周边：数据与钩子的句柄。"""

from optimlab.utils import data, hooks

__all__ = ["data", "hooks"]
