"""The commands of a documentation page, run as they are printed.

A page's code blocks are taken in order; what a page uses as an example place (a host, a directory)
is replaced by a place of the test's. A story that leaves a block out fails, so no printed command
goes untried.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gitkv.testing.world import Done, run

ROOT = Path(__file__).resolve().parents[2]
SHELL_LANGUAGES = ("", "sh", "console")


class Block(NamedTuple):
    """A code block: its language ("" when indented), the heading above it, its text."""

    language: str
    heading: str
    text: str

    @property
    def is_commands(self) -> bool:
        return self.language in SHELL_LANGUAGES


def blocks_of(path: str) -> list[Block]:
    """The code blocks of a page, in order; `path` counts from the project's root."""
    found: list[Block] = []
    heading, language, body = "", None, ""
    before = ""
    for line in [*(ROOT / path).read_text().split("\n"), "#"]:
        if language is None and line.startswith("```"):
            language, body = line.removeprefix("```") or "text", ""
        elif language and line == "```":
            found.append(Block(language, heading, body))
            language = None
        elif language == "" and not line.startswith("    ") and line:
            found.append(Block("", heading, body.rstrip("\n") + "\n"))
            language = None
        elif language is None and line.startswith("    ") and (not before or before[0] == "#"):
            language, body = "", line[4:] + "\n"
        elif language is not None:
            body += (line if language else line[4:]) + "\n"
        if language is None and line.startswith("#"):
            heading = line.lstrip("# ")
        before = line
    return found


class Page:
    """One page on its way through a test: blocks are taken in order, `finish` says none is left."""

    def __init__(self, path: str, places: Mapping[str, str]) -> None:
        self._path = path
        self._blocks = [block for block in blocks_of(path) if block.is_commands]
        self._places = dict(sorted(places.items(), key=lambda place: -len(place[0])))

    def take(self, heading: str) -> str:
        """The next block, which must stand under `heading`, with our places in it."""
        block = self._blocks.pop(0)
        assert block.heading == heading, f"{self._path}: {block.heading!r} comes before {heading!r}"
        return self.ours(block.text)

    def ours(self, text: str) -> str:
        """`text` with the example places replaced."""
        for example, place in self._places.items():
            text = text.replace(example, place)
        return text

    def finish(self) -> None:
        assert not self._blocks, f"{self._path}: not tried: {self._blocks}"


class Shell:
    """A person's shell: each block is one bash script; where it ends is where the next begins."""

    def __init__(self, env: Mapping[str, str], cwd: Path) -> None:
        self.env, self.cwd = dict(env), cwd

    def run(self, script: str, *, stdin: bytes = b"", check: bool = True) -> Done:
        """Every command must succeed, the parts of pipes too."""
        after = self.cwd / ".directory-after"
        script += f"\npwd > {after}\n"
        done = run(["bash", "-euo", "pipefail", "-c", script], self.env, self.cwd, stdin, check)
        if after.exists():
            self.cwd = Path(after.read_text().rstrip("\n"))
            after.unlink()
        return done
