"""Changes that happen whole: a step, a start or a load is worked out on a draft, which becomes real in one commit.

要么全部发生、要么完全不发生的改动：先在草稿上算好，再一次性生效。
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from optimlab.commit import commit
from optimlab.optim.optimizer import Optimizer
from optimlab.tensor import Tensor


def copy(x: Any) -> Any:
    """A tensor of its own; anything else as it is."""
    return x.detach().clone() if isinstance(x, Tensor) else x


def copies(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups that can be changed without changing these."""
    return [{key: copy(x) if isinstance(x, Tensor) else x for key, x in group.items()} for group in groups]


def same(a: Any, b: Any) -> bool:
    """Whether two options of a group are equal; tensors by what they hold."""
    return a is b or (np.array_equal(a._array, b._array) if isinstance(a, Tensor) else a == b)


def _each(do: Callable[["Drafted"], "Drafted"], x: Any) -> Any:
    """A schedule, or a list that has some, with ``do`` done to each; anything else as it is."""
    if isinstance(x, (list, tuple)) and any(isinstance(y, Drafted) for y in x):
        return [_each(do, y) for y in x]
    return do(x) if isinstance(x, Drafted) else x


class Draft:
    """Stands for an optimizer while a change is worked out: its groups are copies, all else is the optimizer's.

    Schedules are worked on as twins whose optimizer is the draft. Once all has gone well ``calls`` makes it real, in one
    commit; an error before leaves optimizer and schedules as they were. A schedule of a class of the reader's own is its own
    twin, and put back after an error: what it keeps, a method of its own say, may know it.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        twins: dict[int, tuple[Drafted, Drafted, dict, dict]] = {}  # a schedule, its twin, what each of them began with
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
            ours = type(schedule).__module__.startswith("optimlab.")
            twin, was = object.__new__(type(schedule)) if ours else schedule, dict(schedule.__dict__)
            began: dict[str, Any] = {}
            self.twins[id(schedule)] = schedule, twin, was, began
            began |= {key: _each(self._own, x) for key, x in was.items()} | {"optimizer": self}
            twin.__dict__.update(began)
        return self.twins[id(schedule)][1]

    def _own(self, x: "Drafted") -> "Drafted":
        """The twin of a schedule of this optimizer."""
        return self.twin(x) if x.optimizer is self.real else x

    def _real(self, x: "Drafted") -> "Drafted":
        """The schedule of a twin; one that was built on the draft goes over to the optimizer."""
        for schedule, twin, *_ in self.twins.values():
            if x is twin:
                return schedule
        if x.optimizer is self:
            x.optimizer = self.real
            x.__dict__.update({key: _each(self._real, y) for key, y in x.__dict__.items()})
        return x

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
            changed = {k: x for k, x in new.items() if x is not before.get(k, self) or isinstance(x, Tensor)}
            for key in [k for k, x in changed.items() if isinstance(x, Tensor) and isinstance(group.get(k), Tensor)]:
                old, value = group[key], changed.pop(key)
                if not same(old, value):
                    yield np.positive, value._array, old._array
                    yield old._version.__setitem__, 0, old._version[0] + 1
            if changed:
                yield group.update, changed
        for schedule, twin, was, began in self.twins.values():
            found = {
                key: was[key] if key in was and x is began[key] else _each(self._real, x)
                for key, x in twin.__dict__.items()
            }
            yield schedule.__dict__.update, found
            for key in schedule.__dict__.keys() - twin.__dict__.keys():
                yield schedule.__dict__.pop, key
        yield from self.later  # what else is to be done

    def undo(self) -> Iterator[tuple]:
        """What puts back the schedules that are their own twins, call by call."""
        for schedule, twin, was, _ in self.twins.values():
            if twin is schedule:
                yield (schedule.__dict__.clear,)
                yield schedule.__dict__.update, was


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
        try:
            yield draft.twin(self)  # type: ignore[misc]
            calls: list[tuple] = [*draft.calls(), (attributes.pop, "_loaded", None)]
            steps = draft.real._step_count
            if loaded is not None:
                calls.append((attributes.update, {"_loaded": (steps, loaded, copies(draft.param_groups))}))
            if building:  # where the order of steps is counted from
                calls.append((attributes.setdefault, "_scheduled_at", (steps, attributes.get("step"))))
        except BaseException:
            commit([*draft.undo()])
            raise
        else:
            commit(calls)
        finally:
            draft.twins.clear()  # a circle of references would keep schedules, optimizer and parameters alive
