"""How far a long command is: one line on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
import time

from gitkv.cli.context import write_stderr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from gitkv.cli.context import Context
    from gitkv.model.content import Content

    T = TypeVar("T")

SHOWN_FROM_BYTES = 8 << 20
_EVERY_S = 0.2
_LOOK_EVERY = 256  # items that are counted between two looks at the clock
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def is_shown(context: Context) -> bool:
    """Whether a person looks at standard error, and asked for words."""
    return not context.json and _is_watched()


def _is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


class Progress:
    """Counts bytes, and says so a few times a second. `total`: None where nobody knows it."""

    def __init__(
        self, verb: str, total: int | None, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._verb, self._total, self._now_s = verb, total, monotonic_s
        self._began_s = self._said_s = monotonic_s()
        self._done = self._width = 0

    def add(self, count: int) -> None:
        """`count` bytes more are done."""
        self._done += count
        now_s = self._now_s()
        if now_s - self._said_s >= _EVERY_S and (self._total or self._done) >= SHOWN_FROM_BYTES:
            self._said_s = now_s
            self._say(self._line(now_s - self._began_s))

    def end(self) -> None:
        """Takes the line away."""
        if self._width:
            self._say("")
            write_stderr("\r")

    def _line(self, passed_s: float) -> str:
        rate = self._done / passed_s if passed_s > 0 else 0.0
        line = f"{self._verb} {size(self._done)}"
        if self._total:
            line += f" of {size(self._total)}, {100 * self._done // self._total}%"
        line += f", {size(int(rate))}/s"
        if self._total and rate:
            line += f", {_time((self._total - self._done) / rate)} left"
        return line

    def _say(self, line: str) -> None:
        write_stderr("\r" + line.ljust(self._width))
        self._width = len(line)


class WatchedContent:
    """A content whose reading is shown."""

    def __init__(self, content: Content, verb: str) -> None:
        self._content, self._verb = content, verb

    @property
    def size(self) -> int | None:
        """As the content's."""
        return self._content.size

    def pieces(self) -> Iterator[bytes]:
        """As the content's."""
        return watched(self._content.pieces(), Progress(self._verb, self.size))


def watched(pieces: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    """The same pieces, counted."""
    try:
        for piece in pieces:
            progress.add(len(piece))
            yield piece
    finally:
        progress.end()


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """The items; a terminal is told how many have come by."""
    if not _is_watched():
        yield from items
        return
    said_s, number = time.monotonic(), 0
    try:
        for number, item in enumerate(items, 1):
            if number % _LOOK_EVERY == 0 and time.monotonic() - said_s > _EVERY_S:
                said_s = time.monotonic()
                write_stderr(f"\r{number:,} {what}")
            yield item
    finally:
        if number:
            write_stderr("\r\x1b[K")


def size(count: int) -> str:
    """`1.5 GiB`: bytes for people."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
