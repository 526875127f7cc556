"""Line search: how far to go along a direction.

A step t along a descent direction d from x is good if f has fallen by a fair share of what the slope promised and if the
slope has become much flatter: the two strong Wolfe conditions.

线搜索：沿下降方向走多远。好的步长要满足强 Wolfe 条件：函数值充分下降，坡度明显变缓。

Sources: Nocedal, Wright, "Numerical Optimization", 2nd ed., Springer 2006, algorithms 3.5 and 3.6 and equation (3.59); where
the book leaves a choice, it is torch's, so that both evaluate f at the same points.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Trial(NamedTuple):
    """A point of the line: φ(t) = f(x + t d), the gradient g there, and the slope φ'(t) = gᵀd."""

    t: float
    f: float
    g: Any
    slope: float


def cubic_minimum(a: Trial, b: Trial, low: float | None = None, high: float | None = None) -> float:
    """Where the cubic with the values and slopes of two trials is least, kept within [low, high].

    经过两点（函数值与斜率）的三次多项式的极小点。 By default low and high are the two trials' own t; the middle of low and high
    where the cubic has no minimum or overflows.
    """
    if a.t > b.t:
        a, b = b, a
    low, high = (a.t if low is None else low), (b.t if high is None else high)
    if a.t == b.t:
        return a.t
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if 0 <= square < math.inf:
        d2 = square**0.5
        t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
        if math.isfinite(t):
            return min(max(t, low), high)
    return (low + high) / 2


def strong_wolfe(
    phi: Callable[[float], Trial], start: Trial, t: float, *, c1: float, c2: float, least: float, most: int
) -> Trial:
    """A trial with φ(t) <= φ(0) + c₁ t φ'(0) and |φ'(t)| <= c₂ |φ'(0)|, beginning with ``t``. 满足强 Wolfe 条件的一点。

    phi evaluates a trial; start is the one at 0, with a negative slope. 0 < c1 < c2 < 1. Gives up after ``most`` + 1 trials, or
    where less than ``least``, or no number, is left to search, and returns the lowest end: ``start`` itself if nothing was lower.
    """

    def too_high(trial: Trial) -> bool:
        return trial.f > start.f + c1 * trial.t * start.slope

    def flat(trial: Trial) -> bool:
        return abs(trial.slope) <= -c2 * start.slope

    # go on until a good step lies between the last two trials
    last, new, i = start, phi(t), 0
    while i < most:
        if too_high(new) or (i > 1 and new.f >= last.f):
            break
        if flat(new):
            return new
        if new.slope >= 0:
            break
        t = cubic_minimum(last, new, new.t + 0.01 * (new.t - last.t), 10 * new.t)
        last, new, i = new, phi(t), i + 1
    else:
        return start if start.f <= new.f else new

    # zoom: the lower end keeps the first condition, and its slope points into the bracket
    ends, stalled = [last, new], False
    low = 0 if last.f <= new.f else 1
    while i < most and abs(ends[1].t - ends[0].t) >= least:
        t = cubic_minimum(ends[0], ends[1])
        left, right = sorted(end.t for end in ends)
        margin = 0.1 * (right - left)
        close = min(right - t, t - left) < margin
        if close and (stalled or not left < t < right):  # the second time in a row: move away from the end
            t = right - margin if abs(right - t) < abs(t - left) else left + margin
            close = False
        if not left < t < right:  # no number is left between the two
            break
        stalled = close
        new, i = phi(t), i + 1
        if too_high(new) or new.f >= ends[low].f:
            ends[1 - low] = new
            low = 0 if ends[0].f <= ends[1].f else 1
        elif flat(new):
            return new
        else:
            if new.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = new
    return ends[low]
