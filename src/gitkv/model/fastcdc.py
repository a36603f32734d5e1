"""The one door to the FastCDC implementation, `pyfastcdc` (the 2020 algorithm of Xia et al.).

It is young, and falls back to pure Python, a hundred times slower, without a word: only the
compiled class is taken. That its boundaries stay what they are is held by golden vectors
(`tests/vectors/format/chunks.json`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitkv.errors import ToolError
from gitkv.model.chunking import Chunking


class _Stream:
    """Pieces as the stream that the library reads."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")

    def readinto(self, room: memoryview) -> int:
        """Fills as much of `room` as one piece does; 0 at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(room), len(self._left))
        room[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def cut_by_content(
    pieces: Iterable[bytes | memoryview], chunking: Chunking
) -> Iterator[memoryview]:
    """The chunks, in order; each view is good until the next is asked for. Holds twice the largest
    chunk. Raises ToolError when the compiled library is missing.
    """
    from pyfastcdc import FastCDC  # of no use to whoever reads a small value

    if not FastCDC.__module__.startswith("pyfastcdc.cy"):
        raise ToolError(
            "pyfastcdc: expected its compiled form, got the one in pure Python",
            hint="install a wheel of it, or a C compiler first and it again",
        )
    cutter = FastCDC(
        chunking.average_bytes, min_size=chunking.min_bytes, max_size=chunking.max_bytes
    )
    for chunk in cutter.cut_stream(_Stream(pieces)):
        yield chunk.data
