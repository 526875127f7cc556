"""Evaluates the LaTeX of a docstring that no rule has written, so that it cannot say anything but what is computed."""

import inspect
import re

import numpy as np

FUNCTIONS = {
    "frac": lambda above: lambda below: above / below,
    "sqrt": np.sqrt,
    "max": np.maximum,
    "min": np.minimum,
    "rms": lambda x: np.sqrt(np.mean(x * x)),
    "meani": lambda x: np.mean(x, axis=-2, keepdims=True),
    "meanj": lambda x: np.mean(x, axis=-1, keepdims=True),
    "norm": np.linalg.norm,
}
OPERATORS = re.compile(r"\\operatorname\{([a-z]+)\}(?:_\{([ij])\})?")  # with the axis that they run over
WORDS = [  # in this order
    (r"\lVert", "norm("),
    (r"\rVert", ")"),
    (r"^{\top}", ".T"),
    (r"\cdot", "@"),
    (r"\,", "*"),
    (r"\frac", "frac"),
    (r"\sqrt", "sqrt"),
    (r"\max", "max"),
    (r"\min", "min"),
    ("^", "**"),
    ("{", "("),
    ("}", ")"),
]
# a letter, perhaps with an accent, a prime, a power that is a name, and a time or number below
LETTER = r"(?:\\hat\{V\}|\\(?!frac|sqrt|max|min|operatorname|lVert|rVert|cdot|top)[a-z]+|(?<![a-z\\])[A-Za-z](?![a-z]))"
SYMBOL = re.compile(LETTER + r"(?:\^\{\\text\{[A-Z+]+\}\})?'?(?:_\{[^{}]*\}|_\d)?")


def formulas(thing):
    """The lines of the aligned blocks in a docstring, as (symbol, expression)."""
    for block in re.findall(r"\\begin\{aligned\}\n(.*?)\\end\{aligned\}", inspect.getdoc(thing), re.S):
        for line in block.strip().split("\\\\\n"):
            name, expression = re.fullmatch(r"\s*(.*?) &(?:=|\\leftarrow) (.*?)\s*", line).groups()
            yield name, expression


def evaluate(expression, values):
    """An expression with the values of its symbols."""
    names = {}

    def named(match):
        names[f"_{len(names)}_"] = values[match.group()]
        return list(names)[-1]

    text = SYMBOL.sub(named, OPERATORS.sub(r"\1\2", expression))
    for word, python in WORDS:
        text = text.replace(word, python)
    return eval(text, {**FUNCTIONS, **names})
