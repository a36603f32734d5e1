"""Nothing in the project is larger than a person can hold at once. Complexity and argument counts
are ruff's (C901, PLR0913).
"""

from __future__ import annotations

import ast
import tomllib

from house.project import ROOT, parsed, place, python_files

FILE_LINES_MAX = 399
TEST_FILE_LINES_MAX = 499  # tables of cases are long without being hard to hold
FUNCTION_LINES_MAX = 49


def test_every_file_is_shorter_than_its_limit() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in python_files()
        if (lines := path.read_bytes().count(b"\n"))
        > (TEST_FILE_LINES_MAX if ROOT / "tests" in path.parents else FILE_LINES_MAX)
    ]
    assert not long


def test_every_function_is_shorter_than_50_lines() -> None:
    long = [
        f"{place(path, node.lineno)} {node.name}: {lines} lines"
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long


def test_ruff_guards_complexity_and_argument_counts() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert {"C90", "PLR0913"} <= set(lint["select"])
    assert (lint["mccabe"]["max-complexity"], lint["pylint"]["max-args"]) == (10, 6)
