"""How much room all pushes under way may take together, and those of one principal: disk for their
packs, memory for the git that unpacks them. Nobody's pushes keep out the others'.
"""

from __future__ import annotations

import threading
from collections import Counter

from gitkv.errors import UnavailableError
from gitkv.model.configuration import DEFAULTS


class PushRoom:
    """The room of one process; safe to share between threads."""

    def __init__(
        self,
        all_bytes: int = DEFAULTS.push.room_bytes,
        of_one_bytes: int = DEFAULTS.push.room_of_one_bytes,
    ) -> None:
        self._all_bytes = all_bytes
        self._of_one_bytes = of_one_bytes
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def share(self, who: str, allowed_bytes: int = 0) -> Share:
        """A principal's share for one push, which takes nothing yet; `allowed_bytes`: of a push
        that the policy lets be larger than the pushes of one principal together.
        """
        return Share(self, who, allowed_bytes)

    def take(self, who: str, size: int, allowed_bytes: int = 0) -> None:
        """Takes `size` bytes more. Raises UnavailableError when there is no room for them now."""
        of_one_bytes = max(self._of_one_bytes, allowed_bytes)
        with self._lock:
            if self._taken[who] + size > of_one_bytes:
                raise UnavailableError(
                    f"expected at most {of_one_bytes} bytes in the pushes of {who} that are under "
                    "way, got more"
                )
            if self._taken[who] + size > self._all_bytes:
                raise UnavailableError(
                    f"expected at most {self._all_bytes} bytes in all pushes under way "
                    "(push.room_bytes), got more in this one"
                )
            if self._taken.total() + size > self._all_bytes:
                raise UnavailableError("other pushes take all the room there is")
            self._taken[who] += size

    def give_back(self, who: str, size: int) -> None:
        with self._lock:
            self._taken[who] -= size
            if not self._taken[who]:
                del self._taken[who]


class Share:
    """What one push takes, until `close`."""

    def __init__(self, room: PushRoom, who: str, allowed_bytes: int = 0) -> None:
        self._room = room
        self._who = who
        self.allowed_bytes = allowed_bytes
        self._taken = 0

    def grow_to(self, size: int) -> None:
        """Takes what is missing to `size` bytes. Raises UnavailableError."""
        if size > self._taken:
            self._room.take(self._who, size - self._taken, self.allowed_bytes)
            self._taken = size

    def close(self) -> None:
        """Gives everything back; harmless when done before."""
        taken, self._taken = self._taken, 0
        self._room.give_back(self._who, taken)
