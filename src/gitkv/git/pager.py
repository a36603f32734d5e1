"""The pager that git would start, for what a command prints on a terminal. Not through a shell: a
setting that needs one is refused.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress

from gitkv.git.process import end_process
from gitkv.git.signals import Shield, Theirs, note
from gitkv.git.words import split_command

_DEFAULTS = {"LESS": "FRX", "LV": "-c"}  # as git sets them where the person has not


def pager_command(setting: str, env: Mapping[str, str]) -> str:
    """The command that git would page with; "" for none. `setting`: core.pager, "" if not set."""
    for command in (env.get("GIT_PAGER"), setting or None, env.get("PAGER"), "less"):
        if command is not None:
            return "" if command.strip() == "cat" else command.strip()
    return ""


class Pager:
    """A running pager; write to `pipe`, then `finish`."""

    def __init__(self, command: str, env: Mapping[str, str]) -> None:
        """Raises ToolError for a command that only a shell understands, OSError when it does not
        start.
        """
        words = split_command(command, "the pager")
        with Shield():
            self._child = subprocess.Popen(words, env={**_DEFAULTS, **env}, stdin=subprocess.PIPE)
            note(self._child)
        assert self._child.stdin is not None
        self.pipe = self._child.stdin

    def finish(self) -> None:
        """Ends the output, and waits until the person has read it: an interruption is the pager's
        to answer, and it must not be left behind on the terminal.
        """
        with suppress(OSError):  # it has gone before everything was written
            self.pipe.close()
        with Theirs():
            self._child.wait()
        end_process(self._child)
