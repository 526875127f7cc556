"""An optimizer lent to other parameters and another state for a while. 把优化器暂借给另一组参数和状态。"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optimlab.optim.engine import commit
from optimlab.optim.optimizer import Optimizer
from optimlab.tensor import Tensor


def _check(holds: bool, text: str) -> None:
    if not holds:
        raise RuntimeError(f"swap_in_optimizer_params_and_state requires {text}")


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Tensor], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Within ``with``, ``optimizer`` has other parameters, options and state; afterwards its own again. 临时换入参数与状态。

    optimizer: one that has state. swapin_parameters: tensors by name, in the order of its parameters. swapin_optim_state: as
    ``state_dict()`` returns it. Steps change the given tensors, those of the state too; what else is put into groups or state
    within is forgotten. Raises RuntimeError where they do not fit, and then nothing was swapped.
    """
    _check(bool(optimizer.state), "initialized optimizer state; take a step first")
    _check(isinstance(swapin_optim_state, dict), "a DCP-style optimizer state_dict, as state_dict() returns it")
    state, groups = swapin_optim_state.get("state"), swapin_optim_state.get("param_groups")
    _check(
        isinstance(state, dict),
        "swapin_optim_state['state'] to be a dict mapping packed parameter ids to per-param state dicts, "
        f"got {type(state).__name__}.",
    )
    assert isinstance(state, dict)
    _check(
        not any(isinstance(key, Tensor) for key in state),
        "optimizer.state_dict()-style state keyed by packed parameter ids.",
    )
    _check(
        all(isinstance(values, dict) for key, values in state.items() if isinstance(key, int)),
        "per-parameter optimizer state entries to be dictionaries.",
    )
    _check(
        isinstance(groups, list),
        f"swapin_optim_state['param_groups'] to be a list of param-group dicts, got {type(groups).__name__}.",
    )
    assert isinstance(groups, list)
    if len(groups) != len(optimizer.param_groups):
        raise RuntimeError(
            "swapin_optim_state has a different number of parameter groups than the live optimizer: "
            f"{len(groups)}, it has {len(optimizer.param_groups)}"
        )
    left, swapped = list(swapin_parameters.values()), []
    new: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
    for i, (live, group) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        _check(isinstance(group, dict), "each optimizer param group to be a dictionary.")
        ids = group.get("params")
        _check(
            isinstance(ids, list) and all(isinstance(key, int) for key in ids),
            "optimizer.state_dict()-style param_groups[*]['params'] entries keyed by packed parameter ids.",
        )
        if len(ids) != len(live["params"]):
            raise RuntimeError(
                f"swapin_optim_state param group {i} has a different number of params than the live optimizer param group: "
                f"{len(ids)}, it has {len(live['params'])}"
            )
        _check(
            group.keys() == live.keys(),
            "optimizer.state_dict()-style param group keys to exactly match the live optimizer group keys for "
            f"group {i}. Keys only in swap-in: {[k for k in group if k not in live]}. "
            f"Keys only in live: {[k for k in live if k not in group]}.",
        )
        _check(
            len(left) >= len(ids),
            "the explicit parameter state to match optimizer.param_groups ordering; there are too few tensors.",
        )
        params, left = left[: len(ids)], left[len(ids) :]
        swapped.append({**group, "params": params})
        new.update((p, dict(state.get(key, {}))) for p, key in zip(params, ids, strict=True))
    known = {key for group in groups for key in group["params"]}
    extra = [key for key in state if key not in known]
    _check(
        not extra,
        "swapin_optim_state['state'] to be keyed only by packed parameter ids from param_groups[*]['params']; "
        f"got extra keys {extra!r}.",
    )
    _check(not left, f"as many tensors as the optimizer has parameters; {len(left)} too many")
    before = [dict(group) for group in optimizer.param_groups], optimizer.state
    try:
        _put(optimizer, swapped, new)
        yield
    finally:
        _put(optimizer, *before)


def _put(optimizer: Optimizer, groups: list[dict[str, Any]], state: Any) -> None:
    """Fill the live groups anew, and put another state."""
    calls: list[tuple] = [(optimizer.__dict__.__setitem__, "state", state)]
    for live, group in zip(optimizer.param_groups, groups, strict=True):
        calls += [(live.clear,), (live.update, group)]
    commit(calls)
