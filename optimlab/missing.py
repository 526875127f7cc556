"""What is said where a program asks for a name of torch that is not here. 缺少某个名字时的提示。"""

from types import ModuleType
from typing import Any


def tell(module: ModuleType) -> None:
    """Let a name that the module does not have be missed with a word on what to do. 缺少名字时说明怎么办。"""

    def __getattr__(name: str) -> Any:
        raise AttributeError(
            f"module {module.__name__!r} has no attribute {name!r}: optimlab has what training with torch.optim needs, and "
            f"dir({module.__name__}) lists it; a program that needs more runs with torch itself, unchanged",
            name=name,
            obj=module,  # Python looks there for a name that was meant
        )

    vars(module)["__getattr__"] = __getattr__
