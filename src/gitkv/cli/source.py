"""Where values come from: a file, or standard input. What is short is read at once, and costs no
more than that; what is long is handed on to be read piece by piece.
"""

from __future__ import annotations

import os
import sys

from gitkv.errors import ToolError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from gitkv.cli.context import Context
    from gitkv.client.content import Readable
    from gitkv.model.content import Content

HELD_BYTES_MAX = 1 << 20  # longer ones are not held


def read_value(name: str, context: Context) -> bytes | Content | Readable:
    """All bytes of a short file, or of standard input for `-`; what a store can read a long one
    from. Raises OSError.
    """
    return _of_stream(stdin()) if name == "-" else _of_file(context.path(name))


def read_whole(name: str, context: Context) -> bytes:
    """All bytes of the file, or of standard input for `-`. Raises OSError."""
    if name == "-":
        return stdin().read()
    with open(context.path(name), "rb") as stream:
        return stream.read()


def held_or_content(path: str) -> bytes | Content:
    """As `read_value` of a file; a long one that is not regular is read whole. Raises OSError."""
    found = _of_file(path)
    return found.read(-1) if isinstance(found, Resumed) else found


def shown(value: bytes | Content, context: Context) -> bytes | Content:
    """The same; how far its reading is, is shown to a person."""
    if isinstance(value, bytes):
        return value
    from gitkv.cli.progress import WatchedContent, is_shown

    return WatchedContent(value, "stored") if is_shown(context) else value


class Resumed:
    """A stream of which something was read: that comes first."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def read(self, bytes_max: int, /) -> bytes:
        """The next bytes, up to `bytes_max`; all for a negative one, b"" at the end."""
        head, self._head = self._head, b""
        if bytes_max < 0:
            return head + self._rest.read()
        if head:
            head, self._head = head[:bytes_max], head[bytes_max:]
            return head
        return self._rest.read(bytes_max)


def _of_file(path: str) -> bytes | Content | Resumed:
    from stat import S_ISREG

    stream = open(path, "rb")  # noqa: SIM115 - a long pipe is read on
    found = os.fstat(stream.fileno())
    if not S_ISREG(found.st_mode):
        return _of_stream(stream)
    with stream:
        if found.st_size <= HELD_BYTES_MAX:
            return stream.read()
    from gitkv.client.content import FileContent

    return FileContent(path)


def _of_stream(stream: BinaryIO) -> bytes | Resumed:
    head = stream.read(HELD_BYTES_MAX + 1)
    return head if len(head) <= HELD_BYTES_MAX else Resumed(head, stream)


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
