"""Exercises with an instant checker: it says where an answer goes wrong, never what the answer is.

练习与即时批改：指出哪里不对，不透露答案。
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimlab.lab.bilingual import Message
from optimlab.lab.problems import descend, quadratic
from optimlab.optim import SGD
from optimlab.tensor import Tensor

Checker = Callable[[Any], Message | None]
CHECKERS: dict[str, Checker] = {}


def exercise(key: str) -> Callable[[Checker], Checker]:
    """Register the checker of an exercise: it returns a message about the first thing that is wrong, None if nothing is."""

    def register(checker: Checker) -> Checker:
        CHECKERS[key] = checker
        return checker

    return register


def check(key: str, answer: Any) -> Message:
    """Check an answer; an unfinished one (``...`` or None) gets a hint to start. 批改一道练习。"""
    if key not in CHECKERS:
        raise KeyError(f"no exercise {key!r}; there are {', '.join(CHECKERS)}")
    if answer is None or answer is Ellipsis:
        return Message("还没有作答：把 ... 换成你的答案，再运行。", "Not answered yet: replace ... and run again.", "✎")
    problem = CHECKERS[key](answer)
    return problem or Message("全部通过。", "All checks passed.", "✓")


def _called(function: Any, *arguments: Any) -> tuple[Any, Message | None]:
    """What the reader's function returns, or a message about why it does not."""
    if not callable(function):
        return None, Message("这里需要一个函数。", "A function is wanted here.", "✗")
    try:
        result = function(*arguments)
    except Exception as error:  # whatever the reader's code raises is shown to the reader
        return None, Message(f"函数报错：{error!r}", f"Your function raised {error!r}", "✗")
    if result is None or result is Ellipsis:
        return None, Message("函数还没有返回值。", "Your function does not return anything yet.", "✎")
    return result, None


@exercise("00-step")
def _step(function: Any) -> Message | None:
    """One step of gradient descent, judged by the library's own."""
    draw = np.random.default_rng(0)
    for i, shape in enumerate([(3,), (2, 4), ()], start=1):
        start, g = draw.standard_normal(shape), draw.standard_normal(shape)
        p = Tensor(start, requires_grad=True)
        p.grad = Tensor(g)
        SGD([p], lr=0.3).step()
        mine, problem = _called(function, start.copy(), g, 0.3)
        if problem:
            return problem
        if np.shape(mine) != shape:
            return Message(f"第 {i} 组：结果的形状不对。", f"Case {i}: the result has the wrong shape.", "✗")
        # the same two operations in the same precision: one ulp for another order of them
        if not np.allclose(mine, p.detach().numpy(), rtol=1e-15, atol=1e-15):
            wrong_way = np.allclose(mine, 2 * start - p.detach().numpy())
            zh, en = (
                ("方向反了吗？", "Is it the wrong way?")
                if wrong_way
                else ("步长对吗？", "Is the step as long as it should be?")
            )
            return Message(f"第 {i} 组：数值不对。{zh}", f"Case {i}: the numbers differ. {en}", "✗")
    return None


@exercise("00-lr")
def _lr(lr: Any) -> Message | None:
    """A learning rate that brings the loss of the bowl (κ = 10) below 1e-4 in 40 steps."""
    if not isinstance(lr, (int, float)) or not 0 < lr < 100:
        return Message("学习率应是一个正数。", "The learning rate must be a positive number.", "✗")
    loss = descend(quadratic(10), lambda ps: SGD(ps, lr=lr), steps=40).loss
    if loss[-1] < 1e-4:
        return None
    if loss[-1] > loss[0]:
        return Message(
            f"40 步后损失 {loss[-1]:.3g}，越走越高：太大了。",
            f"Loss {loss[-1]:.3g} after 40 steps, and rising: too large.",
            "✗",
        )
    return Message(
        f"40 步后损失 {loss[-1]:.3g}，还不够低。", f"Loss {loss[-1]:.3g} after 40 steps: not low enough yet.", "✗"
    )


@exercise("00-bug")
def _bug(train: Any) -> Message | None:
    """A training loop that must reach the bottom of the bowl."""
    bowl = quadratic(10)
    p = Tensor(np.array(bowl.start), requires_grad=True)
    result, problem = _called(train, p, SGD([p], lr=0.15), bowl)
    if problem:
        return problem
    if not isinstance(result, Tensor) or result.numel() != 2:
        return Message("函数应返回 p。", "The function should return p.", "✗")
    loss = bowl(result.detach()).item()
    if loss < 1e-3:
        return None
    return Message(
        f"训练后损失是 {loss:.3g}，还没有降下去。", f"The loss is {loss:.3g} after training: still not down.", "✗"
    )
