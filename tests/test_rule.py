"""The typeset formula: it changes with every operator of the rule, and parsed back it gives the rule's numbers."""

import ast
import contextlib
import importlib.util
import inspect
import itertools
import re
import textwrap

import numpy as np
import pytest

from optimlab import optim
from optimlab.optim import adam, elementwise
from optimlab.optim.rule import LETTERS, Rule

RULES = [optim.SGD, optim.ASGD, optim.Rprop, optim.Adagrad, optim.Adadelta, optim.RMSprop]
RULES += [optim.Adam, optim.Adamax, optim.NAdam, optim.RAdam, optim.SparseAdam]
OPTIONS = {  # enough option sets to run every line of a rule
    optim.SGD: [
        {},
        {"weight_decay": 0.2},
        {"momentum": 0.9, "dampening": 0.3},
        {"momentum": 0.9, "weight_decay": 0.2, "t": 1},
        {"momentum": 0.9, "weight_decay": 0.2, "nesterov": True},
    ],
    optim.ASGD: [
        {},
        {"weight_decay": 0.2, "t0": 1, "t": 3},
        {"lambd": 0.3, "alpha": 0.6, "t0": 0, "t": 3},
    ],
    optim.Rprop: [{}, {"etas": (0.25, 1.5), "step_sizes": (0.001, 0.3)}],
    optim.Adagrad: [{}, {"lr_decay": 0.2, "weight_decay": 0.2, "eps": 0.1, "initial_accumulator_value": 0.1, "t": 5}],
    optim.Adadelta: [{}, {"rho": 0.5, "eps": 0.1, "weight_decay": 0.2}],
    optim.RMSprop: [
        {},
        {"weight_decay": 0.2, "alpha": 0.5},
        {"momentum": 0.9, "eps": 0.1},
        {"momentum": 0.9, "centered": True, "weight_decay": 0.2},
    ],
    optim.Adamax: [{}, {"betas": (0.5, 0.75), "eps": 0.1, "weight_decay": 0.2, "t": 7}],
    optim.RAdam: [
        {},
        {"betas": (0.5, 0.75), "weight_decay": 0.2, "t": 7},
        {"t": 6, "weight_decay": 0.2, "decoupled_weight_decay": True},
        {"t": 5, "eps": 0.1},
    ],
    optim.SparseAdam: [{}, {"betas": (0.5, 0.75), "eps": 0.1, "t": 7}],
    optim.NAdam: [
        {},
        {"weight_decay": 0.2, "betas": (0.5, 0.75), "t": 7},
        {"weight_decay": 0.2, "decoupled_weight_decay": True, "momentum_decay": 0.1, "eps": 0.1},
    ],
    optim.Adam: [
        {},
        {"weight_decay": 0.2},
        {"weight_decay": 0.2, "decoupled_weight_decay": True, "t": 1},
        {"amsgrad": True, "betas": (0.5, 0.75), "t": 7},
        {"amsgrad": True, "weight_decay": 0.2, "eps": 0.1},
    ],
}
PAIRS = {"betas": ("beta1", "beta2"), "etas": ("eta_minus", "eta_plus"), "step_sizes": ("low", "high")}
CASES = [(cls, options) for cls in RULES for options in OPTIONS[cls]]


