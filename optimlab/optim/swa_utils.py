"""Averages of weights: the mean of many points of training, or a running one. 权重平均：随机权重平均与指数滑动平均。"""

import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from optimlab.autograd import no_grad
from optimlab.checks import Flag, Number
from optimlab.commit import commit
from optimlab.creation import tensor
from optimlab.dtype import int64
from optimlab.nn import Module
from optimlab.nn.layers import _BatchNorm
from optimlab.optim.lr_scheduler.base import (
    ANNEAL,
    FALLING,
    RATE,
    LRScheduler,
    ValueNumber,
    inherit,
    is_optimizer,
    number,
    per_group,
)
from optimlab.optim.optimizer import Optimizer
from optimlab.tensor import Tensor

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


class SWALR(LRScheduler):
    """Move the learning rate from where it is to swa_lr, and keep it there. 把学习率从当前值退火到 swa_lr，然后保持不变。

    lr(t) = swa_lr + (lr(0) - swa_lr) · what is left of the way. swa_lr: >= 0, a number or a list with one for each group.
    anneal_epochs: epochs, an integer >= 0. anneal_strategy: "cos" or "linear". torch's documentation calls them swa_lrs,
    annealing_epochs and annealing_strategy, which its class refuses.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018,
    https://arxiv.org/abs/1803.05407.

    >>> from optimlab import optim, tensor
    >>> opt = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1)
    >>> schedule = optim.swa_utils.SWALR(opt, swa_lr=0.02, anneal_epochs=4, anneal_strategy="linear")
    >>> for _ in range(5):
    ...     opt.step()
    ...     schedule.step()
    ...     print(f"{schedule.get_last_lr()[0]:.2f}")
    0.08
    0.06
    0.04
    0.02
    0.02
    """

    checks = {
        "anneal_epochs": ValueNumber("anneal_epochs must be equal or greater than 0, got {value}", low=0, whole=True),
        "_anneal_strategy": ANNEAL,
    }
    anneal_epochs: int
    _anneal_strategy: str

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        is_optimizer(optimizer)
        self._swa_lrs = per_group("swa_lr", optimizer, swa_lr, RATE)
        self._set(_anneal_strategy=anneal_strategy, anneal_epochs=anneal_epochs)
        super().__init__(optimizer, last_epoch)

    def _prepare(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.__dict__.pop("_swa_lrs"), strict=True):
            group["swa_lr"] = lr

    def _join(self, groups: list[dict[str, Any]]) -> None:
        inherit("swa_lr", groups, len(self.base_lrs))
        super()._join(groups)

    def shape(self, t: float) -> float:
        return FALLING[self._anneal_strategy](min(max(t, 0) / self.anneal_epochs, 1.0)) if self.anneal_epochs else 0.0

    def ratio(self, t: float) -> float:
        return super().ratio(t) or 0.0  # at the end it stays at swa_lr, whatever is done by hand

    def limits(self, i: int) -> tuple[float, float]:
        return number(self.optimizer.param_groups[i]["swa_lr"]), number(self.base_lrs[i])

    @property
    def _t(self) -> float:
        return self._step_count - 1  # its own steps: it often begins late in a run

    def _has_closed_form(self) -> bool:
        return False  # in a SequentialLR it starts from the present learning rate

    def _place(self, epoch: int) -> None:
        super()._place(epoch)
        self._step_count = max(epoch, 0) + 1


# ---- averages

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[list[Tensor], list[Tensor], Any], None]
DECAY = Number("Invalid decay value {value} provided. Please provide a value in [0,1] range.", low=0, high=1)


