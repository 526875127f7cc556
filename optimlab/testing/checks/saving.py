"""What holds for saving, loading and copying.

保存、载入与复制应成立的性质。
"""

import io
from copy import deepcopy
from typing import Any

from optimlab.checkpoint import load, save
from optimlab.tensor import Tensor
from optimlab.testing.checks.world import Make, check, leaf, pair, parameters, refuses, walk, where


@check
def its_state_is_plain(make: Make) -> Any:
    """``state_dict()`` has "state" and "param_groups", with numbers for parameters: keep what is remembered in
    ``self.state[p]``."""
    optimizer = pair(make)
    walk(optimizer)
    saved = optimizer.state_dict()
    return set(saved) == {"state", "param_groups"} and all(isinstance(key, int) for key in saved["state"])


@check
def goes_on_where_it_was(make: Make) -> Any:
    """Loaded into a new optimizer, a state goes on bit for bit: whatever a step depends on belongs into
    ``self.state`` or a group."""
    optimizer, straight = pair(make), pair(make)
    walk(optimizer)
    walk(straight)
    resumed = make([Tensor(p.numpy().copy(), requires_grad=True) for p in (q.detach() for q in parameters(optimizer))])
    resumed.load_state_dict(optimizer.state_dict())
    return walk(resumed, 3, 3) == walk(straight, 3, 3)


@check
def loading_brings_the_options(make: Make) -> Any:
    """Loading brings the saved options too: an lr that a schedule has lowered stays low."""
    optimizer, other = pair(make, lr=0.5), pair(make, lr=0.25)
    other.load_state_dict(optimizer.state_dict())
    return other.param_groups[0]["lr"] == 0.5


@check
def loading_moves_nothing(make: Make) -> Any:
    """Loading a state changes no parameter: those are the model's to load."""
    optimizer, other = pair(make), pair(make)
    walk(optimizer)
    before = where(other)
    other.load_state_dict(optimizer.state_dict())
    return where(other) == before


@check
def loading_copies(make: Make) -> Any:
    """Two optimizers that loaded the same state do not disturb each other: copy it."""
    optimizer, straight = pair(make), pair(make)
    walk(optimizer)
    walk(straight)
    saved = optimizer.state_dict()
    other = pair(make)
    other.load_state_dict(saved)
    walk(other, 3)
    return walk(optimizer, 2, 3) == walk(straight, 2, 3)


@check
def refuses_a_state_of_other_groups(make: Make) -> Any:
    """A state with another number of groups is refused with ValueError."""
    optimizer = pair(make)
    other = make([{"params": [leaf(make)]}, {"params": [leaf(make, 1)]}])
    return refuses(ValueError, lambda: optimizer.load_state_dict(other.state_dict()))


@check
def refuses_a_state_of_other_size(make: Make) -> Any:
    """A state of another number of parameters is refused with ValueError."""
    return refuses(ValueError, lambda: pair(make).load_state_dict(make([leaf(make)]).state_dict()))


@check
def a_refused_state_changes_nothing(make: Make) -> Any:
    """If loading fails the optimizer is as before: check everything first, then change."""
    optimizer, straight = pair(make), pair(make)
    walk(optimizer)
    walk(straight)
    spoiled = {**optimizer.state_dict(), "state": {0: 5}}
    return refuses(Exception, lambda: optimizer.load_state_dict(spoiled)) and walk(optimizer) == walk(straight)


@check
def a_file_brings_it_back(make: Make) -> Any:
    """A state goes through ``save`` and ``load`` bit for bit: plain numbers, strings, lists, dicts and tensors alone."""
    optimizer, file = pair(make), io.BytesIO()
    walk(optimizer)
    save(optimizer.state_dict(), file)
    file.seek(0)
    other = pair(make)
    other.load_state_dict(load(file))
    again = io.BytesIO()
    save(other.state_dict(), again)
    return file.getvalue() == again.getvalue()


@check
def a_copy_is_its_own(make: Make) -> Any:
    """``deepcopy`` gives an optimizer that goes on by itself, parameters and all: hold no tensor outside groups and state."""
    optimizer, straight = pair(make), pair(make)
    walk(optimizer)
    walk(straight)
    copied = deepcopy(optimizer)
    ahead = walk(copied, 3, 3)
    return where(optimizer) == where(straight) and walk(optimizer, 3, 3) == ahead
