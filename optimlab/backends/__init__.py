"""torch.backends: the switches of libraries that torch computes with, and that optimlab does not. 计算后端的开关。"""

from optimlab.backends import cudnn, mps

__all__ = ["cudnn", "mps"]
