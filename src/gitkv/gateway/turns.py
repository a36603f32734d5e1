"""Who writes next: one turn at a time in each namespace, first come, first served.

A push that is built on a tip which moves before it arrives is work for nothing. So a writer asks
for a turn, is told the tip when it is next, and nobody else moves it until the turn ends. A turn
is no lock: whoever holds it may lose it by stalling, and a push is judged on the tip of its moment
with or without one. For use in one thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from gitkv.model.refs import Namespace

PENALTY_S = 60.0  # for so long a principal that let a turn run out waits among the late
LATE_EVERY = 8  # one turn in so many goes to the late, however many others wait


class Turn:
    """One writer's place in a namespace, from `join` to `end`; `granted` is called when it is
    next.
    """

    def __init__(self, ns: Namespace, who: str, granted: Callable[[], None]) -> None:
        self.ns = ns
        self.who = who
        self.granted = granted
        self.is_held = False


class _Line:
    """The writers of one namespace."""

    def __init__(self) -> None:
        self.holder: Turn | None = None
        self.prompt: deque[Turn] = deque()
        self.late: deque[Turn] = deque()
        self._in_a_row = 0  # turns of the prompt since one of the late

    def next(self) -> Turn | None:
        """Takes out the one whose turn it is."""
        if self.late and (not self.prompt or self._in_a_row >= LATE_EVERY - 1):
            self._in_a_row = 0
            return self.late.popleft()
        self._in_a_row += 1
        return self.prompt.popleft() if self.prompt else None

    def before(self, turn: Turn) -> int:
        """How many are before one that waits, as far as it can be told."""
        queue = self.prompt if turn in self.prompt else [*self.prompt, *self.late]
        return list(queue).index(turn) + (self.holder is not None)


class Turns:
    """The turns of all namespaces."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._lines: dict[Namespace, _Line] = {}
        self._late_until_s: dict[str, float] = {}
        self.arriving = 0  # writers that know the tip and have not said yet where they write

    def join(self, ns: Namespace, who: str, granted: Callable[[], None]) -> Turn:
        """A place at the end of the queue. When nobody is before it, `granted` is called at
        once.
        """
        turn = Turn(ns, who, granted)
        line = self._lines.setdefault(ns, _Line())
        (line.late if self._is_late(who) else line.prompt).append(turn)
        self._grant(ns, line)
        return turn

    def end(self, turn: Turn, *, stalled: bool = False) -> None:
        """Ends a turn, or gives up a place in the queue; harmless when done before. `stalled`: it
        was held and nothing came of it in time.
        """
        line = self._lines.get(turn.ns)
        if line is None:
            return
        if line.holder is turn:
            line.holder, turn.is_held = None, False
            if stalled:
                self._late_until_s[turn.who] = self._monotonic_s() + PENALTY_S
        for queue in (line.prompt, line.late):
            if turn in queue:
                queue.remove(turn)
        self._grant(turn.ns, line)

    def before(self, turn: Turn) -> int:
        """How many writers are before one that waits; 0 when it holds the turn or gave it up."""
        line = self._lines.get(turn.ns)
        if line is None or turn not in [*line.prompt, *line.late]:
            return 0
        return line.before(turn)

    def busy(self) -> list[Namespace]:
        """The namespaces in which somebody holds a turn, sorted."""
        return sorted(self._lines)

    def _grant(self, ns: Namespace, line: _Line) -> None:
        if line.holder is not None:
            return
        turn = line.next()
        if turn is None:
            del self._lines[ns]
            return
        line.holder, turn.is_held = turn, True
        turn.granted()

    def _is_late(self, who: str) -> bool:
        until_s = self._late_until_s.get(who)
        if until_s is None:
            return False
        if until_s > self._monotonic_s():
            return True
        del self._late_until_s[who]
        return False
