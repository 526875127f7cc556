"""Text in both languages: each in a span of its own, so that a reader's edition can show one of them.

双语文本：每种语言各占一个 span，阅读时可以只显示其中一种。
"""

from html import escape
from typing import NamedTuple


class Text(NamedTuple):
    """The same words in Chinese and in English. 同一句话的中英文。"""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} | {self.en}"

    def html(self) -> str:
        """Both, escaped, in ``lang`` spans."""
        return f'<span lang="zh">{escape(self.zh)}</span> <span lang="en">{escape(self.en)}</span>'


class Message:
    """What a helper tells the reader: a line of text in both languages, with a mark in front. 给读者的一句话。"""

    def __init__(self, zh: str, en: str, mark: str = "") -> None:
        self.text, self.mark = Text(zh, en), mark

    def __repr__(self) -> str:
        return f"{self.mark} {self.text}".strip()

    def _repr_html_(self) -> str:
        return f'<p class="lab-message">{escape(self.mark)} {self.text.html()}</p>'
