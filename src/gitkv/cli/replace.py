"""A file that is replaced as a whole, or left as it was."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO


class Replacing:
    """Gives a stream; at its end the file holds what was written, or, after an exception, what it
    held before. Its mode stays. Pipes and devices are written to as they are.
    """

    def __init__(self, path: str) -> None:
        self._target = os.path.realpath(path)
        self._draft = ""
        self._stream: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        target = self._target
        if os.path.exists(target) and not os.path.isfile(target):
            self._stream = open(target, "wb")
            return self._stream
        folder, name = os.path.split(target)
        self._draft = os.path.join(folder, f".{name[:200]}.{os.urandom(6).hex()}.tmp")
        self._stream = open(self._draft, "xb")
        if os.path.exists(target):
            os.fchmod(self._stream.fileno(), os.stat(target).st_mode & 0o777)
        return self._stream

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._stream is not None
        try:
            with self._stream as stream:
                if kind is None and self._draft:
                    stream.flush()
                    os.fsync(stream.fileno())
            if kind is None and self._draft:
                os.replace(self._draft, self._target)
        finally:
            if self._draft and os.path.exists(self._draft):
                os.unlink(self._draft)
