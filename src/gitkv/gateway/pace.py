"""Whether a client is fast enough: throughput decides, not the time that all of it takes, so a
large push is as welcome as a small one and nobody holds a place by sending a byte now and then.
"""

from __future__ import annotations


class Pace:
    """Patience in seconds: waiting uses it up, and bytes give it back, up to what there was at
    first. `least_bytes`: how many a second keep it as it is.
    """

    def __init__(self, patience_s: float, least_bytes: int) -> None:
        self._most_s = self._left_s = patience_s
        self._least_bytes = least_bytes

    @property
    def left_s(self) -> float:
        """For how long the next piece may be waited for."""
        return self._left_s

    def is_kept(self, waited_s: float, size: int) -> bool:
        """To be told of each piece: how long it was waited for, and its size in bytes. False once
        the client is too slow.
        """
        self._left_s -= waited_s
        if self._left_s < 0.0:
            return False
        self._left_s = min(self._most_s, self._left_s + size / self._least_bytes)
        return True
