"""Exercises with an instant checker: it says where an answer goes wrong, never what the answer is.

练习与即时批改：指出哪里不对，不透露答案。
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimlab.checks import Number
from optimlab.creation import tensor
from optimlab.lab.bilingual import Message
from optimlab.lab.problems import descend, quadratic
from optimlab.optim import SGD

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
        p = tensor(start, requires_grad=True)
        p.grad = tensor(g)
        SGD([p], lr=0.3).step()
        mine, problem = _called(function, start.copy(), g, 0.3)
        if problem:
            return problem
        try:
            mine = np.asarray(mine, np.float64)
        except (TypeError, ValueError):
            return Message(
                f"第 {i} 组：结果应是与 p 同形的数。", f"Case {i}: the result should be numbers in the shape of p.", "✗"
            )
        if mine.shape != shape:
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
    """A learning rate that brings the loss of the bowl (κ = 10) below 1e-4 in 30 steps."""
    try:
        lr = Number(low=0, above=True)("lr", lr)
    except (TypeError, ValueError):
        return Message(
            "学习率应是一个有限的正数，例如 0.05。",
            "The learning rate must be a finite positive number, such as 0.05.",
            "✗",
        )
    run = descend(quadratic(10), lambda ps: SGD(ps, lr=lr), steps=30)
    zh, en = f"30 步后损失 {run.loss[-1]:.3g}", f"Loss {run.loss[-1]:.3g} after 30 steps"
    if run.loss[-1] < 1e-4:
        return None
    if not abs(run.path[-1, 1]) < abs(run.path[0, 1]):
        return Message(f"{zh}：y 方向没有收缩，太大了。", f"{en}: no progress along y, so it is too large.", "✗")
    return Message(
        f"{zh}，还不够低：再大一点或再小一点试试，看看是哪个方向拖了后腿。",
        f"{en}: not low enough yet. Which of the two directions is holding it back?",
        "✗",
    )


@exercise("00-bug")
def _bug(train: Any) -> Message | None:
    """A training loop that must reach the bottom of the bowl."""
    bowl = quadratic(10)
    p = tensor(np.array(bowl.start), requires_grad=True)
    result, problem = _called(train, p, SGD([p], lr=0.15), bowl)
    if problem:
        return problem
    if result is not p:
        return Message("函数应返回传入的 p。", "The function should return the p it was given.", "✗")
    loss = bowl(result.detach()).item()
    if loss < 1e-3:
        return None
    return Message(
        f"训练后损失是 {loss:.3g}，还没有降下去。", f"The loss is {loss:.3g} after training: still not down.", "✗"
    )


@exercise("04-sum")
def _sum(velocity: Any) -> Message | None:
    """The velocity after ten equal gradients of 1, with μ = 0.9: what the library's buffer holds."""
    try:
        velocity = Number()("velocity", velocity)
    except (TypeError, ValueError):
        return Message("答案应是一个有限的数。", "The answer should be a finite number.", "✗")
    p = tensor(np.zeros(1), requires_grad=True)
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    for _ in range(10):
        p.grad = tensor(np.ones(1))
        optimizer.step()
    wanted = optimizer.state[p]["momentum_buffer"].item()
    if abs(velocity - wanted) < 0.005:  # two digits after the point are asked for
        return None
    if velocity >= 10:
        return Message(
            "太大了：无穷多步之后也到不了这么多。", "Too large: not even endless steps would get there.", "✗"
        )
    low = velocity < wanted
    return Message("小了。" if low else "大了。", "Too small." if low else "Too large.", "✗")


@exercise("04-nesterov")
def _nesterov(function: Any) -> Message | None:
    """One Nesterov step in torch's variables, judged by the library's own over three steps."""
    draw = np.random.default_rng(1)
    start = draw.standard_normal(4)
    p = tensor(start.copy(), requires_grad=True)
    optimizer = SGD([p], lr=0.2, momentum=0.8, nesterov=True)
    mine, v = start.copy(), np.zeros(4)
    for t in range(1, 4):
        g = draw.standard_normal(4)
        p.grad = tensor(g)
        optimizer.step()
        result, problem = _called(function, mine.copy(), v.copy(), g.copy(), 0.2, 0.8)
        if problem:
            return problem
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            return Message("函数应返回两个值：新的 p 和新的 v。", "Return two values: the new p and the new v.", "✗")
        try:
            mine, v = (np.asarray(x) for x in result)
        except (TypeError, ValueError):
            mine = v = np.empty(0)
        if any(x.shape != (4,) or x.dtype.kind not in "if" for x in (mine, v)):
            zh, en = "p 和 v 都应是与 p 同形的实数数组。", "p and v should be real arrays in the shape of p."
            return Message(f"第 {t} 步：{zh}", f"Step {t}: {en}", "✗")
        if not np.allclose(v, optimizer.state[p]["momentum_buffer"].numpy(), rtol=1e-12):
            return Message(f"第 {t} 步：速度 v 不对。", f"Step {t}: the velocity v is off.", "✗")
        if not np.allclose(mine, p.detach().numpy(), rtol=1e-12):
            return Message(f"第 {t} 步：v 对了，位置 p 不对。", f"Step {t}: v is right, the position p is not.", "✗")
    return None


@exercise("04-tune")
def _tune(pair: Any) -> Message | None:
    """(lr, momentum) that bring the loss of a bowl with κ = 100 below 1e-6 in 120 steps."""
    try:
        lr, momentum = (
            check("pair", x) for check, x in zip((Number(low=0, above=True), Number(low=0)), pair, strict=True)
        )
    except (TypeError, ValueError):
        zh, en = (
            "答案应是一对数 (lr, momentum)，lr > 0，momentum ≥ 0。",
            "Give a pair (lr, momentum) with lr > 0, momentum ≥ 0.",
        )
        return Message(zh, en, "✗")
    loss = descend(quadratic(100), lambda ps: SGD(ps, lr=lr, momentum=momentum), steps=120).loss
    zh, en = f"120 步后损失 {loss[-1]:.1e}", f"Loss {loss[-1]:.1e} after 120 steps"
    if loss[-1] < 1e-6:
        return None
    if lr * 100 >= 2 + 2 * momentum or momentum >= 1:
        return Message(f"{zh}：超过了稳定上限。", f"{en}: beyond the limit of stability.", "✗")
    return Message(f"{zh}：是稳定的，但还不够低。", f"{en}: stable, but not low enough yet.", "✗")


@exercise("04-footnote")
def _footnote(function: Any) -> Message | None:
    """The size of the complex roots of z² - (1 + μ - ηλ) z + μ, judged by the roots themselves."""
    for mu in (0.25, 0.81, 0.9):
        result, problem = _called(function, mu)
        if problem:
            return problem
        if isinstance(result, bool) or not isinstance(result, (int, float)):
            return Message("函数应返回一个实数。", "Your function should return one real number.", "✗")
        roots = np.roots([1, -(1 + mu - (1 + mu)), mu])  # ηλ = 1 + μ: the middle of the region of complex roots
        if not np.isclose(result, np.abs(roots).max(), rtol=1e-12):
            zh, en = f"μ = {mu}：与方程的根对不上。", f"μ = {mu}: the roots of the equation say otherwise."
            return Message(zh, en, "✗")
    return None
