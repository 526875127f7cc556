"""Predict, then run: the reader's guess is kept, and compared with the result when it is there.

先猜，再运行：记下读者的猜测，等结果出来再对照。
"""

from collections.abc import Sequence
from html import escape
from typing import Any

from optimlab.lab.bilingual import Message, Shown, Text

_guesses: dict[str, str] = {}


class Prediction(Shown):
    """Buttons to guess with: live with ipywidgets, a list of the choices where no kernel runs."""

    def __init__(self, key: str, choices: Sequence[str]) -> None:
        self.key, self.choices, self.label = key, tuple(choices), Text("你猜：", "Your guess:")

    def _repr_html_(self) -> str:
        options = " · ".join(f"<b>{escape(c)}</b>" for c in self.choices)
        return f'<div class="lab-predict"><b>?</b> {self.label.html()} {options}</div>'

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


def compare(key: str, answer: str) -> Message:
    """Tell how the guess compares with ``answer``, which the caller has measured. 对照猜测与结果。"""
    guess = _guesses.get(key)
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
