"""optimlab: torch.optim in numpy. ``import optimlab as torch`` and a program written for torch.optim runs.

用 numpy 写成的 torch.optim：把 ``import torch`` 换成 ``import optimlab as torch``，程序照常运行。
"""

import sys
from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

from optimlab import (
    accelerator,
    amp,
    autograd,
    backends,
    cuda,
    func,
    jacobians,
    linalg,
    nn,
    optim,
    serialization,
    testing,
    utils,
)
from optimlab.amp import GradScaler, autocast, is_autocast_enabled
from optimlab.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from optimlab.checkpoint import CheckpointError, load, save
from optimlab.creation import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    arange,
    as_tensor,
    asarray,
    bernoulli,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    sparse_coo_tensor,
    tensor,
    zeros,
    zeros_like,
)
from optimlab.dtype import (
    Size,
    contiguous_format,
    device,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_device,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    preserve_format,
    promote_types,
    result_type,
    set_default_device,
    set_default_dtype,
    uint8,
)
from optimlab.dtype import bool_ as bool
from optimlab.foreach import FOREACH
from optimlab.functions import (
    METHODS,
    bincount,
    broadcast_tensors,
    cat,
    cdist,
    compile,
    concat,
    concatenate,
    einsum,
    get_num_threads,
    hstack,
    is_tensor,
    meshgrid,
    pow,
    set_float32_matmul_precision,
    set_num_threads,
    stack,
    typename,
    use_deterministic_algorithms,
    vstack,
    where,
)
from optimlab.lending import as_torch
from optimlab.missing import tell
from optimlab.optim.engine import set_engine
from optimlab.printing import set_printoptions
from optimlab.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from optimlab.tensor import Tensor

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


__version__ = "0.1.0"
double, float, half, long, int, short = float64, float32, float16, int64, int32, int16
globals().update(METHODS)  # exp, sum, reshape, …: each method of Tensor that is a function in torch
globals().update(FOREACH)  # _foreach_add_ and the like
for _module in (
    sys.modules[__name__], amp, autograd, cuda, func, linalg, nn, nn.functional, nn.init, nn.utils, optim, optim.lr_scheduler,
    utils, utils.data,
):  # fmt: skip
    tell(_module)
del METHODS, FOREACH, sys, tell
