"""Names that say nothing, and words that promise work instead of doing it."""

from __future__ import annotations

import ast
import re

from house.project import CODE_FOLDERS, ROOT, parsed, place, python_files, text_files

EMPTY_WORDS = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "base", "misc"})
PROMISES = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")


def _words(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def test_no_module_or_folder_has_an_empty_name() -> None:
    parts = {
        part for path in python_files() for part in path.relative_to(ROOT).with_suffix("").parts
    }
    assert not [part for part in parts if _words(part) & EMPTY_WORDS]


def test_no_class_has_an_empty_name() -> None:
    found = [
        f"{place(path, node.lineno)} {node.name}"
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and _words(node.name) & EMPTY_WORDS
    ]
    assert not found


def test_no_file_promises_work_for_later() -> None:
    found = [
        place(path, number)
        for path, text in text_files()
        if path.relative_to(ROOT).parts[0] in CODE_FOLDERS
        for number, line in enumerate(text.split("\n"), 1)
        if PROMISES.search(line)
    ]
    assert not found
