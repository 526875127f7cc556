"""Parameter, under torch's path. 参数。"""

from optimlab.nn.module import Parameter

__all__ = ["Parameter"]
