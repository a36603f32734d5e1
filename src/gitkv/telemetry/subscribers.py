"""Who hears of the daemon's events: the log, and whatever counts or watches."""

from __future__ import annotations

from contextlib import suppress

from gitkv.model.event import Event, Report


class Subscribers:
    """A `Report` that tells every subscriber, in order. What one of them fails at is no matter of
    the others, nor of whoever reports.
    """

    def __init__(self, *subscribers: Report) -> None:
        self._subscribers = list(subscribers)

    def subscribe(self, subscriber: Report) -> None:
        """From now on it hears of every event, in the thread that reports it."""
        self._subscribers.append(subscriber)

    def __call__(self, event: Event) -> None:
        for subscriber in list(self._subscribers):
            with suppress(Exception):
                subscriber(event)
