"""The text that the book's search looks through: one entry a section, written as a script so that it loads from a disk too.

Sphinx's own index keeps no text, so it can neither find a phrase nor show where it stands; this replaces it in both editions.
"""

import json
import re
import unicodedata
from pathlib import Path

from docutils import nodes
from sphinx import addnodes


def begin(app):
    """Turn Sphinx's index off."""
    app.builder.search = False
    app.book_texts = {}


def gather(app, pagename, templatename, context, doctree):
    """Keep the text of a page."""
    if doctree is not None:
        title = app.env.titles[pagename].astext()
        app.book_texts[pagename] = [
            [pagename, anchor, title, heading, text]
            for anchor, heading, text in sections(doctree)
            if text or heading != title
        ]


def write(app, error):
    """Write the texts of all pages."""
    if error is None:
        entries = [entry for page in sorted(app.book_texts) for entry in app.book_texts[page]]
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
        Path(app.outdir, "_static", "texts.js").write_text(f"window.bookTexts = {text};\n", encoding="utf-8")


def sections(doctree):
    """Each section or documented name: its anchor, its heading, and its own text, without that of those inside it."""
    for node in doctree.findall(lambda n: isinstance(n, (nodes.section, addnodes.desc))):
        inner = [child for child in node.children if not isinstance(child, nodes.Titular)]
        if isinstance(node, addnodes.desc):
            signature = node.next_node(addnodes.desc_signature)
            anchor, heading = signature["ids"][0] if signature["ids"] else "", signature.get("fullname", "")
        else:
            anchor, heading = node["ids"][0], node.next_node(nodes.title).astext()
        words = " ".join(word for child in inner for word in texts(child))
        yield anchor, heading, re.sub(r"\s+", " ", words).strip()


def texts(node):
    """The pieces of text in a node that a reader sees."""
    if isinstance(node, (nodes.section, addnodes.desc, nodes.comment)):
        return
    if isinstance(node, (nodes.math, nodes.math_block)):
        yield formula(node.astext())
    elif isinstance(node, nodes.raw):
        seen = re.sub(r'(?s)<div class="lab-frames".*|<style.*?</style>', " ", node.astext())
        yield re.sub(r"<[^>]*>", " ", seen).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    elif isinstance(node, (nodes.literal_block, nodes.paragraph, nodes.term, nodes.line_block)) and not any(
        node.findall(nodes.math)
    ):
        yield node.astext()
    elif isinstance(node, nodes.Text):
        yield str(node)
    else:
        inline = isinstance(node, (nodes.paragraph, nodes.term))
        pieces = (piece for child in node.children for piece in texts(child))
        if inline:
            yield "".join(pieces)
        else:
            yield from pieces


def formula(tex):
    """TeX as it might be typed or read: Greek letters for their names, no braces."""

    def letter(match):
        try:
            return unicodedata.lookup(f"GREEK SMALL LETTER {match[1].replace('lambda', 'lamda')}")
        except KeyError:
            return " "

    spaced = re.sub(r"\\[^A-Za-z]", " ", tex)
    return re.sub(r"\s+", " ", re.sub(r"[{}$&\\]", "", re.sub(r"\\([A-Za-z]+)", letter, spaced)))
