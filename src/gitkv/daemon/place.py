"""One session's place among the writers of a namespace: waiting for a turn, holding it, losing it.

Who is next is decided in `gateway/turns.py`; this is the part that waits and looks at the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gitkv.gateway.turns import Turn, Turns
from gitkv.model.configuration import DEFAULTS
from gitkv.model.refs import Namespace

TURN_BYTES_PER_S = 1 << 20  # a pack that comes slower than this, and for `turn_s` besides, loses it
WORD_S = 5.0  # between two words to a client that waits


class Place:
    """Close it. A turn that is held ends by itself when its time is over."""

    def __init__(self, turns: Turns, who: str, turn_s: float = DEFAULTS.push.turn_s) -> None:
        self._turns = turns
        self._who = who
        self._turn_s = turn_s
        self._turn: Turn | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._began_s = 0.0  # of the loop's clock

    @property
    def is_held(self) -> bool:
        """Whether it is our turn."""
        return self._turn is not None and self._turn.is_held

    async def take(
        self,
        ns: Namespace,
        tell: Callable[[int], None] = lambda others: None,
        gone: asyncio.Future[bytes] | None = None,
    ) -> bool:
        """Waits until it is our turn; a turn in another namespace ends. `tell` is called now and
        then with how many are before us. False when `gone` was done first.
        """
        if self.is_held and self._turn is not None and self._turn.ns == ns:
            return True
        self.close()
        granted = asyncio.get_running_loop().create_future()
        turn = self._turn = self._turns.join(ns, self._who, lambda: granted.set_result(None))
        waited_for = {granted} if gone is None else {granted, gone}
        while not granted.done():
            done, _ = await asyncio.wait(
                waited_for, timeout=WORD_S, return_when=asyncio.FIRST_COMPLETED
            )
            if gone is not None and gone in done:
                self.close()
                return False
            if not done:
                tell(self._turns.before(turn))
        return True

    def limit(self) -> None:
        """The turn lasts `turn_s` from now."""
        self._began_s = asyncio.get_running_loop().time()
        self.allow(0)

    def allow(self, size: int) -> None:
        """It lasts as long as `size` bytes may take, besides: all that have come since `limit`."""
        if self.is_held:
            self._cancel()
            self._timer = asyncio.get_running_loop().call_at(
                self._began_s + self._turn_s + size / TURN_BYTES_PER_S, self._run_out
            )

    def keep(self) -> None:
        """The turn lasts until `close`: it is us who work now."""
        self._cancel()

    def close(self) -> None:
        """Ends the turn, or gives up waiting; harmless when done before."""
        self._cancel()
        turn, self._turn = self._turn, None
        if turn is not None:
            self._turns.end(turn)

    def _run_out(self) -> None:
        turn, self._turn, self._timer = self._turn, None, None
        if turn is not None:
            self._turns.end(turn, stalled=True)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
