"""The threads beside the server: background audit, mirror, maintenance.

A worker outlives whatever fails in it, and what fails again and again is tried ever less often and
logged as often. When a worker ends all the same, the daemon ends: nothing would be published any
more, and nobody would know.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gitkv.errors import GitKvError, ToolError
from gitkv.gateway import background_audit, maintain
from gitkv.gateway.mirror import Mirror
from gitkv.gateway.stargate import Stargate

PAUSE_FIRST_S, PAUSE_MAX_S = 1.0, 300.0

Fail = Callable[[BaseException], None]


class Pauses:
    """When to try again what fails: after 1 s, 2 s, 4 s, up to five minutes."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.failures = 0
        self._until_s = 0.0

    @property
    def left_s(self) -> float:
        return max(0.0, self._until_s - self._now())

    def failed(self) -> None:
        self.failures += 1
        pause_s = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(self.failures - 1, 16))
        self._until_s = self._now() + pause_s

    def succeeded(self) -> None:
        self.failures, self._until_s = 0, 0.0


class Workers:
    """`fail` hears of a worker that has ended without being asked to. `mirror` None: there is
    none.
    """

    def __init__(self, stargate: Stargate, mirror: Mirror | None, fail: Fail) -> None:
        self._stargate = stargate
        self._fail = fail
        self._stopping = threading.Event()
        works: dict[str, Callable[[threading.Event], None]] = {
            "audit": lambda stopping: background_audit.run(stargate, stopping),
            "maintenance": lambda stopping: maintain.run(stargate, stopping),
        }
        if mirror is not None:
            works["mirror"] = mirror.run
        # Never waited for at exit: `ending` has bounded them.
        self._threads = [
            threading.Thread(target=self._keep, args=(name, work), name=name, daemon=True)
            for name, work in works.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> None:
        """Lets every worker finish what it is at. Harmless when they were not started."""
        self._stopping.set()
        self._stargate.announce_move()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _keep(self, name: str, work: Callable[[threading.Event], None]) -> None:
        try:
            self._keep_on(name, work)
        except BaseException as error:  # nothing that a worker can go on after
            self._fail(ToolError(f"the {name} worker died: {type(error).__name__}: {error}"))

    def _keep_on(self, name: str, work: Callable[[threading.Event], None]) -> None:
        pauses = Pauses()
        while not self._stopping.is_set():
            started_s = time.monotonic()
            try:
                work(self._stopping)
            except Exception as error:
                if time.monotonic() - started_s > PAUSE_MAX_S:
                    pauses.succeeded()
                pauses.failed()
                self._stargate.report(f"{name}.failed", _failure(error, pauses))
                self._stopping.wait(pauses.left_s)


def _failure(error: Exception, pauses: Pauses) -> dict[str, object]:
    known = isinstance(error, GitKvError)
    detail = str(error) if known else f"{type(error).__name__}: {error}"
    return {
        "detail": detail,
        "failures": pauses.failures,
        "again_s": round(pauses.left_s),
        "hint": error.hint if isinstance(error, GitKvError) else "",
    }
