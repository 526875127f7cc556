"""Hooks: functions that others hang onto an object, and the handle that takes one off again.

钩子：挂在对象上的函数，以及把它取下来的句柄。
"""

from collections.abc import Callable
from itertools import count
from typing import Any


class RemovableHandle:
    """What registering a hook returns; ``remove()`` takes the hook off, and so does leaving a ``with`` block."""

    _ids = count()

    def __init__(self, hooks: dict[int, Callable]) -> None:
        self.hooks, self.id = hooks, next(self._ids)

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def add_hook(hooks: dict[int, Callable], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Register ``hook`` as the last to run, or with ``prepend`` as the first."""
    if not callable(hook):
        raise TypeError(f"Invalid hook: {hook!r}; hook must be a function, not {type(hook).__name__}")
    handle = RemovableHandle(hooks)
    others = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle.id] = hook
    hooks.update(others)
    return handle
