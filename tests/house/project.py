"""What the laws of the house look at: the project's own files, found by folder so that a copy
without `.git` is checked as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "gitkv"
CODE_FOLDERS = ("src", "tests", "tools", "demo", "bench")
FOLDERS = (*CODE_FOLDERS, "docs", "deploy", ".ci")
_GENERATED = {"__pycache__", "node_modules"}
_BINARY = {".png", ".pack", ".bin", ".bundle", ".pyc", ".gz"}


def python_files(*folders: str) -> list[Path]:
    """The project's Python files below these folders, by default all of them."""
    found = [path for folder in folders or CODE_FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if not _GENERATED & set(path.parts))


def text_files() -> Iterator[tuple[Path, str]]:
    """Every text file of the project with its text."""
    files = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    files += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted(files):
        if path.suffix not in _BINARY and not _GENERATED & set(path.parts):
            try:
                yield path, path.read_text("utf-8")
            except UnicodeDecodeError:
                continue


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"
