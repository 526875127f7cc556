"""Running a program that says ``import torch`` without changing it: `as_torch` lends optimlab the name.

让写着 ``import torch`` 的程序原样运行。
"""

import sys
from contextlib import ContextDecorator
from types import ModuleType


def _torchs() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name == "torch" or name.startswith("torch.")}


class as_torch(ContextDecorator):
    """Inside, ``import torch`` gives optimlab: ``with as_torch(): exec(program)``. 借用 torch 这个名字。

    ``torch.nn``, ``torch.optim.lr_scheduler`` and so on are lent too. Afterwards the name means what it meant before, also
    after an error, and when one such block stands in another. The name is lent to the whole process, to other threads too.
    """

    def __init__(self) -> None:
        self._before: list[dict[str, ModuleType]] = []

    def __enter__(self) -> ModuleType:
        self._before.append(_torchs())
        self._take_back()
        for name, module in list(sys.modules.items()):
            if name == "optimlab" or name.startswith("optimlab."):
                sys.modules["torch" + name.removeprefix("optimlab")] = module
        return sys.modules["optimlab"]

    def __exit__(self, *error: object) -> None:
        self._take_back()
        sys.modules.update(self._before.pop())

    @staticmethod
    def _take_back() -> None:
        for name in _torchs():
            del sys.modules[name]
