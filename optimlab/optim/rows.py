"""Sparse gradients: the rule runs on the rows that have one, and the others stay as they are.

稀疏梯度：只在有梯度的那些行上运行更新规则，其余各行保持不变。
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from optimlab.tensor import Tensor

if TYPE_CHECKING:
    from optimlab.optim.elementwise import Elementwise


def by_rows(
    optimizer: "Elementwise", p: Tensor, options: dict[str, Any], initial: dict[str, Any], maximize: bool, whole: bool
) -> list[tuple]:
    """What to commit for a parameter whose gradient is sparse, all of it checked.

    options: those of the rule, in plain numbers. whole: all rows take part, those without a gradient as if it were zero.
    """
    if options.get("weight_decay"):
        raise RuntimeError(
            "weight_decay option is not compatible with sparse gradients, for it would move every row; set it to 0, or call "
            ".to_dense() on the gradient"
        )
    optimizer._check_gradient(p)
    state = optimizer.state.get(p) or optimizer._new_state(p, initial)
    optimizer._check_state("of a parameter", state, p, initial)
    with np.errstate(all="ignore"):
        rows = p.grad._array.coalesce()  # type: ignore[union-attr]
        at, g = ((...,), rows.to_dense()) if whole else (tuple(rows.indices), rows.values)
        g = g.astype(optimizer._state_dtype(p).numpy, copy=False)

    keys = {letter: optimizer.letters[letter] for letter in initial}
    tensors = {"p": p} | {letter: state[key] for letter, key in keys.items() if state.get(key) is not None}
    scalars, calls = dict(options), list[tuple]()
    if optimizer.rule.counts_steps:
        t = int(state["step"]) + 1
        scalars["t"] = t
        counted = isinstance(state["step"], Tensor)
        calls.append((state["step"]._array.fill, t) if counted else (state.__setitem__, "step", t))
    given = {letter: tensor._array[at] for letter, tensor in tensors.items()}
    with np.errstate(all="ignore"):
        new = optimizer.rule.function(g=-g if maximize else g, **given, **scalars)
    for letter, tensor in tensors.items():
        calls.append((tensor._array.__setitem__, at, new[letter].copy()))
        calls.append((tensor._version.__setitem__, 0, tensor._version[0] + 1))
    fresh = {key: Tensor._wrap(new[letter].copy()) for letter, key in keys.items() if letter not in tensors}
    if state or fresh:
        calls += [(state.update, fresh), (optimizer.state.__setitem__, p, state)]
    return calls
