"""Changes that happen whole: a step, a start or a load is worked out on a draft, which becomes real in one commit.

要么全部发生、要么完全不发生的改动：先在草稿上算好，再一次性生效。
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from optimlab.optim.engine import commit
from optimlab.optim.optimizer import Optimizer
from optimlab.tensor import Tensor


def copy(x: Any) -> Any:
    """A tensor of its own; anything else as it is."""
    return x.detach().clone() if isinstance(x, Tensor) else x


def copies(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups that can be changed without changing these."""
    return [{key: copy(value) for key, value in group.items()} for group in groups]


def same(a: Any, b: Any) -> bool:
    """Whether two options of a group are equal; tensors by what they hold."""
    return a is b or (np.array_equal(a._array, b._array) if isinstance(a, Tensor) else a == b)


class Draft:
    """Stands for an optimizer while a change is worked out: its groups are copies, all else is the optimizer's.

    Schedules are worked on as twins whose optimizer is the draft. Once all has gone well ``calls`` makes it real, in one
    commit; an error before leaves optimizer and schedules as they were.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        twins: dict[int, tuple[Drafted, Drafted, set[str]]] = {}
        groups = copies(optimizer.param_groups)
        before = [dict(group) for group in groups]
        self.__dict__.update(real=optimizer, param_groups=groups, before=before, twins=twins, later=[])

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """An optimizer to whoever asks with isinstance."""
        return type(self.real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.real, name, value)

    def twin(self, schedule: "Drafted") -> "Drafted":
        """A copy of a schedule that works on the draft, as do the schedules it holds; one and the same at each call."""
        if id(schedule) not in self.twins:
            twin = object.__new__(type(schedule))
            self.twins[id(schedule)] = (schedule, twin, {"optimizer"})
            twin.__dict__.update(schedule.__dict__, optimizer=self)
            for key, value in schedule.__dict__.items():
                held = list(value) if isinstance(value, (list, tuple)) else [value]
                ours = [isinstance(x, Drafted) and x.optimizer is self.real for x in held]
                if any(ours):
                    twins = [self.twin(x) if own else x for x, own in zip(held, ours, strict=True)]
                    twin.__dict__[key] = twins if isinstance(value, (list, tuple)) else twins[0]
                    self.twins[id(schedule)][2].add(key)
        return self.twins[id(schedule)][1]

    def loaded(self) -> list[dict[str, Any]] | None:
        """The groups as the optimizer loaded them; None if it has not, or has stepped since.

        A schedule that was built since has changed them. What was changed by hand after that stays changed.
        """
        steps, loaded, built = getattr(self.real, "_loaded", (-1, [], []))
        if steps != self.real._step_count:
            return None
        found = copies(self.param_groups)
        for group, was, left in zip(found, loaded, built, strict=False):
            group.update({key: copy(was[key]) for key in was if key in group and same(group[key], left[key])})
        return found

    def restore(self) -> None:
        """Put the groups back to what the optimizer loaded."""
        for group, found in zip(self.param_groups, self.loaded() or [], strict=False):
            group.update(found)

    def calls(self) -> Iterator[tuple]:
        """What makes the draft real, call by call. A tensor is written to in place: the program may hold it too."""
        for group, before, new in zip(self.real.param_groups, self.before, self.param_groups, strict=True):
            for key, value in new.items():
                old = group.get(key)
                if isinstance(old, Tensor) and isinstance(value, Tensor):
                    if not same(old, value):
                        yield np.positive, value._array, old._array
                        yield old._version.__setitem__, 0, old._version[0] + 1
                elif key not in before or value is not before[key]:
                    yield group.__setitem__, key, value
        for schedule, twin, kept in self.twins.values():
            yield schedule.__dict__.update, {key: value for key, value in twin.__dict__.items() if key not in kept}
        yield from self.later  # what else is to be done


class Drafted:
    """What changes an optimizer's groups, and itself, in drafts."""

    optimizer: Any

    @contextmanager
    def _draft(self, building: bool = False) -> Iterator[Self]:
        """A twin to work on, which becomes real at the end; inside a draft the schedule itself.

        ``building``: the change is no step, so that what the optimizer loaded before still counts (see `Draft.loaded`).
        """
        if type(self.optimizer) is Draft:
            yield self
            return
        draft, attributes = Draft(self.optimizer), self.optimizer.__dict__
        loaded = draft.loaded() if building else None
        yield draft.twin(self)  # type: ignore[misc]
        end: list[tuple] = [(attributes.pop, "_loaded", None)]
        if loaded is not None:
            end = [(attributes.update, {"_loaded": (self.optimizer._step_count, loaded, copies(draft.param_groups))})]
        if building:  # where the order of steps is counted from
            end.append((attributes.setdefault, "_scheduled_at", (self.optimizer._step_count, attributes.get("step"))))
        commit([*draft.calls(), *end])
