"""A guard for tests that touch nothing but memory: who starts a process, opens a socket or changes
a file fails with a sentence that says so. Reading files is no breach.

Python itself reports such deeds, to a hook that cannot be taken out again: no import, no library
and no thread goes around it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROCESSES = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
}
_FILES = {
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "shutil.rmtree",
    "tempfile.mkdtemp",
    "tempfile.mkstemp",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# What Python and hypothesis keep for themselves; no test asked for it.
_NOT_OF_THE_TEST = ("__pycache__", ".hypothesis", os.devnull)


class TouchedTheWorldError(RuntimeError):
    """A test that is to touch nothing but memory did something else."""


class Guard:
    """`closed()`: breaches raise and are counted. `open()`: they pass, for what is set up once for
    all tests. One for the whole process: threads are watched as well.
    """

    def __init__(self) -> None:
        self._is_closed = False
        self._breaches: list[str] = []
        sys.addaudithook(self._see)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Raises TouchedTheWorldError at the end as well, should the test have swallowed it."""
        self._breaches.clear()
        with self._set(True):
            yield
        if self._breaches:
            raise TouchedTheWorldError(self._breaches[0])

    @contextmanager
    def open(self) -> Iterator[None]:
        with self._set(False):
            yield

    @contextmanager
    def _set(self, is_closed: bool) -> Iterator[None]:
        before, self._is_closed = self._is_closed, is_closed
        try:
            yield
        finally:
            self._is_closed = before

    def _see(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_closed and (deed := _breach(event, arguments)):
            self._breaches.append(
                f"a unit test {deed}: unit tests touch nothing but memory; what needs more"
                " belongs in tests/contracts, tests/journeys or tests/faults"
            )
            raise TouchedTheWorldError(self._breaches[-1])


def _breach(event: str, arguments: tuple[object, ...]) -> str:
    """What was done, or "" when it is none of our business."""
    if event in _PROCESSES:
        return f"started a process ({event}: {arguments[0] if arguments else 'itself'!r})"
    if event.startswith("socket."):
        # asyncio wakes itself through a pair of sockets that leads nowhere else.
        in_memory = event == "socket.__new__" and arguments[1] == socket.AF_UNIX
        return "" if in_memory else f"opened or used a socket ({event})"
    if event == "open":
        path, _, flags = arguments
        # Whoever opened a descriptor was seen then, and that of a pipe is no file.
        is_change = isinstance(flags, int) and flags & _WRITING and not isinstance(path, int)
        return f"opened {path!r} for writing" if is_change and not _is_excused(path) else ""
    if event in _FILES:
        is_change = not any(_is_excused(argument) for argument in arguments)
        return f"changed a file ({event}: {arguments[0]!r})" if is_change else ""
    return ""


def _is_excused(path: object) -> bool:
    text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    return any(part in text for part in _NOT_OF_THE_TEST)
