"""No regular expression of ours costs more than its subject is long, whatever the subject.

The interpreter holds its lock while `re` runs: an expression with two ways to read one word stops
every thread of a Stargate for as long as a stranger likes. So each expression in `src/` is proved
linear from its own text (`support/pattern_cost.py` says how), not timed on samples.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from house.project import PACKAGE, parsed, place, python_files
from support.pattern_cost import faults

_AT_ONE_PLACE = {"match", "fullmatch"}
_FUNCTIONS = {"match", "fullmatch", "search", "findall", "finditer", "split", "sub", "subn"}


class _Use(NamedTuple):
    where: str
    pattern: re.Pattern[Any]
    searched: bool


def _module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _held(value: object, name: str) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The patterns in a module's variable, in containers too; not those of named tuples' makers."""
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _held(inner, name)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _held(inner, name)


def _searched_names(trees: dict[str, ast.Module]) -> set[tuple[str, str]]:
    """Module and name of patterns that are used otherwise than by `NAME.match(…)` and
    `NAME.fullmatch(…)`, there or where they are imported.
    """
    found: set[tuple[str, str]] = set()
    for module, tree in trees.items():
        nodes = list(ast.walk(tree))
        imported = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        at_one_place = {
            id(node.value)
            for node in nodes
            if isinstance(node, ast.Attribute) and node.attr in _AT_ONE_PLACE
        }
        found |= {
            imported.get(node.id, (module, node.id))
            for node in nodes
            if isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and id(node) not in at_one_place
        }
    return found


def _calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            yield node.func.attr, node


def _evaluated(expression: ast.expr, module: object) -> Any:
    if isinstance(expression, ast.Name):
        return getattr(module, expression.id)
    return ast.literal_eval(expression)


def _uses() -> list[_Use]:
    trees = {_module_name(path): parsed(path) for path in python_files("src")}
    searched = _searched_names(trees)
    uses = []
    for name, tree in trees.items():
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        for variable, value in vars(module).items():
            for held, pattern in _held(value, variable):
                uses.append(_Use(f"{name}.{held}", pattern, (name, held) in searched))
        for function, call in _calls(tree):
            if function in _FUNCTIONS:
                pattern = re.compile(_evaluated(call.args[0], module))
                where = f"{name}:{call.lineno}"
                uses.append(_Use(where, pattern, function not in _AT_ONE_PLACE))
    return uses


def test_every_pattern_is_linear_in_its_subject() -> None:
    uses = _uses()
    assert len(uses) > 60, "the search for patterns has gone blind"
    found = [
        f"{use.where} ({'searched' if use.searched else 'matched'}): {fault}"
        for use in uses
        for fault in faults(use.pattern, searched=use.searched)
    ]
    assert not found, "\n".join(sorted(set(found)))


def test_patterns_are_made_where_the_proof_finds_them() -> None:
    """At the top of a module, or as the constant argument of a function of `re`."""
    hidden = []
    for path in python_files("src"):
        tree = parsed(path)
        inside = {
            id(node)
            for outer in ast.walk(tree)
            if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for node in ast.walk(outer)
        }
        hidden += [
            place(path, call.lineno)
            for function, call in _calls(tree)
            if function == "compile" and id(call) in inside
        ]
    assert hidden == ["src/gitkv/audit/node.py:43"]  # whose results are variables of that module


@pytest.mark.parametrize(
    ("text", "searched", "is_linear"),
    [
        (r"(a+)+", False, False),
        (r"(?:a|ab|b)*", False, False),
        (r"(a|a?b)+c", False, False),
        (r"a*a*", False, False),
        (r"[^\n]*[^\n\t ][^\n]*(?:\n\n[\x00-\xff]+)?", False, False),
        (r"a{0,99}[ab]{0,99}", False, False),
        (r"(?:.*,)*", False, False),
        (r"(.)\1*", False, False),
        (r"(?:a?)*", False, False),
        (r"(?i:K+)k+", False, False),
        (r"\w+[^\d]*!", False, False),
        (r"a*b", True, False),
        (r"a+", True, True),
        (r"a+$", True, False),
        (r"a+(?=b)", True, False),
        (r"<[^>]*>", True, False),
        (r"a*b", False, True),
        (r"<[^<>]*>", True, True),
        (r"(?:[^,]*,)*", False, True),
        (r"(?:a{70}\n)*a{1,70}={0,2}\n", False, True),
        (r"tree [0-9a-f]{40}\n(?:parent [0-9a-f]{40}\n)*", False, True),
        (r"(?:x[0-9]+y)*z", True, False),
        (r"(?:x[0-9]+y)*z", False, True),
    ],
)
def test_the_proof_knows_costly_patterns_from_linear_ones(
    text: str, searched: bool, is_linear: bool
) -> None:
    assert (faults(re.compile(text), searched=searched) == []) is is_linear
