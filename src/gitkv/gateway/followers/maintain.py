"""Keeps the object store quick: every accepted transaction adds a pack, and git slows down with
their number.

Rolling up is the host's: reading and writing go on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gitkv.gateway.backoff import Backoffs
from gitkv.gateway.followers.follower import cause_of
from gitkv.model.configuration import DEFAULTS, RetryPauses, Upkeep
from gitkv.model.event import (
    Event,
    MaintenanceFailed,
    MaintenanceRecovered,
    PacksRolledUp,
    QuarantineSwept,
    Report,
)
from gitkv.ports import Host


def maintain_once(host: Host, report: Report, packs_max: int = DEFAULTS.upkeep.packs_max) -> bool:
    """Rolls up packs when there are more than that; whether it did. Raises as Host does."""
    packs = host.pack_count()
    if packs <= packs_max:
        return False
    host.roll_up()
    report(PacksRolledUp(packs))
    return True


class Maintenance:
    """The follower: removes what a failing disk had kept of refused pushes, and rolls up packs. One
    of them failing holds up nothing of the other, and each cause is told once.
    """

    name = "maintenance"
    is_woken = False

    def __init__(
        self,
        host: Host,
        report: Report,
        now_s: Callable[[], float] = time.monotonic,
        upkeep: Upkeep = DEFAULTS.upkeep,
        retry: RetryPauses = DEFAULTS.retry,
    ) -> None:
        self._host, self._report, self._upkeep = host, report, upkeep
        self._backoffs = Backoffs(now_s, pauses=retry)
        self._tasks: dict[str, Callable[[], object]] = {
            "sweep": self._sweep,
            "repack": lambda: maintain_once(host, report, upkeep.packs_max),
        }

    def failed(self, detail: str, hint: str) -> Event:
        """As in the port."""
        return MaintenanceFailed("", detail, hint)

    def recovered(self) -> Event:
        """As in the port."""
        return MaintenanceRecovered()

    def step(self) -> float:
        """Seconds until packs are counted again."""
        for task, do in self._tasks.items():
            if self._backoffs.left_s(task) > 0.0:
                continue
            try:
                do()
            except Exception as error:
                detail = cause_of(error)
                if self._backoffs.failed(task, detail):
                    self._report(MaintenanceFailed(task, detail))
            else:
                if self._backoffs.succeeded(task):
                    self._report(MaintenanceRecovered(task))
        return self._upkeep.every_s

    def finish(self) -> None:
        """Nothing: it waits for no one."""

    def _sweep(self) -> None:
        swept = self._host.sweep_quarantine()
        if swept:
            self._report(QuarantineSwept(len(swept)))