class BothGivenError(TypeError, AssertionError):
    """Two arguments that exclude each other: a TypeError, and an AssertionError because torch raises one. 参数互斥。"""


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """A running average: decay · average + (1 - decay) · weights. 指数滑动平均。 decay: 0 to 1."""
    DECAY("decay", decay)

    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """The mean of all weights so far, from that of num_averaged and the present ones. 等权平均。"""

    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def _for_lists(average: Average) -> MultiAverage:
    """The same for lists of tensors, in place."""

    def update(averaged_param_list: list[Tensor], current_param_list: list[Tensor], num_averaged: Any) -> None:
        with no_grad():
            for averaged, current in zip(averaged_param_list, current_param_list, strict=True):
                averaged.copy_(average(averaged, current, num_averaged))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """`get_ema_avg_fn` for lists of tensors, in place. 多张量的指数滑动平均。"""
    return _for_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> MultiAverage:
    """`get_swa_avg_fn` for lists of tensors, in place. 多张量的等权平均。"""
    return _for_lists(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose weights are an average of the model's over training. 权重取训练过程平均值的模型副本。

    model: copied as ``module``. avg_fn: a function (average, weights, n) that returns the new average, the equal mean by
    default; or multi_avg_fn: one for lists of them, in place. use_buffers: average the buffers too; otherwise they are
    copied. ``n_averaged`` counts the calls of ``update_parameters``; the first one copies. device: "cpu" or None.

    Raises TypeError for both functions at once, ValueError for a model of other shapes; torch averages what there is.
    After `update_parameters` batch normalisation needs `update_bn`.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018,
    https://arxiv.org/abs/1803.05407.

    >>> from optimlab import nn, optim, tensor
    >>> model = nn.Linear(1, 1, bias=False)
    >>> averaged = optim.swa_utils.AveragedModel(model)
    >>> for w in (1.0, 2.0, 6.0):
    ...     model.weight.data = tensor([[w]])
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item(), averaged.n_averaged.item()
    (3.0, 3)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise BothGivenError("Only one of avg_fn and multi_avg_fn should be provided; leave the other None")
        for name, function in {"avg_fn": avg_fn, "multi_avg_fn": multi_avg_fn}.items():
            if not (function is None or callable(function)):
                raise TypeError(f"{name} must be a function, or None, not {type(function).__name__}")
        _is_module(model)
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, Flag()("use_buffers", use_buffers)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's weights into the average. 把模型当前权重计入平均。 After an error the average is as before."""
        _is_module(model)
        pairs = [*_pairs(self.module.parameters(), model.parameters(), "parameters")]
        buffers = [*_pairs(self.module.buffers(), model.buffers(), "buffers")]
        if self.use_buffers:
            pairs, buffers = pairs + buffers, []
        averaged, current = [a.detach().clone() for a, _ in pairs], [p.detach() for _, p in pairs]
        if not all(np.isfinite(p._array).all() for p in current):
            warnings.warn("the model has weights that are nan or inf; from now on so has the average", stacklevel=2)
        if self.n_averaged.item() == 0:
            averaged = current
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averaged, current, self.n_averaged.clone())
        else:
            average = self.avg_fn or get_swa_avg_fn()
            averaged = [average(a, p, self.n_averaged.clone()) for a, p in zip(averaged, current, strict=True)]
        calls: list[tuple] = [(self.n_averaged._array.fill, self.n_averaged.item() + 1)]
        for (own, _), new in [*zip(pairs, averaged, strict=True), *((pair, pair[1]) for pair in buffers)]:
            calls += _writing(own, new._array)
        commit(calls)


def _is_module(model: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module, not {type(model).__name__}")


def _pairs(own: Iterable[Tensor], theirs: Iterable[Tensor], noun: str) -> Iterable[tuple[Tensor, Tensor]]:
    """Each tensor of the average with the model's, if they fit."""
    a, b = list(own), list(theirs)
    if [x.shape for x in a] != [x.shape for x in b]:
        raise ValueError(
            f"model is not the one that is averaged: its {noun} have shapes {[tuple(x.shape) for x in b]}, "
            f"those of the average {[tuple(x.shape) for x in a]}"
        )
    return zip(a, b, strict=True)


def _writing(own: Tensor, new: np.ndarray) -> list[tuple]:
    """Calls that write ``new`` into a tensor, which keeps its dtype."""
    array = np.array(new, own._array.dtype)
    return [(own._array.__setitem__, ..., array), (own._version.__setitem__, 0, own._version[0] + 1)]


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch normalisation anew, as plain means over ``loader``. 重新统计批归一化的均值与方差。

    loader: batches; of a tuple or list the first item is the input. model: a Module; without batch normalisation nothing is
    done. After an error statistics are as before, and so always are ``momentum`` and the training flags.
    """
    _is_module(model)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    modules = list(model.modules())
    flags, momenta = [module.training for module in modules], [norm.momentum for norm in norms]
    before = [call for norm in norms for buffer in norm.buffers() for call in _writing(buffer, buffer._array)]
    try:
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
    except BaseException:
        commit(before)
        raise
    finally:
        for module, flag in zip(modules, flags, strict=True):
            module.training = flag
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
