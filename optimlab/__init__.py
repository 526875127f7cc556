"""optimlab: torch.optim in numpy. ``import optimlab as torch`` and a program written for torch.optim runs.

用 numpy 写成的 torch.optim：把 ``import torch`` 换成 ``import optimlab as torch``，程序照常运行。
"""

from optimlab import autograd, nn, optim, utils
from optimlab.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from optimlab.checkpoint import CheckpointError, load, save
from optimlab.creation import (
    abs,
    arange,
    argmax,
    cos,
    exp,
    flatten,
    from_numpy,
    full,
    log,
    matmul,
    maximum,
    mean,
    minimum,
    ones,
    ones_like,
    pow,
    rand,
    randn,
    randperm,
    relu,
    reshape,
    sin,
    sparse_coo_tensor,
    sqrt,
    square,
    sum,
    tanh,
    tensor,
    transpose,
    zeros,
    zeros_like,
)
from optimlab.dtype import Size, dtype, float32, float64, get_default_dtype, int32, int64, set_default_dtype, uint8
from optimlab.dtype import bool_ as bool
from optimlab.random import Generator, default_generator, manual_seed
from optimlab.tensor import Tensor

__version__ = "0.1.0"
double, float, long = float64, float32, int64
