"""A value as a binary file: it can be sought in, and only what is read is fetched."""

from __future__ import annotations

import io
from typing import Any

from gitkv.reading.answers import Readable

BUFFER_BYTES = 1 << 20
_AHEAD_BYTES_MAX = 256 << 20


def open_content(content: Readable) -> io.BufferedReader:
    """A file over the content, at its start. What it reads is proved, or IntegrityError."""
    return io.BufferedReader(_Raw(content), BUFFER_BYTES)


class _Raw(io.RawIOBase):
    """Who reads on from where the last reading ended will read on further: more is fetched at
    once, twice as much each time.
    """

    def __init__(self, content: Readable) -> None:
        self._content = content
        self._at = self._fetched = 0
        self._ahead = BUFFER_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Where the next reading begins; after the end there is nothing to read."""
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence: expected 0, 1 or 2, got {whence}")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative place in a value: {base + offset}")
        if base + offset != self._at:
            self._ahead, self._fetched = BUFFER_BYTES, 0
        self._at = base + offset
        return self._at

    def readinto(self, room: Any) -> int:
        if self.closed:
            raise ValueError("the file is closed")
        view = memoryview(room).cast("B")
        stop = min(self._at + len(view), self._content.size)
        if self._at >= stop:
            return 0
        self._fetch(stop)
        count = 0
        for piece in self._content.pieces(self._at, stop):
            view[count : count + len(piece)] = piece
            count += len(piece)
        self._at = stop
        return count

    def _fetch(self, stop: int) -> None:
        bring = getattr(self._content, "bring", None)
        if bring is None or stop <= self._fetched:
            return
        self._fetched = max(stop, self._at + self._ahead)
        self._ahead = min(self._ahead * 2, _AHEAD_BYTES_MAX)
        bring(self._at, self._fetched)
