"""How far a long command is: one line on a terminal, and silence elsewhere."""

from __future__ import annotations

import sys
from time import monotonic

from gitkv.cli.context import write_stderr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

_EVERY_S = 0.2
_LOOK_EVERY = 256


def counted(items: Iterable[T], what: str) -> Iterator[T]:
    """The items; a terminal is told how many have come by."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield from items
        return
    told_s, number = monotonic(), 0
    try:
        for number, item in enumerate(items, 1):
            if number % _LOOK_EVERY == 0 and monotonic() - told_s > _EVERY_S:
                told_s = monotonic()
                write_stderr(f"\r{number:,} {what}")
            yield item
    finally:
        if number:
            write_stderr("\r\x1b[K")
