"""How much of something a peer may do: an allowance that fills up again with time."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """`burst` at once, and `per_s` more each second up to that. `now` is a monotonic clock in
    seconds.
    """

    def __init__(self, burst: float, per_s: float, now: Callable[[], float]) -> None:
        self._burst, self._per_s, self._now = burst, per_s, now
        self._left, self._at_s = float(burst), now()

    def take(self, amount: float = 1.0) -> bool:
        """Whether it was still there to be taken."""
        now_s = self._now()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < amount:
            return False
        self._left -= amount
        return True
