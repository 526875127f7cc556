"""Predict, then run: the reader's guess is kept, and compared with the result when it is there.

先猜，再运行：记下读者的猜测，等结果出来再对照。
"""

import os
from collections.abc import Sequence
from html import escape
from typing import Any

from optimlab.lab.bilingual import Message, Shown, Text

_guesses: dict[str, str] = {}


class Prediction(Shown):
    """Buttons to guess with: live with ipywidgets, by player.js in the book, a list of the choices elsewhere."""

    def __init__(self, key: str, choices: Sequence[str]) -> None:
        self.key, self.choices, self.label = key, tuple(choices), Text("你猜：", "Your guess:")

    def _repr_html_(self) -> str:
        tag, dot, key = ("button", " ", f' data-guess="{escape(self.key)}"') if _book() else ("b", " · ", "")
        options = dot.join(f"<{tag}>{escape(c)}</{tag}>" for c in self.choices)
        return f'<div class="lab-predict"{key}><b>?</b> {self.label.html()} {options}</div>'

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        import ipywidgets

        buttons = ipywidgets.ToggleButtons(
            options=self.choices,
            value=_guesses.get(self.key),
            description=str(Text("你猜", "Your guess")),
            style={"button_width": "auto", "description_width": "initial"},
        )
        buttons.observe(lambda change: _guesses.__setitem__(self.key, change["new"]), names="value")
        return {**buttons._repr_mimebundle_(), "text/plain": repr(self), "text/html": self._repr_html_()}


def predict(key: str, choices: Sequence[str]) -> Prediction:
    """Ask for a guess; ``compare(key, answer)`` comes back to it. 请读者先猜。

    key: the guess's name in this lesson. choices: two or more short labels.
    """
    if len(choices) < 2:
        raise ValueError(f"choices must be at least two labels to choose from, got {choices!r}")
    _guesses.pop(key, None)
    return Prediction(key, choices)


class Verdict(Shown):
    """The comparison in the book, where the guess comes after the run: every case, of which player.js shows one."""

    def __init__(self, key: str, answer: str) -> None:
        self.key, self.answer = key, answer

    def _repr_html_(self) -> str:
        cases = {"none": None, "right": self.answer, "wrong": "…"}  # the script puts the guess for …
        shown = "".join(
            f'<div data-case="{case}"{" hidden" if guess else ""}>{_compared(guess, self.answer)._repr_html_()}</div>'
            for case, guess in cases.items()
        )
        key, answer = escape(self.key), escape(self.answer)
        return f'<div class="lab-verdict" data-guess="{key}" data-answer="{answer}">{shown}</div>'


def compare(key: str, answer: str) -> Shown:
    """Tell how the guess compares with ``answer``, which the caller has measured. 对照猜测与结果。"""
    return Verdict(key, answer) if _book() else _compared(_guesses.get(key), answer)


def _book() -> bool:
    return bool(os.environ.get("OPTIMLAB_BOOK"))


def _compared(guess: str | None, answer: str) -> Message:
    if guess is None:
        return Message(
            f"结果是 {answer}。下次先猜一猜再运行。", f"It is {answer}. Next time, guess before you run.", "→"
        )
    if guess == answer:
        return Message(f"猜对了：{answer}。", f"Right: {answer}.", "✓")
    return Message(
        f"你猜 {guess}，结果是 {answer}。想一想为什么。",
        f"You guessed {guess}; the answer is {answer}. Think about why.",
        "✗",
    )
