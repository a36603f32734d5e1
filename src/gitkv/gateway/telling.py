"""Who is told of what: events for the log and metrics, steps of the pipeline for tests, moved refs
for the followers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from gitkv.model.event import Event, PushUntidy, Report

Step = Callable[[str], None]  # reached a named step of the pipeline


def never_failing(report: Report) -> Report:
    """A log that cannot be written stops no transaction."""

    def quiet(event: Event) -> None:
        with suppress(Exception):
            report(event)

    return quiet


class Announcements:
    """Who waits for refs to move."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def on_move(self, wake: Callable[[], None]) -> None:
        """From now on `wake` is called after each move of refs, in the thread that moved them."""
        self._waiting.append(wake)

    def announce(self) -> None:
        """Wakes who waits for moved refs."""
        for wake in self._waiting:
            wake()


def tidy_up(report: Report, *works: Callable[[], None]) -> None:
    """Tidying after a decision: what fails in it is for the log, and changes no answer. The next
    start sweeps what stays.
    """
    for work in works:
        try:
            work()
        except Exception as error:
            report(PushUntidy(str(error) or type(error).__name__))
