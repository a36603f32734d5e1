"""Puts the manual pages into the wheel: made from what `git kv COMMAND -h` is made from, and
installed where `man` looks for the pages of a program on the PATH.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface):  # type: ignore[type-arg]
    """Runs when a wheel is built, an editable one included."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, str(Path(self.root, "src")))
        try:
            from gitkv.cli.man_pages import pages
        finally:
            del sys.path[0]
        folder = Path(self.directory, "man")
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in pages():
            (folder / name).write_text(page)
            build_data["shared_data"][str(folder / name)] = f"share/man/man1/{name}"
