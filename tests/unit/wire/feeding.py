"""The three ways every reader is fed: whole, byte by byte, and with something after the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from gitkv.wire.pkt_line import NEED_DATA, Mark

Value = TypeVar("Value", covariant=True)


class Reader(Protocol[Value]):
    def feed(self, data: bytes, /) -> Value | Mark: ...


def every_way(make: Callable[[], Reader[Value]], data: bytes) -> Iterator[Value]:
    """The values of a reader fed whole, and fed byte by byte; that nothing comes too early is
    checked on the way.
    """
    whole = make().feed(data)
    assert not isinstance(whole, Mark)
    yield whole
    reader = make()
    for at in range(len(data) - 1):
        assert reader.feed(data[at : at + 1]) is NEED_DATA
    last = reader.feed(data[-1:])
    assert not isinstance(last, Mark)
    yield last
