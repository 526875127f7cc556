"""The reference: pages of Markdown made from docstrings, one for each area of the library.

A docstring's first sentence stands in English and in Chinese. The Chinese edition shows the Chinese one; what stands in
English alone is marked as English, for screen readers and for the search.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from optimlab.lab.bilingual import Text

CHINESE = re.compile("[\u4e00-\u9fff]")
AREAS = {  # a page for each that there is; a name stands on the page of the innermost module that offers it
    "optimlab": Text("函数", "Functions"),
    "optimlab.tensor": Text("张量", "Tensors"),
    "optimlab.linalg": Text("线性代数", "Linear algebra"),
    "optimlab.autograd": Text("自动微分", "Automatic differentiation"),
    "optimlab.nn": Text("神经网络", "Networks"),
    "optimlab.nn.functional": Text("神经网络的函数", "Functions of networks"),
    "optimlab.nn.init": Text("初始化", "Initialisation"),
    "optimlab.nn.utils": Text("神经网络的工具", "Tools for networks"),
    "optimlab.optim": Text("优化器", "Optimizers"),
    "optimlab.optim.lr_scheduler": Text("学习率调度器", "Learning-rate schedules"),
    "optimlab.optim.swa_utils": Text("权重平均", "Averaged weights"),
    "optimlab.utils.data": Text("数据", "Data"),
    "optimlab.amp": Text("混合精度", "Mixed precision"),
    "optimlab.checkpoint": Text("存盘与恢复", "Saving and loading"),
    "optimlab.testing": Text("检验工具", "Testing"),
}
INNER = {"optimlab.tensor"}  # a page for what readers get from elsewhere; the rest of the module is no one's business
BASES = {"optimlab.optim.elementwise.Elementwise": "optimlab.optim"}  # not exported, but what readers subclass


def _found(module: str) -> bool:
    parents = [module.rsplit(".", i)[0] for i in range(module.count("."), 0, -1)]
    return all(find_spec(name) is not None for name in [*parents, module])


def _key(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _names(module: str) -> Iterator[tuple[str, Any]]:
    """What a module offers: its public functions and classes that are the library's own."""
    for name, thing in vars(importlib.import_module(module)).items():
        own = f"{getattr(thing, '__module__', '')}.".startswith(f"{module}.")
        if not name.startswith("_") and own and (inspect.isclass(thing) or inspect.isroutine(thing)):
            yield name, thing
    for path, page in BASES.items():
        if page == module:
            base, _, name = path.rpartition(".")
            yield name, getattr(importlib.import_module(base), name)


def pages() -> dict[str, list[tuple[str, Any]]]:
    """Every area that there is, with what is documented on its page: the name that readers write, and the thing."""
    offered = {module: list(_names(module)) for module in AREAS if _found(module)}
    home: dict[str, str] = {}
    names: dict[str, str] = {}
    for module in sorted(offered, key=len):
        for name, thing in offered[module]:
            home[_key(thing)] = module
            names.setdefault(_key(thing), f"{module}.{name}")
    shown: dict[str, list[tuple[str, Any]]] = {}
    for module in offered:
        things = {_key(thing): thing for _, thing in offered[module] if home[_key(thing)] == module}
        found = [
            (names[key], thing)
            for key, thing in things.items()
            if inspect.getdoc(thing) and not (module in INNER and names[key].startswith(f"{module}."))
        ]
        if found:
            shown[module] = found
    return shown


def page(module: str, found: dict[str, list[tuple[str, Any]]], lang: str, word: Callable[[str], str]) -> str:
    """The page of an area, in MyST Markdown; ``found`` is what `pages` gives."""
    names = found[module]
    known = {thing for page in found.values() for _, thing in page if inspect.isclass(thing)}
    lead = "\n\n".join(_prose(inspect.getdoc(importlib.import_module(module)) or "", lang, word, brief=True))
    parts = [f"# {getattr(AREAS[module], lang)}", f"`{module}`", lead]
    classes = [item for item in names if inspect.isclass(item[1])]
    for name, thing in classes + [item for item in names if not inspect.isclass(item[1])]:
        parts.append(_entry(name, thing, lang, word, known))
    return "\n\n".join(part for part in parts if part) + "\n"


def _entry(name: str, thing: Any, lang: str, word: Callable[[str], str], known: set[type]) -> str:
    kind = "class" if inspect.isclass(thing) else "function"
    body = _prose(inspect.getdoc(thing) or "", lang, word)
    if inspect.isclass(thing):
        body += list(_members(thing, lang, word, known))
    return _directive(f"py:{kind}", f"{name}{signature(thing)}", body, 5 if kind == "class" else 4)


def _members(cls: type, lang: str, word: Callable[[str], str], known: set[type]) -> Iterator[str]:
    """A class's own methods and properties, and those of bases that have no entry of their own."""
    inherited = {base for k in cls.__mro__[1:] if k in known for base in k.__mro__}
    done: set[str] = set()
    for base in cls.__mro__:
        if base in inherited or not base.__module__.startswith("optimlab"):
            continue
        for name, member in vars(base).items():
            function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
            if name.startswith("_") or name in done or not getattr(function, "__doc__", None):
                continue
            if isinstance(function, property):
                done.add(name)
                yield _directive("py:property", name, _prose(inspect.getdoc(function) or "", lang, word, brief=True), 4)
            elif inspect.isfunction(function):
                done.add(name)
                sign = signature(function, bound=not isinstance(member, staticmethod))
                yield _directive("py:method", name + sign, _prose(inspect.getdoc(function) or "", lang, word), 4)