class Formula:
    """Evaluates the LaTeX of a formula: a reader of its own, which knows nothing of how it was written."""

    TOKEN = re.compile(
        r"\\(?:frac|sqrt|max|min)(?![a-z])|\\(?:left|right)[()|]|\\(?:begin|end)\{cases\}|\\text\{else\}|\\\\|\\,"
        r"|[-+,{}^&<>]|\d+(?:\.\d+)?"
        r"|(?:\\bar\{p\}|\\[A-Za-z]+(?:_\d)?|[a-z](?:_0)?)(?:\^\{(?:\\max|[-+])\})?'*(?:_\{[^{}]*\})?"
    )

    def __init__(self, text, values):
        self.values = dict(values)
        for line in text.removeprefix(r"\begin{aligned}").removesuffix(r"\end{aligned}").split(r"\\" + "\n"):
            name, formula = line.strip().split(r" &\leftarrow ")
            self.tokens = self.TOKEN.findall(formula)
            assert "".join(self.tokens) == formula.replace(" ", ""), f"unread: {formula}"
            self.values[name] = self.sum()
            assert not self.tokens, self.tokens

    def take(self, *wanted):
        if self.tokens and self.tokens[0] in wanted:
            return self.tokens.pop(0)
        return None

    def sum(self):
        value = self.product()
        while sign := self.take("+", "-"):
            right = self.product()
            value = value + right if sign == "+" else value - right
        return value

    def product(self):
        if self.take("-"):
            return -self.product()
        value = self.power()
        while self.take(r"\,"):
            value = value * self.power()
        return value

    def power(self):
        value = self.atom()
        return value ** self.group() if self.take("^") else value

    def group(self, opening="{", closing="}"):
        assert self.take(opening)
        value = self.sum()
        assert self.take(closing)
        return value

    def case(self):
        value = self.sum()
        assert self.take("&")
        if self.take(r"\text{else}"):
            assert self.take(r"\end{cases}")
            return value
        left, sign, right = self.sum(), self.take("<", ">"), self.sum()
        assert self.take("\\\\")
        return np.where(left < right if sign == "<" else left > right, value, self.case())

    def atom(self):
        if self.take(r"\frac"):
            above = self.group()
            return above / self.group()
        if self.take(r"\sqrt"):
            return np.sqrt(self.group())
        if extreme := self.take(r"\max", r"\min"):
            assert self.take(r"\left(")
            a = self.sum()
            assert self.take(",") and self.take(r"\,")
            b = self.sum()
            assert self.take(r"\right)")
            return np.maximum(a, b) if extreme == r"\max" else np.minimum(a, b)
        if self.take(r"\begin{cases}"):
            return self.case()
        if self.tokens[0] == r"\left|":
            return abs(self.group(r"\left|", r"\right|"))
        if self.tokens[0] == "{":
            return self.group()
        if self.tokens[0] == r"\left(":
            return self.group(r"\left(", r"\right)")
        token = self.tokens.pop(0)
        return float(token) if token[0].isdigit() else self.values[token]


@pytest.mark.parametrize(("cls", "options"), CASES, ids=str)
def test_parsed_back_it_gives_the_rules_numbers(cls, options):
    draw = np.random.default_rng(0)
    arrays, scalars = cls.rule.sample(**options)
    arrays = {k: v if v is None or k in cls.numbers else np.abs(draw.standard_normal(50)) for k, v in arrays.items()}
    arrays["p"], arrays["g"] = draw.standard_normal((2, 50))
    new = cls.rule(**arrays, **scalars)

    symbols = {LETTERS[k] + ("_{t}" if k == "g" else "_{t-1}"): v for k, v in arrays.items() if v is not None}
    symbols |= {LETTERS[k]: v for k, v in scalars.items() if k in LETTERS}
    for pair, names in PAIRS.items():
        symbols |= {LETTERS[name]: number for name, number in zip(names, scalars.get(pair, ()), strict=False)}
    read = Formula(cls.rule.latex(**options), symbols).values
    for letter in ("p", *cls.rule.letters):
        if new[letter] is not None and f"{LETTERS[letter]}_{{t}}" in read:
            # the same operations in the same order: nothing is lost in the last bit
            np.testing.assert_array_equal(read[f"{LETTERS[letter]}_{{t}}"], new[letter])
    assert "p_{t}" in read


def mutants(function):
    """The rule's source with one operator, function or number changed, for each of them."""
    source = textwrap.dedent(inspect.getsource(function))
    others = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
    names = {"sqrt": "abs", "abs": "sqrt", "maximum": "minimum", "minimum": "maximum"}
    for i in itertools.count():
        tree = ast.parse(source)
        nodes = [n for n in ast.walk(tree.body[0]) if isinstance(n, (ast.BinOp, ast.Attribute, ast.Constant))]
        nodes = [n for n in nodes if not isinstance(n, ast.Constant) or type(n.value) in (int, float)]
        nodes = [n for n in nodes if not isinstance(n, ast.Attribute) or n.attr in names]
        if i == len(nodes):
            return
        node = nodes[i]
        before = ast.unparse(node)
        if isinstance(node, ast.BinOp):
            node.op = others[type(node.op)]()
        elif isinstance(node, ast.Attribute):
            node.attr = names[node.attr]
        else:
            node.value += 1
        yield f"{before} -> {ast.unparse(node)}", ast.unparse(tree)


