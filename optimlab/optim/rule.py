"""Reading a rule: its formula in LaTeX, typeset from the source that runs.

`Rule.latex` walks the rule's source with real numbers at hand, so it takes the branches that would run, and prints one line
per assignment. The numbers and the text come from one table of operators: what is printed is what was computed.

读一条更新规则：直接由运行的源代码排出公式。
"""

import ast
import inspect
import operator
import textwrap
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LETTERS = {  # one notation for the whole course; any other name is printed as the word it is
    "p": "p",
    "g": "g",
    "m": "m",
    "v": "v",
    "v_max": r"v^{\max}",
    "u": "u",
    "s": "s",
    "b": "b",
    "t": "t",
    "t0": "t_0",
    "lr": r"\eta",
    "step_size": r"\eta'",
    "momentum": r"\mu",
    "dampening": r"\tau",
    "weight_decay": r"\lambda",
    "beta1": r"\beta_1",
    "beta2": r"\beta_2",
    "eps": r"\epsilon",
    "denominator": "d",
    "correction": "c",
    "alpha": r"\alpha",
    "rho": r"\rho",
    "rho_inf": r"\rho_{\infty}",
    "rectified": "r",
    "mu": r"\mu",
    "mu_next": r"\mu_{t+1}",
    "mu_product": r"\Pi",
    "momentum_decay": r"\psi",
    "eta": r"\eta",
    "lambd": r"\Lambda",
    "average": r"\bar{p}",
    "lr_decay": r"\kappa",
    "delta": r"\Delta",
    "q": "q",
    "variance": "s",
    "step": r"\Delta",
    "change": "c",
    "eta_minus": r"\eta^{-}",
    "eta_plus": r"\eta^{+}",
    "low": r"\Delta_{\min}",
    "high": r"\Delta_{\max}",
}

SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly an operator binds: a looser term inside a tighter one gets brackets


class Term(NamedTuple):
    """A piece of a formula: its value, its LaTeX, and how tightly its outermost operator binds."""

    value: Any
    text: str = ""
    binds: int = ATOM

    def inside(self, binds: int) -> str:
        """The text, in brackets where it binds more loosely than ``binds``."""
        bare = self.binds >= binds and not (binds > SUM and self.text.startswith("-"))
        return self.text if bare else rf"\left({self.text}\right)"


def _power(base: Term, exponent: Term) -> str:
    if exponent.value == 0.5:
        return rf"\sqrt{{{base.text}}}"
    return rf"{{{base.inside(ATOM)}}}^{{{exponent.text}}}"


BINARY: dict[type, tuple[Callable, Callable[[Term, Term], str], int]] = {
    ast.Add: (operator.add, lambda a, b: f"{a.text} + {b.inside(PRODUCT)}", SUM),
    ast.Sub: (operator.sub, lambda a, b: f"{a.text} - {b.inside(PRODUCT)}", SUM),
    ast.Mult: (operator.mul, lambda a, b: rf"{a.inside(PRODUCT)}\,{b.inside(PRODUCT)}", PRODUCT),
    ast.Div: (operator.truediv, lambda a, b: rf"\frac{{{a.text}}}{{{b.text}}}", PRODUCT),
    ast.Pow: (operator.pow, _power, POWER),
}
COMPARISONS: dict[type, tuple[Callable, str]] = {
    ast.Gt: (operator.gt, ">"),
    ast.GtE: (operator.ge, r"\ge"),
    ast.Lt: (operator.lt, "<"),
    ast.LtE: (operator.le, r"\le"),
    ast.Eq: (operator.eq, "="),
    ast.NotEq: (operator.ne, r"\ne"),
    ast.Is: (operator.is_, "="),
    ast.IsNot: (operator.is_not, r"\ne"),
}
CALLS: dict[str, tuple[Callable, str]] = {
    "sqrt": (np.sqrt, r"\sqrt{{{}}}"),
    "abs": (np.abs, r"\left|{}\right|"),
    "sign": (np.sign, r"\operatorname{{sign}}\left({}\right)"),
    "maximum": (np.maximum, r"\max\left({},\, {}\right)"),
    "minimum": (np.minimum, r"\min\left({},\, {}\right)"),
    "where": (np.where, r"\begin{{cases}}{1} & {0} \\ {2} & \text{{else}}\end{{cases}}"),
}

NESTED = [
    (r"\\ \begin{cases}", r"\\ "),
    (r"\end{cases} & \text{else}\end{cases}", r"\end{cases}"),
]  # cases in cases: one list


