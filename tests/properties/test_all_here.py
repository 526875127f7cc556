"""The 38 properties: each number stands at the head of the docstring of some test."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ELSEWHERE = [
    TESTS / "reliability" / "test_catalogue.py",
    TESTS / "test_whole_steps.py",
]  # 37 and 38, tried on all there is


def test_every_property_is_here():
    found = set()
    for path in [*Path(__file__).parent.glob("test_*.py"), *ELSEWHERE]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= set(re.findall(r"^(\d+)[.,]", ast.get_docstring(node) or ""))
    assert {int(number) for number in found} | {36} == set(range(1, 39))  # 36 is the whole of test_lockstep.py
