"""Sphinx: what both editions share. The language comes from the command line; see build.py."""

import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import searching

HERE = Path(__file__).parent
WORDS = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))

author = "optimlab"
extensions = ["myst_nb", "sphinx_external_toc"]
exclude_patterns: list[str] = []
templates_path = ["_templates"]
html_theme = "sphinx_book_theme"
html_static_path = ["_static", "../optimlab/lab/player.js"]
html_css_files = ["book.css"]
html_additional_pages = {"search": "search.html"}
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "show_navbar_depth": 1,
    "max_navbar_depth": 1,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc.html"],
}
pygments_style = "a11y-high-contrast-light"

nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_mime_priority_overrides = [("html", "text/html", 5)]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_update_mathjax = False
toc_object_entries_show_parents = "hide"
add_module_names = False

# browsers break a line on either side of a formula, whatever stands there: a comma may begin the next line
FORMULA = re.compile(r'([（“《]*)(<span class="math[^>]*>[^<]*</span>)([，。、；：！？）”》]*)')


def tied(match):
    """A formula with the Chinese punctuation that touches it, in one piece."""
    return f'<span class="book-tied">{match[0]}</span>' if match[1] or match[3] else match[0]


def frame(app, pagename, templatename, context, doctree):
    """What the templates need besides Sphinx's own: words in the page's language, and whether there are formulas."""
    lang = app.config.language[:2]
    body = re.sub(r'class="([^"]*\bin-english\b)', r'lang="en" class="\1', context.get("body", ""))
    context["body"] = body = FORMULA.sub(tied, body)
    context.update(
        lang=lang,
        other={"zh": "en", "en": "zh"}[lang],
        word=lambda key: WORDS[key][lang],
        has_math='class="math' in body,
        has_player="lab-player" in body or "lab-predict" in body,
        is_lesson=bool(re.match(r"\d\d_", pagename)),
    )


def setup(app):
    """Hook the two into Sphinx."""
    app.connect("config-inited", lambda app, config: setattr(config, "html_title", WORDS["book"][config.language[:2]]))
    app.connect("builder-inited", searching.begin)
    app.connect("html-page-context", frame, priority=900)
    app.connect("html-page-context", searching.gather)
    app.connect("build-finished", searching.write)