class _Reader:
    """Walks a rule's statements with the values of its names, and collects the lines of its formula."""

    def __init__(self, values: dict[str, Any], state: tuple[str, ...], last: Counter, names: dict[str, Any]) -> None:
        self.values, self.state, self.last = dict(values), state, last
        self.names = names  # what the rule's module knows: the parts that rules share
        self.symbols: dict[str, str] = {}  # names that stand for another symbol since `g = v`
        self.assigned: Counter[str] = Counter()
        self.lines: list[str] = []

    def symbol(self, name: str) -> str:
        """The letter of a name with its time: ``p_{t-1}`` before, ``p_t`` after, primes in between."""
        if name in self.symbols:
            return self.symbols[name]
        word = name.replace("_", r"\_")
        letter = LETTERS.get(name, rf"\mathrm{{{word}}}")
        times = self.assigned[name]
        if "_{" in letter:  # it has an index of its own
            return letter
        if name in self.state:
            primes = "'" * times if times < self.last[name] else ""
            return letter + primes + ("_{t-1}" if times == 0 else "_{t}")
        if name == "g":
            return letter + "'" * times + "_{t}"
        return letter + "'" * (times - 1) + "_{t}" if times else letter

    def read(self, statements: list[ast.stmt]) -> bool:
        """Read statements up to a return; True once it was met."""
        for statement in statements:
            match statement:
                case ast.Expr(ast.Constant(str())):  # a docstring
                    pass
                case ast.If(test, body, orelse):
                    if self.read(body if self.term(test).value else orelse):
                        return True
                case ast.Assign([ast.Name(name)], value):
                    self.assign(name, value)
                case ast.Assign([ast.Tuple(names)], ast.Name(source)):  # beta1, beta2 = betas
                    self.values.update(zip(map(ast.unparse, names), self.values[source], strict=True))
                case ast.Assign([ast.Tuple() as target], ast.Call(ast.Name(name), args, [])) if name in self.names:
                    self.inline(self.names[name], ast.unparse(target).strip("()"), list(map(ast.unparse, args)))
                case ast.Return(ast.Tuple()):
                    return True
                case ast.Return(ast.Dict(keys, values)):
                    for key, value in zip(keys, values, strict=True):
                        letter = ast.literal_eval(key) if key else ""
                        if not (isinstance(value, ast.Name) and value.id == letter):
                            self.assign(letter, value)
                    return True
                case _:
                    raise self.refused(statement)
        return False

    def inline(self, part: Callable, target: str, given: list[str]) -> None:
        """Read a part that rules share. What it takes and returns must go by the same names in the rule."""
        parameters = inspect.signature(part).parameters
        statements = _definition(part).body
        returned = ast.unparse(statements[-1]).removeprefix("return ").strip("()")
        if given != list(parameters)[: len(given)] or returned != target:
            raise TypeError(f"{part.__name__} must be called as {returned} = {part.__name__}({', '.join(parameters)})")
        for name in list(parameters)[len(given) :]:
            self.values[name] = parameters[name].default
        self.read(statements)

    def assign(self, name: str, node: ast.expr) -> None:
        term = self.term(node)
        self.symbols.pop(name, None)
        self.values[name] = term.value
        if isinstance(node := self.chosen(node), ast.Name) and name not in self.state:
            self.symbols[name] = self.symbol(node.id)  # only another name for the same thing: no line of its own
        elif term.value is not None:
            self.assigned[name] += 1
            self.lines.append(rf"{self.symbol(name)} &\leftarrow {term.text}")

    def chosen(self, node: ast.expr) -> ast.expr:
        """The branch of ``a if c else b`` that runs."""
        while isinstance(node, ast.IfExp):
            node = node.body if self.term(node.test).value else node.orelse
        return node

    def term(self, node: ast.expr) -> Term:
        match node:
            case ast.Constant(value):
                return Term(value, f"{value!r}")
            case ast.Name(name) if name in self.values:
                return Term(self.values[name], self.symbol(name))
            case ast.BinOp(left, op, right) if type(op) in BINARY:
                compute, text, binds = BINARY[type(op)]
                a, b = self.term(left), self.term(right)
                return Term(compute(a.value, b.value), text(a, b), binds)
            case ast.UnaryOp(ast.USub(), operand):
                a = self.term(operand)
                return Term(-a.value, f"-{a.inside(PRODUCT)}", SUM)
            case ast.UnaryOp(ast.Not(), operand):
                return Term(not self.term(operand).value)
            case ast.BoolOp(op, nodes):
                combine = all if isinstance(op, ast.And) else any
                return Term(combine(bool(self.term(n).value) for n in nodes))
            case ast.Compare(left, [op], [right]) if type(op) in COMPARISONS:
                compare, sign = COMPARISONS[type(op)]
                a, b = self.term(left), self.term(right)
                return Term(compare(a.value, b.value), f"{a.text} {sign} {b.text}", SUM)
            case ast.Call(ast.Attribute(ast.Name("np"), name), args, []) if name in CALLS:
                function, template = CALLS[name]
                terms = [self.term(a) for a in args]
                formula = template.format(*(a.text for a in terms)).replace(*NESTED[0]).replace(*NESTED[1])
                return Term(function(*(a.value for a in terms)), formula)
            case ast.IfExp():
                return self.term(self.chosen(node))
        raise self.refused(node)

    @staticmethod
    def refused(node: ast.AST) -> TypeError:
        return TypeError(
            f"a rule cannot contain `{ast.unparse(node)}`; allowed are assignments, if, return of a dict, numbers, "
            f"+ - * / **, comparisons, and np.{', np.'.join(CALLS)}"
        )