def mutated(function, folder):
    """The rule with one thing changed, for each of them: what was changed, and the function."""
    for i, (change, source) in enumerate(mutants(function)):
        path = folder / f"mutant_{i}.py"
        path.write_text("import numpy as np\n" + source.replace("@staticmethod\n", ""))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        module.__dict__.update({k: v for k, v in function.__globals__.items() if not k.startswith("__")})
        spec.loader.exec_module(module)
        yield change, getattr(module, function.__name__)


@pytest.mark.parametrize("cls", RULES)
def test_formula_changes_with_every_operator(cls, tmp_path):
    def formulas(rule):
        return [rule.latex(**options) for options in OPTIONS[cls]]

    original, count = formulas(cls.rule), 0
    for change, function in mutated(cls.rule.function, tmp_path):
        with contextlib.suppress(ArithmeticError, TypeError):  # no rule at all any more: 1 / (1 - 1), a complex root
            assert formulas(Rule(function, cls)) != original, change
            count += 1
    assert count >= 8


def test_formula_changes_with_every_operator_of_weight_decay(tmp_path, monkeypatch):
    def formulas():
        return [optim.Adam.rule.latex(weight_decay=0.1, decoupled_weight_decay=d) for d in (True, False)]

    original, count = formulas(), 0
    for change, function in mutated(elementwise.decay, tmp_path):
        monkeypatch.setattr(adam, "decay", function)
        assert formulas() != original, change
        count += 1
    assert count == 6  # 2 of g + λp, 4 of p (1 - ηλ)


def test_a_shared_part_keeps_its_names(tmp_path, monkeypatch):
    (tmp_path / "swapped.py").write_text(
        "from optimlab.optim.elementwise import decay\n"
        "def rule(p, g, *, lr, weight_decay):\n    g, p = decay(g, p, lr, weight_decay)\n    return {'p': p - lr * g}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import swapped

    with pytest.raises(TypeError, match=r"must be called as p, g = decay\(p, g, lr, weight_decay"):
        Rule(swapped.rule, optim.SGD).latex()


def test_what_is_shown():
    assert optim.SGD.rule.latex() == "\\begin{aligned}\np_{t} &\\leftarrow p_{t-1} - \\eta\\,g_{t}\n\\end{aligned}"
    assert r"v_{t} &\leftarrow \mu\,v_{t-1} + \left(1 - \tau\right)\,g_{t}" in optim.SGD.rule.latex(momentum=0.9)
    assert r"v_{t} &\leftarrow g_{t}" in optim.SGD.rule.latex(t=1, momentum=0.9)


@pytest.mark.parametrize("cls", [*RULES, optim.AdamW])
def test_docstring_is_complete(cls):
    """The formula; each argument of the signature, in its order; each key of the state; each part of the text."""
    doc = inspect.getdoc(cls)
    assert cls.rule.latex(**cls.shown) in doc and "{" not in re.sub(r"\\begin.*?\\end\{aligned\}", "", doc, flags=re.S)
    listed = re.findall(r"^    ([\w, ]+): ", doc.partition("Arguments:")[2].partition("State:")[0], re.M)
    names = [name for line in listed for name in line.split(", ")]
    assert sorted(names) == sorted(inspect.signature(cls).parameters)
    assert cls is optim.AdamW or all(f'"{key}"' in doc for key in [*cls.letters.values(), *cls.numbers.values()])
    for part in ("Update", "Arguments:", "State:", "Raises", "torch and the paper:", "Source", ">>> "):
        assert part in doc, part


def test_all_rules_are_short():
    lines = [line for cls in RULES for line in inspect.getsource(cls.rule.function).splitlines()[1:]]
    lines += inspect.getsource(elementwise.decay).splitlines()
    assert len(lines) <= 110, len(lines)


@pytest.mark.parametrize(
    ("body", "words"),
    [("p = p + np.exp(g)", "np.exp"), ("for _ in range(3):\n        p = p - g", "for _ in"), ("p -= g", "p -= g")],
)
def test_a_rule_is_a_closed_vocabulary(body, words, tmp_path, monkeypatch):
    (tmp_path / "strange.py").write_text(
        f"import numpy as np\ndef rule(p, g, *, lr):\n    {body}\n    return {{'p': p}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "strange", raising=False)
    import strange

    with pytest.raises(TypeError, match="a rule cannot contain") as error:
        Rule(strange.rule, optim.SGD).latex()
    assert words in str(error.value)
