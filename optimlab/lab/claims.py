"""Checked statements: what a source says, what was measured, and the verdict.

查证过的说法：原文怎么说，实测如何，结论是什么。
"""

import functools
import tomllib
from html import escape
from importlib import resources
from typing import Any

from optimlab.lab.bilingual import Shown, Text

VERDICTS = {
    "confirmed": ("✓", Text("成立", "confirmed")),
    "wrong": ("✗", Text("不成立", "wrong")),
    "changed": ("↻", Text("已过时", "no longer true")),
}


@functools.cache
def statements() -> dict[str, dict[str, str]]:
    """All statements by their number: zh, en, verdict, and where they changed what holds now (zh_now, en_now)."""
    return tomllib.loads(resources.files("optimlab.lab").joinpath("claims.toml").read_text(encoding="utf-8"))


class Claim(Shown):
    """A statement with its measurement, shown as three lines."""

    def __init__(self, key: str, measured: str) -> None:
        self.key, self.measured = key, measured

    def _repr_html_(self) -> str:
        row = statements()[self.key]
        mark, verdict = VERDICTS[row["verdict"]]
        now = Text(row["zh_now"], row["en_now"]).html("div") if "zh_now" in row else ""
        rows = [
            (Text("说法", "Claim"), f"{Text(row['zh'], row['en']).html('div')} <small>[{escape(self.key)}]</small>"),
            (Text("实测", "Measured"), f"<code>{escape(self.measured)}</code>"),
            (Text("结论", "Verdict"), f"{mark} {verdict.html()}{now}"),
        ]
        body = "".join(
            f'<tr><th style="text-align:left">{a.html()}</th><td style="text-align:left">{b}</td></tr>' for a, b in rows
        )
        return f'<table class="lab-claim">{body}</table>'


def claim(key: str, holds: bool, measured: Any = "") -> Claim:
    """Show statement ``key`` beside what was measured. ``holds`` says whether the measurement bears it out.

    把一条说法与实测结果放在一起。 Raises KeyError for an unknown number, AssertionError where the verdict on file is not
    the measured one.
    """
    if key not in statements():
        raise KeyError(f"no statement {key!r}; there are {', '.join(statements())}")
    verdict = statements()[key]["verdict"]
    if bool(holds) != (verdict == "confirmed"):
        raise AssertionError(f"{key} is on file as {verdict!r}, but was measured to be {bool(holds)}: {measured}")
    return Claim(key, str(measured))
