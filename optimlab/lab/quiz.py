"""A quiz on what is often misunderstood: plain HTML that folds, so it works in a notebook and on a page alike.

小测验：用可折叠的 HTML 写成，在 notebook 和静态网页里都能用。
"""

import functools
import tomllib
from importlib import resources
from typing import Any

from optimlab.lab.bilingual import Shown, Text


@functools.cache
def questions() -> dict[str, list[dict[str, Any]]]:
    """The questions of every lesson, by its number."""
    return tomllib.loads(resources.files("optimlab.lab").joinpath("quiz.toml").read_text(encoding="utf-8"))


class Quiz(Shown):
    """Questions whose choices unfold to say why."""

    def __init__(self, lesson: str) -> None:
        if lesson not in questions():
            raise KeyError(f"no quiz for lesson {lesson!r}; there are {', '.join(questions())}")
        self.lesson = lesson

    def __repr__(self) -> str:
        return f"quiz({self.lesson})"

    def _repr_html_(self) -> str:
        items = []
        for question in questions()[self.lesson]:
            choices = "".join(
                f"<details><summary>{Text(c['zh'], c['en']).html()}</summary>"
                f"<p>{'✓' if c.get('right') else '✗'} {Text(c['why_zh'], c['why_en']).html()}</p></details>"
                for c in question["choices"]
            )
            items.append(f"<li>{Text(question['zh'], question['en']).html('div')}{choices}</li>")
        return f'<ol class="lab-quiz">{"".join(items)}</ol>'


def quiz(lesson: str) -> Quiz:
    """The quiz of a lesson: click a choice to learn whether it is right, and why. 某一课的小测验。"""
    return Quiz(lesson)
