"""Values on their way in: bytes that are held, or a content that is read piece by piece.

Where a content lies, in a file or a pipe, is left to whoever may touch it (`client/content.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

CTYPE = re.compile(r"[ -~]{1,127}")
PIECE_BYTES = 1 << 20


@runtime_checkable
class Content(Protocol):
    """A value that need not fit into memory."""

    @property
    def size(self) -> int | None:
        """Its bytes; None when that is known only after it was read."""

    def pieces(self) -> Iterator[bytes]:
        """All of it from its start, in pieces of at most PIECE_BYTES; as often as needed, and the
        same every time. Raises OSError, ToolError when it has changed.
        """


class BytesContent:
    """A content that is held in memory."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self._value)

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to `stop` (None: the end)."""
        end = len(self._value) if stop is None else min(stop, len(self._value))
        for at in range(start, end, PIECE_BYTES):
            yield self._value[at : min(at + PIECE_BYTES, end)]


class Put(NamedTuple):
    """A value to set, as its writer has it. `expires`: seconds since 1970, 0 for never."""

    value: bytes | Content
    ctype: str = ""
    expires: int = 0
