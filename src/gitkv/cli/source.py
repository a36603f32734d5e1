"""Where values come from: a file, or standard input."""

from __future__ import annotations

import sys

from gitkv.errors import ToolError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from gitkv.cli.context import Context


def read_value(name: str, context: Context) -> bytes:
    """All bytes of the file, or of standard input for `-`. Raises OSError."""
    if name == "-":
        return stdin().read()
    with open(context.path(name), "rb") as stream:
        return stream.read()


def stdin() -> BinaryIO:
    """Standard input in bytes. Raises UsageError when a person sits there, who may not know what is
    waited for.
    """
    if sys.stdin is None:
        raise ToolError("standard input is closed")
    if sys.stdin.isatty():
        raise UsageError(
            "standard input is a terminal", hint="pipe the data in, or name a file with --file"
        )
    return sys.stdin.buffer
