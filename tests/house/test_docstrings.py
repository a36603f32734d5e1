"""Public functions say what they take and give."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from house.project import PACKAGE, parsed, place, python_files

_NOT_YET = {"gateway", "daemon"}


def _public_functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those of a module and of its public classes, at any depth of classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if not child.name.startswith("_"):
                yield child
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from _public_functions(child)


def test_every_public_function_has_a_docstring() -> None:
    silent = [
        f"{place(path, function.lineno)} {function.name}"
        for path in python_files("src")
        if path.relative_to(PACKAGE).parts[0] not in _NOT_YET
        for function in _public_functions(parsed(path))
        if ast.get_docstring(function) is None
    ]
    assert not silent