def _definition(function: Callable) -> ast.FunctionDef:
    """The source of a function, read."""
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]  # type: ignore[return-value]


class Rule:
    """An update rule: called, it computes; ``latex`` typesets it. 更新规则：既能计算，也能排版。

    ``function(p, g, *state, t, **hyper)`` is pure: it returns ``{"p": new p, letter: new state, ...}`` and changes nothing.
    """

    def __init__(self, function: Callable[..., dict[str, Any]], owner: Any) -> None:
        self.function, self.owner = function, owner
        self.__doc__ = function.__doc__
        parameters = inspect.signature(function).parameters.values()
        if any(x.kind in (x.VAR_POSITIONAL, x.VAR_KEYWORD) for x in parameters):
            raise TypeError(
                f"the rule of {owner.__name__} has * or ** in its signature; name each letter and each option"
            )
        self.letters = tuple(x.name for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD)[2:]
        names = [x.name for x in parameters if x.kind is x.KEYWORD_ONLY]
        self.takes_t = "t" in names
        self.counts_steps = self.takes_t or owner.counts_steps
        self.hyper = tuple(name for name in names if name != "t")

    def __call__(self, *arrays: Any, **scalars: Any) -> dict[str, Any]:
        return self.function(*arrays, **scalars)

    def __repr__(self) -> str:
        return f"<rule of {self.owner.__name__}>"

    def sample(self, t: int = 2, **hyper: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Numbers to run the rule with at step ``t``: p, g and state by letter; t and hyper-parameters by name."""
        group = self.owner.default_group()
        if unknown := hyper.keys() - group.keys():
            raise TypeError(f"{self.owner.__name__} has no {', '.join(sorted(unknown))}; it has {', '.join(group)}")
        if isinstance(t, bool) or not isinstance(t, int) or t < 1:
            raise ValueError(f"Invalid t: {t!r}; steps are counted from 1")
        group |= hyper
        self.owner.check_group(group)
        scalars = {name: group[name] for name in self.hyper}
        arrays: dict[str, Any] = dict.fromkeys(self.letters) | {"p": 0.5, "g": -0.25} | self.owner.initial(group)
        with np.errstate(all="ignore"):
            for now in range(1, t):  # the steps before
                arrays |= self.function(**arrays, **scalars, **({"t": now} if self.takes_t else {}))
        scalars |= {"t": t} if self.takes_t else {}
        return arrays, scalars

    def latex(self, t: int = 2, **hyper: Any) -> str:
        r"""The formula of step ``t`` for these hyper-parameters, the others at their defaults: an ``aligned`` block.

        由源代码排出的公式；给出的超参数决定走哪个分支。

        Only the branches that run are shown: ``SGD.rule.latex(momentum=0.9)`` has a velocity, ``SGD.rule.latex()`` none, and
        ``t=1`` shows the first step. Raises TypeError for an unknown hyper-parameter, ValueError for a value out of range.
        """
        arrays, scalars = self.sample(t, **hyper)
        last: Counter[str] = Counter()
        for _ in range(2):  # the first reading counts assignments, so that the second knows which is the last
            reader = _Reader(arrays | scalars, ("p", *self.letters), last, self.function.__globals__)
            with np.errstate(all="ignore"):
                reader.read(_definition(self.function).body)
            last = reader.assigned
        return "\\begin{aligned}\n" + " \\\\\n".join(reader.lines) + "\n\\end{aligned}"
