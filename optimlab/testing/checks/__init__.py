"""What holds for every good optimizer: one small function each, run by ``check_optimizer``.

A check is given ``make(params, **options)``, which builds the optimizer under test, and is true where all is well. Its
docstring is what the learner reads when it is not: what must hold, and how to mend it. Each looks at one thing alone, so that
a single mistake fails a single check.

对任何好的优化器都应成立的性质：每条一个小函数。
"""

from optimlab.testing.checks import building, calling, saving, stepping  # their checks enter the table in this order
from optimlab.testing.checks.world import CHECKS

__all__ = ["CHECKS", "building", "calling", "saving", "stepping"]
