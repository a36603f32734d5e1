"""The laws of the floors that import-linter cannot say: cycles of modules, builtins and attributes
that act, the package's own root.
"""

from __future__ import annotations

import ast
import graphlib

import grimp
import pytest
from house.project import PACKAGE, parsed, place, python_files

RULES = ("errors.py", "model", "ledger", "audit", "policy", "wire", "admission")
ACTING_BUILTINS = frozenset(
    {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}
)
CLOCKS = frozenset({"now", "utcnow", "today"})
# Ways to start a process besides subprocess, which import-linter guards.
STARTERS = frozenset(
    {
        "system",
        "popen",
        "fork",
        "forkpty",
        "posix_spawn",
        "posix_spawnp",
        "spawnl",
        "spawnv",
        "execl",
        "execv",
        "execve",
        "execvp",
    }
    | {"create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"}
)


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = grimp.build_graph("gitkv", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])), pytrace=False)


def test_the_rules_call_nothing_that_acts_on_the_world() -> None:
    found = []
    for path in python_files("src"):
        if path.relative_to(PACKAGE).parts[0] not in RULES:
            continue
        for node in ast.walk(parsed(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ACTING_BUILTINS
            ):
                found.append(f"{place(path, node.lineno)} {node.func.id}()")
            if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
                found.append(f"{place(path, node.lineno)} .{node.attr}")
    assert not found


def test_no_process_is_started_around_the_two_doors() -> None:
    found = []
    for path in python_files("src"):
        if path.relative_to(PACKAGE).parts[0] in ("git", "sign"):
            continue
        for node in ast.walk(parsed(path)):
            name = (
                node.attr
                if isinstance(node, ast.Attribute)
                else node.name
                if isinstance(node, ast.alias)
                else ""
            )
            if name in STARTERS:
                found.append(f"{place(path, getattr(node, 'lineno', 0))} {name}")
    assert not found


def test_no_command_goes_through_a_shell() -> None:
    found = [
        place(path, node.value.lineno)
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.keyword)
        and node.arg == "shell"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert not found


def test_only_the_face_of_the_sdk_is_above_the_floors() -> None:
    """`gitkv/__init__.py` re-exports from high floors: a module below that imported it would climb
    them.
    """
    found = []
    for path in python_files("src"):
        for node in ast.walk(parsed(path)):
            whole = isinstance(node, ast.Import) and any(
                alias.name == "gitkv" for alias in node.names
            )
            parts = (
                isinstance(node, ast.ImportFrom)
                and node.module == "gitkv"
                and {alias.name for alias in node.names} - _packages()
            )
            if whole or parts:
                found.append(place(path, node.lineno))
    assert not found


def _packages() -> set[str]:
    return {path.stem for path in PACKAGE.iterdir()}
