"""Checks for what you write yourself: derivatives and optimizers. 检查自己写的导数与优化器。"""

from optimlab.autograd import GradcheckError, gradcheck, gradgradcheck
from optimlab.testing.comparison import assert_close
from optimlab.testing.optimizer import OptimizerCheckError, check_optimizer

__all__ = ["GradcheckError", "OptimizerCheckError", "assert_close", "check_optimizer", "gradcheck", "gradgradcheck"]
