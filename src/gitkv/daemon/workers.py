"""Runs the followers beside the server: background audit, mirror, maintenance.

One thread watches the schedule; each follower has a thread of its own, so that a slow one stops no
other. All are started before anything is served: a thread that gets no memory while it starts is
waited for without end. What raises is told once for each cause and tried ever less often. When a
thread ends all the same, the daemon ends: nothing would be published any more, and nobody would
know.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from gitkv.errors import GitKvError, ToolError
from gitkv.gateway.backoff import Backoffs
from gitkv.gateway.followers.follower import Follower, cause_of
from gitkv.model.configuration import DEFAULTS, RetryPauses
from gitkv.model.event import Report

Fail = Callable[[BaseException], None]
Work = Callable[[str], None]  # on the follower of this name


class Schedule:
    """Which follower is to step when, by name. Knows no clock and no thread: `now_s` is given.

    `is_woken`: for each follower, whether moves wake it. A move wakes whoever waits for its time,
    makes whoever steps step once more, and does not shorten the pause after a failure.
    """

    def __init__(self, is_woken: Mapping[str, bool]) -> None:
        self._is_woken = dict(is_woken)
        self._due_s = dict.fromkeys(is_woken, float("-inf"))
        self.stepping: set[str] = set()
        self._again: set[str] = set()
        self._paused: set[str] = set()

    def take(self, now_s: float) -> list[str]:
        """Those that are to step now; each counts as stepping until it is `done`."""
        found = [
            name
            for name, due_s in self._due_s.items()
            if due_s <= now_s and name not in self.stepping
        ]
        self.stepping.update(found)
        self._paused.difference_update(found)
        return found

    def done(self, name: str, now_s: float, wait_s: float, *, failed: bool = False) -> None:
        """The follower has stepped, and asks for the next step after `wait_s`."""
        self.stepping.discard(name)
        if failed:
            self._paused.add(name)
        is_again = name in self._again and not failed
        self._again.discard(name)
        self._due_s[name] = now_s if is_again else now_s + wait_s

    def moved(self, now_s: float) -> None:
        """Refs have moved."""
        for name, is_woken in self._is_woken.items():
            if not is_woken or name in self._paused:
                continue
            if name in self.stepping:
                self._again.add(name)
            else:
                self._due_s[name] = min(self._due_s[name], now_s)

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the next is due; None while all of them step."""
        waiting = [due for name, due in self._due_s.items() if name not in self.stepping]
        return max(0.0, min(waiting) - now_s) if waiting else None


class Workers:
    """`fail` hears of a thread that has ended without being asked to."""

    def __init__(
        self,
        followers: Sequence[Follower],
        report: Report,
        fail: Fail,
        now_s: Callable[[], float] = time.monotonic,
        retry: RetryPauses = DEFAULTS.retry,
    ) -> None:
        self._report = report
        self._followers = {follower.name: follower for follower in followers}
        self._fail = fail
        self._now_s = now_s
        self._backoffs = Backoffs(now_s, pauses=retry)
        self._schedule = Schedule({entry.name: entry.is_woken for entry in followers})
        self._changed = threading.Condition()  # guards the schedule and what follows
        self._orders: dict[str, Work] = {}  # what a follower's thread is to do next
        self._running = 0
        self._dead: set[str] = set()
        self._is_stopping = False
        # No thread is waited for at exit: `ending` has bounded them.
        self._watch = threading.Thread(target=self._watch_schedule, name="followers", daemon=True)
        self._threads = [
            threading.Thread(target=self._follow_orders, args=(name,), name=name, daemon=True)
            for name in self._followers
        ]

    def start(self) -> None:
        for thread in (*self._threads, self._watch):
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Lets every follower end its step and do its last. Harmless when they were not started."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._watch.ident is not None:
            deadline_s = time.monotonic() + timeout_s
            self._watch.join(timeout_s)
            with self._changed:
                self._changed.wait_for(
                    lambda: self._running == 0, max(0.0, deadline_s - time.monotonic())
                )

    def wake(self) -> None:
        """Refs have moved: who is woken by that steps at once."""
        with self._changed:
            self._schedule.moved(self._now_s())
            self._changed.notify_all()

    def _watch_schedule(self) -> None:
        try:
            with self._changed:
                while not self._is_stopping:
                    for name in self._schedule.take(self._now_s()):
                        self._hand_out(name, self._step)
                    self._changed.wait(self._schedule.wait_s(self._now_s()))
                left = set(self._followers)
                while left:
                    for name in sorted(left - self._schedule.stepping):
                        left.remove(name)
                        self._hand_out(name, self._finish)
                    left -= self._dead
                    if left:
                        self._changed.wait()
        except BaseException as error:
            self._died("schedule", error)

    def _hand_out(self, name: str, work: Work) -> None:
        """To the follower's thread; to be called with `_changed` held."""
        self._orders[name] = work
        self._running += 1
        self._changed.notify_all()

    def _follow_orders(self, name: str) -> None:
        work: Work | None = None
        while work != self._finish:
            with self._changed:
                self._changed.wait_for(lambda: name in self._orders)
                work = self._orders.pop(name)
            try:
                work(name)
            except BaseException as error:  # nothing that a worker can go on after
                self._died(name, error)
                return
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def _died(self, name: str, error: BaseException) -> None:
        self._dead.add(name)
        self._fail(ToolError(f"the {name} worker died: {type(error).__name__}: {error}"))

    def _step(self, name: str) -> None:
        try:
            wait_s, failed = self._followers[name].step(), False
        except Exception as error:
            self._tell(name, error)
            wait_s, failed = self._backoffs.left_s(name), True
        else:
            if self._backoffs.succeeded(name):
                self._report(self._followers[name].recovered())
        with self._changed:
            self._schedule.done(name, self._now_s(), wait_s, failed=failed)

    def _finish(self, name: str) -> None:
        if not self._backoffs.failures(name):
            try:
                self._followers[name].finish()
            except Exception as error:
                self._tell(name, error)

    def _tell(self, name: str, error: Exception) -> None:
        detail = cause_of(error)
        if self._backoffs.failed(name, detail):
            hint = error.hint if isinstance(error, GitKvError) else ""
            self._report(self._followers[name].failed(detail, hint))
