"""Names and labels come from files and from readers: whatever they hold, in HTML they are text and nothing else."""

import ast
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import optimlab
from optimlab.lab import claims, exercises, explorer, predict, quiz
from optimlab.lab.bilingual import Message, Text
from optimlab.lab.schedules import ScheduleTable

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    "</div><script>alert(1)</script>",
    "</span><b>",
    "</output><script>alert(1)</script>",
    "</table><iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<style>@import 'x'</style>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=x>",
    "<meta http-equiv=refresh content='0;url=x'>",
    "<base href=x>",
    "<form action=x><button>",
    "<object data=x>",
    "<embed src=x>",
    "<video><source onerror=alert(1)>",
    "<math><mtext><script>alert(1)</script>",
    "<!-- <b> -->",
    "<![CDATA[<b>]]>",
    "<?xml version='1.0'?><b>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script\n>alert(1)</script\n>",
    "<\tb>x</\tb>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "\u202e<b>reversed",
    "<b\x00>nul",
    "${alert(1)}{{7*7}}",
    "`<b>`",
    "<textarea><b>",
    "<lang-zh></span><span lang=en>",
]


class Shape(HTMLParser):
    """The tags of a piece of HTML with the names of their attributes, without any text."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [name for name, _ in attributes]))

    def handle_endtag(self, tag):
        self.tags.append(("/", tag))

    def handle_comment(self, data):
        self.tags.append(("comment",))

    def handle_decl(self, data):
        self.tags.append(("declaration",))

    def handle_pi(self, data):
        self.tags.append(("instruction",))

    def unknown_decl(self, data):
        self.tags.append(("unknown",))


def an_explorer(x):
    """An explorer whose every word is ``x``; its picture is not drawn."""
    controls = [explorer.Control("c", Text(x, x), [x, "b"], x), explorer.Control("n", Text(x, x), [1, 2], 1)]
    blank = SimpleNamespace(sharp=lambda: blank, draw=lambda _: np.zeros((2, 2, 3), np.uint8))
    blank.back, blank.front = lambda: np.zeros((2, 2, 3), np.uint8), lambda _: np.zeros((2, 2, 4), np.uint8)
    return explorer.Explorer(x, controls, lambda **_: 0, lambda **_: blank, lambda _: Message(x, x, x), Text(x, x))


def a_claim(x, monkeypatch):
    row = {"zh": x, "en": x, "verdict": "changed", "zh_now": x, "en_now": x}
    monkeypatch.setattr(claims, "statements", lambda: {x: row})
    return claims.claim(x, False, x)._repr_html_()


def a_quiz(x, monkeypatch):
    question = {"zh": x, "en": x, "choices": [{"zh": x, "en": x, "why_zh": x, "why_en": x, "right": True}]}
    monkeypatch.setattr(quiz, "questions", lambda: {x: [question]})
    return quiz.quiz(x)._repr_html_()


def wrong_function(x, monkeypatch):
    def fails(*_):
        raise ValueError(x)

    return exercises._called(fails, 1.0)[1]._repr_html_()


def guessed(x, monkeypatch):
    prediction = predict.predict("key", [x, "b"])
    monkeypatch.setitem(predict._guesses, "key", x)
    return (
        prediction._repr_html_() + predict.compare("key", "b")._repr_html_() + predict.compare("key", x)._repr_html_()
    )


SHOWN = {
    "text": lambda x, _: Text(x, x).html() + Text(x, x).html("div"),
    "message": lambda x, _: Message(x, x, x)._repr_html_(),
    "guess": guessed,
    "guess in the book": lambda x, m: (m.setenv("OPTIMLAB_BOOK", "1"), guessed(x, m))[1],
    "claim": a_claim,
    "quiz": a_quiz,
    "exercise": wrong_function,
    "player": lambda x, _: an_explorer(x).player(),
    "live explorer": lambda x, _: an_explorer(x).widget().children[1].value,
}


@pytest.mark.parametrize("language", ["", "zh", "en"])
@pytest.mark.parametrize("name", SHOWN)
def test_a_payload_stays_text(name, language, monkeypatch):
    monkeypatch.setenv("OPTIMLAB_LANG", language)
    assert len(PAYLOADS) >= 40
    harmless = Shape(SHOWN[name]("x", monkeypatch)).tags
    assert harmless
    for payload in PAYLOADS:
        assert Shape(SHOWN[name](payload, monkeypatch)).tags == harmless, payload


def test_labels_of_live_controls_are_no_html():
    """Those of widgets are text unless they are told otherwise; of HTML there is the message alone, which is above."""
    controls, message, picture = an_explorer("<b>").widget().children
    assert not any(box.description_allow_html for box in (*controls.children, message))
    assert [type(box).__name__ for box in controls.children] == ["Dropdown", "SelectionSlider"]
    assert type(picture).__name__ == "Image"


def test_every_class_that_shows_itself_is_here():
    """All but `ScheduleTable` are above; that one holds numbers, and text in their place is refused. `Plot` is a picture."""
    ways = {f"_repr_{kind}_" for kind in ("html", "svg", "markdown", "latex", "javascript", "mimebundle")}
    found = {
        cls.name
        for path in Path(optimlab.__file__).parent.rglob("*.py")
        for cls in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(cls, ast.ClassDef)
        and any(getattr(part, "name", "") in ways | {"_ipython_display_"} for part in cls.body)
    }
    assert found == {"Shown", "Message", "Prediction", "Verdict", "Claim", "Quiz", "ScheduleTable", "Explorer", "Plot"}
    with pytest.raises(ValueError, match="format code"):
        ScheduleTable(["<b>"], np.array([["<b>"]]), np.zeros((1, 1)), [])._repr_html_()
