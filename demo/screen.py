"""What the audience sees: scenes, typed commands, their output shortened, and a check mark for each
thing that was checked.

Colours on a terminal only. Leaves to others: what is run, and what is expected of it.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

_STYLES = {
    "scene": "1;36",
    "who": "1;33",
    "command": "1",
    "output": "2",
    "refusal": "31",
    "good": "32",
    "bad": "1;31",
    "story": "",
}


class Screen:
    """Prints to standard output. `root` is left out of what is shown, so that paths are short and
    the same everywhere.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._coloured = (
            sys.stdout.isatty()
            and "NO_COLOR" not in os.environ
            and os.environ.get("TERM") != "dumb"
        )
        self.width = max(60, min(shutil.get_terminal_size((120, 24)).columns, 140))

    def scene(self, title: str, story: str) -> None:
        """The head of a scene: what is about to happen, and why it matters."""
        self._put("")
        self._put(
            self._painted("scene", f"── {title} " + "─" * max(2, self.width - len(title) - 4))
        )
        for line in textwrap.wrap(story, self.width):
            self._put(line)

    def command(self, who: str, line: str) -> None:
        """A command as a person would type it."""
        self._put(f"  {self._painted('who', who)}$ {self._painted('command', self._short(line))}")

    def output(self, text: str, lines_max: int = 6, style: str = "output") -> None:
        """Real output: its first `lines_max` lines, long ones cut; refusals are wrapped instead,
        every word counts there.
        """
        lines = [line.rstrip() for line in self._short(text).split("\n") if line.strip()]
        shown = lines if len(lines) <= lines_max + 1 else lines[:lines_max]
        for line in shown if lines_max else []:
            for part in self._fitted(line, style):
                self._put(self._painted(style, "    " + part))
        if lines_max and len(lines) > len(shown):
            self._put(self._painted(style, f"    … {len(lines) - len(shown):,} more lines"))

    def check(self, text: str) -> None:
        """Something that was looked at and found as expected."""
        self._put(f"    {self._painted('good', '✓')} {self._short(text)}")

    def say(self, text: str = "", style: str = "story") -> None:
        """A line of its own."""
        self._put(self._painted(style, self._short(text)) if text else "")

    def _fitted(self, line: str, style: str) -> list[str]:
        room = self.width - 4
        if style == "refusal":
            return textwrap.wrap(line, room, subsequent_indent="  ", break_on_hyphens=False)
        return [line if len(line) <= room else line[: room - 1] + "…"]

    def _short(self, text: str) -> str:
        return text.replace(self._root + os.sep, "").replace(self._root, ".")

    def _painted(self, style: str, text: str) -> str:
        return f"\033[{_STYLES[style]}m{text}\033[0m" if self._coloured and _STYLES[style] else text

    def _put(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
