"""Commands in settings: git hands them to a shell, we do not."""

from __future__ import annotations

from gitkv.errors import ToolError
from gitkv.model.verdict import printable

_SHELL = frozenset("|&;<>()$`*?[#!{}\n")


def split_command(command: str, what: str) -> list[str]:
    """The words of a command, unquoted as a shell would. Raises ToolError for one that only a shell
    understands.
    """
    from shlex import split

    try:
        words = split(command)
    except ValueError:
        words = []
    if not words or _SHELL.intersection(command):
        raise ToolError(
            f"{what} {printable(command)}: expected a program and its arguments",
            hint="git-kv starts it without a shell: put what needs one into a script",
        )
    return words
