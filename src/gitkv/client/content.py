"""Contents that lie in files and pipes. A pipe can be read once: what is long of it is spooled to a
file without a name, so that it can be read again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from stat import S_ISREG

from gitkv.errors import ToolError, UsageError
from gitkv.git.pack import unlinked_file
from gitkv.model.content import PIECE_BYTES, Content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Readable(Protocol):
        """What can be read from: an open file, a pipe."""

        def read(self, bytes_max: int, /) -> bytes: ...

    Given = bytes | Content | os.PathLike[str] | Readable

HELD_BYTES_MAX = 1 << 20  # what is not longer is held in memory


class FileContent:
    """A regular file, by its path. It must not change between two readings, or while it is read."""

    def __init__(self, path: str) -> None:
        """Raises OSError when it is not there, UsageError when it is not a regular file."""
        self._path = path
        found = os.stat(path)
        self._seen = self._look(found)
        if not S_ISREG(found.st_mode):
            raise UsageError(f"{path}: expected a regular file")

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._seen[0]

    def pieces(self) -> Iterator[bytes]:
        """As in Content. Raises ToolError when it is not the file that it was."""
        with open(self._path, "rb", buffering=0) as file:
            self._check(file.fileno())
            left = self.size
            while left:
                piece = file.read(min(left, PIECE_BYTES))
                if not piece:
                    break
                left -= len(piece)
                yield piece
            self._check(file.fileno())

    def _check(self, fd: int) -> None:
        if self._look(os.fstat(fd)) != self._seen:
            raise ToolError(f"{self._path} was changed while it was read", hint="try again")

    @staticmethod
    def _look(found: os.stat_result) -> tuple[int, int, int, int]:
        return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


class SpooledContent:
    """What came through a pipe, in an unlinked file; `close` gives its room back, and so does the
    end of the object.
    """

    def __init__(self, head: bytes, stream: Readable, spool_dir: str) -> None:
        """Reads `stream` to its end; `head` was read from it before. Raises OSError."""
        self._size = 0
        self._file = unlinked_file(spool_dir)
        try:
            self._write(head)
            while piece := stream.read(PIECE_BYTES):
                self._write(piece)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._size

    def pieces(self) -> Iterator[bytes]:
        """As in Content."""
        at = 0
        while piece := os.pread(self._file, PIECE_BYTES, at):
            at += len(piece)
            yield piece

    def close(self) -> None:
        """Removes the file; may be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            self.close()

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        self._size += len(view)
        while view:
            view = view[os.write(self._file, view) :]


def content_of(source: Given, spool_dir: str, what: str) -> bytes | Content:
    """What a caller gave as a value: itself when it is bytes or a content, else of the file of that
    path, or of the stream from where it stands. `what`: for messages. Raises OSError, UsageError
    for another type.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, os.PathLike):
        return content_of_file(os.fspath(source), spool_dir, what)
    if isinstance(source, Content):
        return source
    if hasattr(source, "read"):
        return content_of_stream(source, spool_dir, what)
    raise UsageError(
        f"{what}: expected bytes, a path, a binary file or a content, got {type(source).__name__}"
    )


def content_of_file(path: str, spool_dir: str, what: str) -> bytes | Content:
    """The bytes of a short file, else a content. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        if S_ISREG(found.st_mode) and found.st_size > HELD_BYTES_MAX:
            return FileContent(path)
        return content_of_stream(file, spool_dir, what)


def content_of_stream(stream: Readable, spool_dir: str, what: str) -> bytes | Content:
    """The bytes of a short stream, else a content, spooled in `spool_dir`. Raises OSError, and
    UsageError for a stream of text.
    """
    parts, left = [], HELD_BYTES_MAX + 1
    while left and (piece := stream.read(left)):
        if not isinstance(piece, bytes):
            raise UsageError(f"{what}: expected a file opened in binary mode")
        parts.append(piece)
        left -= len(piece)
    head = b"".join(parts)
    if len(head) <= HELD_BYTES_MAX:
        return head
    return SpooledContent(head, stream, spool_dir)
