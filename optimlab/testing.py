"""Checks for your own functions. 检查自己写的函数。"""

from optimlab.autograd import GradcheckError, gradcheck, gradgradcheck

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
