"""Text in both languages: each in a span of its own, so that an edition can drop one of them.

双语文本：每种语言各占一个 span，阅读时可以只留一种。
"""

import os
import re
from html import escape, unescape
from typing import NamedTuple

LANGUAGES = ("zh", "en")


def language() -> str | None:
    """The one language to show, from the environment variable OPTIMLAB_LANG; None for both."""
    wanted = os.environ.get("OPTIMLAB_LANG")
    return wanted if wanted in LANGUAGES else None


def choose(text: str, lang: str | None) -> str:
    """One language of plain text that says ``中文 · English``; other text as it is. 从“中文 · English”里取一种。"""
    zh, dot, en = text.partition(" · ")
    return {"zh": zh, "en": en}.get(lang or "", text) if dot else text


def keep(html: str, lang: str | None) -> str:
    """``html`` with the spans, ``alt`` texts and summaries of one language only; None keeps both. 只留一种语言。"""
    if lang not in LANGUAGES:
        return html
    html = re.sub(r'(\balt="|<summary>)([^"<]*)', lambda m: m[1] + choose(m[2], lang), html)
    drop = {
        "zh": r'\s?<(span|div) lang="en">.*?</\1>',
        "en": r'<(span|div) lang="zh">.*?</\1>\s?',
    }  # with the space between
    return re.sub(drop[lang], "", html, flags=re.S)


def plain(html: str) -> str:
    """``html`` without its tags, on one line."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html))).strip()


class Text(NamedTuple):
    """The same words in Chinese and in English. 同一句话的中英文。"""

    zh: str
    en: str

    def html(self, tag: str = "span") -> str:
        """Both, escaped, in ``lang`` spans (or in another tag), or the one language that is asked for."""
        return keep(
            f'<{tag} lang="zh">{escape(self.zh)}</{tag}> <{tag} lang="en">{escape(self.en)}</{tag}>', language()
        ).strip()

    def __str__(self) -> str:
        return {"zh": self.zh, "en": self.en}.get(language() or "", f"{self.zh} · {self.en}")


class Shown:
    """Something shown in both languages; what stands in a terminal is the HTML without its tags."""

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        return plain(self._repr_html_())


class Message(Shown):
    """What a helper tells the reader: a line in each language, with a mark in front. 给读者的一句话。"""

    def __init__(self, zh: str, en: str, mark: str = "") -> None:
        self.text, self.mark = Text(zh, en), mark

    def _repr_html_(self) -> str:
        return f'<div class="lab-message"><b>{escape(self.mark)}</b> {self.text.html()}</div>'
