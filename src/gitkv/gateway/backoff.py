"""How long what fails is left alone: ever longer, each thing by itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from gitkv.model.configuration import DEFAULTS, RetryPauses


def backoff_s(pauses: RetryPauses, failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row; `jitter` in [0, 1) spreads several
    gateways.
    """
    limit: float = min(pauses.longest_s, pauses.first_s * 2.0 ** min(failures - 1, 16))
    return limit * (0.5 + jitter / 2)


class _Failing(NamedTuple):
    failures: int
    until_s: float
    cause: str


class Backoffs:
    """What fails at present, by name: a namespace, a task, a worker."""

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        pauses: RetryPauses = DEFAULTS.retry,
    ) -> None:
        self._now_s, self._jitter, self._pauses = now_s, jitter, pauses
        self._failing: dict[str, _Failing] = {}

    def failed(self, name: str, cause: str) -> bool:
        """Begins the next pause; whether this cause is another one than the last time."""
        before = self._failing.get(name, _Failing(0, 0.0, ""))
        failures = before.failures + 1
        until_s = self._now_s() + backoff_s(self._pauses, failures, self._jitter())
        self._failing[name] = _Failing(failures, until_s, cause)
        return failures == 1 or cause != before.cause

    def succeeded(self, name: str) -> bool:
        """Ends the pauses; whether there were any."""
        return self._failing.pop(name, None) is not None

    def failures(self, name: str) -> int:
        """How often it has failed in a row."""
        found = self._failing.get(name)
        return 0 if found is None else found.failures

    def left_s(self, name: str) -> float:
        """Seconds until it is to be tried again; 0 for what does not fail."""
        found = self._failing.get(name)
        return 0.0 if found is None else max(0.0, found.until_s - self._now_s())

    def next_s(self, at_most_s: float) -> float:
        """Seconds until the first of those that fail is to be tried again."""
        return min([self.left_s(name) for name in self._failing] + [at_most_s])

    def keep(self, names: Collection[str]) -> list[str]:
        """Forgets everything but these; what was failing and is forgotten."""
        forgotten = [name for name in self._failing if name not in names]
        for name in forgotten:
            del self._failing[name]
        return forgotten