def _directive(kind: str, argument: str, body: list[str], colons: int) -> str:
    fence = ":" * colons
    inner = "\n\n".join(body)
    return f"{fence}{{{kind}}} {argument}\n\n{inner}\n{fence}"


def signature(thing: Any, bound: bool = False) -> str:
    """``(params, lr=0.001, *, maximize=False)``: names and defaults, without types."""
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except ValueError:  # a class of the C library, as dtype's
        return ""
    shown = []
    for p in parameters[1:] if bound else parameters:
        default = p.default
        if default is not p.empty and not isinstance(default, (int, float, str, bool, tuple, type(None))):
            name = getattr(default, "__name__", "")
            p = p.replace(default=_Bare(name if name.isidentifier() else "..."))
        shown.append(p.replace(annotation=p.empty))
    return re.sub(r" -> .*", "", str(inspect.Signature(shown)))


class _Bare:
    """A default that is shown by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


# ---- a docstring's text


def _prose(doc: str, lang: str, word: Callable[[str], str], brief: bool = False) -> list[str]:
    """A docstring as blocks of Markdown in one language; ``brief``: its first paragraphs until one says it in Chinese."""
    blocks: list[str] = []
    chinese = False
    for block in re.split(r"\n\s*\n", doc.strip()):
        if lang == "zh" and not chinese and CHINESE.search(block) and not block.startswith(">>>"):
            spoken, rest = languages(block)
            blocks = [_text(spoken)]  # in place of the English it says again
            if rest := _after(rest, block, spoken):
                blocks.append(_english(_text(rest)))
            chinese = True
            continue
        if CHINESE.search(block) and not block.startswith(">>>"):
            block = languages(block)[1] if lang == "en" else languages(block)[0]
            if not block:
                continue
        shown = _block(block, word)
        if lang == "zh" and not CHINESE.search(shown) and not shown.startswith(("$$", "```")):
            shown = _english(shown)
        blocks.append(shown)
        if brief and len(blocks) == 1 and lang == "en":
            break
    return blocks[:1] if brief else blocks


def sentences(text: str) -> list[str]:
    """Text on one line, cut after full stops of either language."""
    flat = " ".join(line.strip() for line in text.splitlines())
    return [
        s for s in re.split(r"(?<=[。！？])\s*|(?<=[.!?])\s+(?=[A-Z`\u4e00-\u9fff]|\w+ [\u4e00-\u9fff])", flat) if s
    ]


def languages(text: str) -> tuple[str, str]:
    """The Chinese sentences of a paragraph, and the others."""
    cut = sentences(text)
    return "".join(s for s in cut if CHINESE.search(s)), " ".join(s for s in cut if not CHINESE.search(s))


def _after(rest: str, block: str, spoken: str) -> str:
    """The English that follows the Chinese: what comes before it says the same."""
    cut = sentences(block)
    last = max(i for i, s in enumerate(cut) if CHINESE.search(s))
    return " ".join(cut[last + 1 :])


def _english(markdown: str) -> str:
    return f":::{{container}} in-english\n\n{markdown}\n\n:::"


def _text(text: str) -> str:
    """Plain text as Markdown: code stays code, everything else is what it looks like."""
    flat = " ".join(line.strip() for line in text.strip().splitlines())
    parts = re.split(r"(``[^`]+``|`[^`]+`)", flat)
    return "".join(
        f"`{part.strip('`')}`" if part.startswith("`") else re.sub(r"([\\*_\[\]<>$#|{}~])", r"\\\1", part)
        for part in parts
    )


def _block(block: str, word: Callable[[str], str]) -> str:
    """One paragraph of a docstring: a formula, an example, a list of arguments, or text."""
    lines = block.splitlines()
    if block.lstrip().startswith(r"\begin"):
        return f"$$\n{inspect.cleandoc(block)}\n$$"
    if all(line.startswith("    ") for line in lines):
        return f"```text\n{inspect.cleandoc(block)}\n```"
    if lines[0].lstrip().startswith(">>>"):
        return f"```pycon\n{inspect.cleandoc(block)}\n```"
    if len(lines) > 1 and lines[0].endswith(":") and all(line.startswith(" ") for line in lines[1:]):
        items = re.split(r"\n(?=\S)", inspect.cleandoc("\n".join(lines[1:])))
        named = [item.partition(": ") for item in items]
        return "\n\n".join(
            [f"**{word(lines[0][:-1])}**", *(f"`{name}`\n: {_text(what) or '…'}" for name, _, what in named)]
        )
    head = re.match(r"([A-Z][a-z ]+?)(?: (\([^)]*\)))?:(?:\s|$)", block)
    if head and (word(head[1]) != head[1] or head[1] in LABELS):
        return " ".join(filter(None, [f"**{word(head[1])}**", _text(head[2] or ""), _text(block[head.end() :])]))
    return _text(block)


LABELS = ("State", "Sources", "Source", "Update")
