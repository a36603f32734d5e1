"""What a fork must not share: locks that another thread may have held, and pipes to a child whose
answers would go to either process.
"""

from __future__ import annotations

import os
import threading
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol

    class Forked(Protocol):
        """Something that must know when it finds itself in a forked process."""

        def after_fork(self) -> None:
            """Runs in the new process, alone, before anything else does."""


_known: WeakSet[Forked] = WeakSet()


def watch(thing: Forked) -> None:
    """Has `thing.after_fork` called in every process that is forked while it is alive."""
    _known.add(thing)


class ForkLock:
    """A lock between threads that is free in a forked process, whoever held it in the old one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        watch(self)

    def after_fork(self) -> None:
        """Replaces the lock in a child process, where its owner does not exist."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def _tell() -> None:
    for thing in list(_known):
        thing.after_fork()


os.register_at_fork(after_in_child=_tell)
