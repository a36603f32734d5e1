"""How a command ends when it is told to: one exception, nothing half-done, no child left.

Only a program installs this (`install`); in a library the handlers are the caller's. Python may
raise an interruption between any two steps, also between a child's start and the moment somebody
holds it: so starting and reaping are shielded, and every child is noted until it is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """SIGTERM or SIGHUP: the program tidies up, then ends by that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _State:
    """Of the one program that this process is. `over`: an interruption is under way already, or
    there is nothing left to interrupt.
    """

    installed = False
    over = False
    shields = 0
    pending = 0


_children: list[subprocess.Popen[bytes]] = []


class Shield:
    """A context within which no interruption is raised; it comes at the context's end."""

    def __enter__(self) -> None:
        _State.shields += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _State.shields -= 1
        if _State.pending and not _State.shields:
            number, _State.pending = _State.pending, 0
            _raise(number)


class Theirs:
    """A context within which an interruption is not ours: a child has the terminal, an editor or a
    pager, and does with Ctrl-C what it likes. Does nothing in other threads than the first.
    """

    def __enter__(self) -> None:
        self._before: object = None
        with suppress(ValueError):
            # a function: what is ignored here would be ignored in the child, too
            self._before = signal.signal(signal.SIGINT, _leave_it)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if callable(self._before) or isinstance(self._before, int):
            signal.signal(signal.SIGINT, self._before)


def _leave_it(number: int, frame: FrameType | None) -> None:
    return


def install() -> None:
    """Takes over SIGINT, SIGTERM and SIGHUP; what the caller ignores (nohup) stays ignored."""
    _State.installed = True
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _told)
    sys.unraisablehook = _unraisable


def release() -> None:
    """Python's own handling again, for a program that has its own way to end."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def note(child: subprocess.Popen[bytes]) -> None:
    """Remembers a child until it is gone; in a library the caller's own care has to do."""
    if _State.installed:
        _children[:] = [known for known in _children if known.returncode is None]
        _children.append(child)


def no_more() -> None:
    """From here on nothing interrupts: there is nothing left to stop."""
    _State.over = True


def bar() -> None:
    """Keeps signals out until the process has ended: Python's own end puts its handlers away."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def children() -> list[subprocess.Popen[bytes]]:
    """Those that have not been reaped."""
    return [child for child in _children if child.returncode is None]


def end_by(number: int) -> None:
    """Ends this process by the signal, as its caller expects to see."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _told(number: int, frame: FrameType | None) -> None:
    if _State.over:
        return
    if _State.shields:
        _State.pending = number
    else:
        _raise(number)


def _raise(number: int) -> None:
    _State.over = True
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Ended(number)


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """An interruption that came in a place where Python cannot raise is told again."""
    number = (
        lost.exc_value.number
        if isinstance(lost.exc_value, Ended)
        else signal.SIGINT * issubclass(lost.exc_type, KeyboardInterrupt)
    )
    if not number:
        sys.__unraisablehook__(lost)
        return
    _State.over = False
    os.kill(os.getpid(), number)
