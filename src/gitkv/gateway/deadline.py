"""A bound on how long one push is judged: nobody's push keeps a thread for ever, whatever in it is
slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from gitkv.errors import GitKvError
from gitkv.model.configuration import DEFAULTS
from gitkv.model.oid import Oid
from gitkv.ports import ObjectStore

Monotonic = Callable[[], float]  # seconds since some moment


class JudgedTooLongError(GitKvError):
    """The time for judging a push is over; the push asks for too much."""

    exit_code = 3


class TimedObjects:
    """ObjectStore whose every answer raises JudgedTooLongError once the time is over: all that a
    judgement does, it does between two reads.
    """

    def __init__(
        self,
        objects: ObjectStore,
        *,
        seconds: float = DEFAULTS.push.judging_s,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._objects = objects
        self._seconds = seconds
        self._monotonic = monotonic
        self._until = monotonic() + seconds

    def read(self, oid: Oid, kind: bytes) -> bytes:
        self._check()
        return self._objects.read(oid, kind)

    def read_many(self, oids: Iterable[Oid], kind: bytes) -> Iterator[bytes]:
        for body in self._objects.read_many(oids, kind):
            self._check()
            yield body

    def read_pieces(self, oid: Oid, kind: bytes) -> Iterator[bytes]:
        for piece in self._objects.read_pieces(oid, kind):
            self._check()
            yield piece

    def sizes(self, oids: Iterable[Oid]) -> Iterator[int]:
        for size in self._objects.sizes(oids):
            self._check()
            yield size

    def kinds(self, oids: Iterable[Oid]) -> Iterator[bytes | None]:
        for kind in self._objects.kinds(oids):
            self._check()
            yield kind

    def has(self, oid: Oid) -> bool:
        self._check()
        return self._objects.has(oid)

    def expand(self, abbreviation: str) -> Oid | None:
        self._check()
        return self._objects.expand(abbreviation)

    def _check(self) -> None:
        if self._monotonic() > self._until:
            raise JudgedTooLongError(f"it was not judged within {self._seconds:g} s")
