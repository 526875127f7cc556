"""``check_optimizer``: is my own optimizer a good one?

检查自己写的优化器。
"""

import textwrap
import warnings
from collections.abc import Callable, Collection
from typing import Any

from optimlab.autograd import enable_grad, is_grad_enabled, set_grad_enabled
from optimlab.optim.optimizer import Optimizer
from optimlab.testing.checks import CHECKS
from optimlab.testing.checks.world import quietly

MANY = 5  # checks that one error stops before it is told once for all


class OptimizerCheckError(AssertionError):
    """Some checks failed; ``failed`` has their names. 有检查没有通过。"""

    def __init__(self, message: str, failed: list[str]) -> None:
        super().__init__(message)
        self.failed = failed


def check_optimizer(
    optimizer: Callable[..., Optimizer], *, shape: tuple[int, ...] = (4,), skip: Collection[str] = (), **options: Any
) -> list[str]:
    """Try an optimizer of your own: does it hold what every good optimizer holds? 检查自己写的优化器是否满足应有的性质。

    optimizer: the class, or a function of (params, **options) that builds one; its ``step`` must not need a closure.
    shape: of most parameters it is tried on; those of one number, of none and of two axes are tried too.
    skip: names of checks that do not apply, such as ``remembers_nothing_without_gradient`` for one that begins with a state.
    options: what it is built with, beside the ``lr`` that some checks give.

    Whether the update is the right one, such as its bias correction, no check can know: compare some steps with numbers that
    you know by `assert_close`.

    Returns the names of the checks that hold. Raises `OptimizerCheckError`, an AssertionError, which says of each check that
    failed what should hold and how to mend it; ValueError for an unknown name in ``skip``.

    >>> from optimlab import no_grad, optim
    >>> from optimlab.testing import check_optimizer
    >>> class Mine(optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...
    ...     @no_grad()
    ...     def step(self, closure=None):
    ...         for group in self.param_groups:
    ...             for p in group["params"]:
    ...                 p.sub_(group["lr"] * p.grad)
    >>> check_optimizer(Mine)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    optimlab.testing.optimizer.OptimizerCheckError: ... of ... checks failed
    ...
    """
    if unknown := set(skip) - CHECKS.keys():
        raise ValueError(f"skip: no check is called {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")

    def make(params: Any, **more: Any) -> Optimizer:
        return optimizer(params, **{**options, **more})

    make.shape = shape  # type: ignore[attr-defined]
    failed: dict[str, str] = {}
    raised: dict[str, list[str]] = {}  # by error, the checks that it stopped
    recording = is_grad_enabled()
    for name, check in CHECKS.items():
        if name in skip:
            continue
        why = ""
        try:
            with warnings.catch_warnings(), quietly(), enable_grad():
                warnings.simplefilter("ignore")
                holds = bool(check(make))
        except Exception as error:
            holds, why = False, f"{type(error).__name__}: {error}"
            raised.setdefault(why, []).append(name)
        finally:
            set_grad_enabled(recording)
        if not holds:
            failed[name] = " ".join((check.__doc__ or "").split()) + (f"\n(it raised {why})" if why else "")
    if failed:
        lines = [f"{len(failed)} of {len(CHECKS) - len(set(skip))} checks failed"]
        often = {why: names for why, names in raised.items() if len(names) > MANY}
        lines += [f"✗ mend this first, it stops {len(names)} checks\n    {why}" for why, names in often.items()]
        stopped = {name for names in often.values() for name in names}
        lines += [f"✗ {name}\n{textwrap.indent(text, '    ')}" for name, text in failed.items() if name not in stopped]
        raise OptimizerCheckError("\n".join(lines), list(failed))
    return [name for name in CHECKS if name not in skip]
