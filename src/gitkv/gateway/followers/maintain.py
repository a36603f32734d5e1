"""Keeps the object store quick: every accepted transaction adds a pack, and git slows down with
their number.

Geometric repacking rolls up the small packs only: its cost is spread over the transactions that
made them, and reading and writing go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from gitkv.gateway.backoff import Backoffs
from gitkv.gateway.followers.follower import cause_of
from gitkv.gateway.stargate import Stargate
from gitkv.git.quarantine_folder import sweep
from gitkv.model.configuration import DEFAULTS, RetryPauses, Upkeep


def maintain_once(stargate: Stargate, packs_max: int = DEFAULTS.upkeep.packs_max) -> bool:
    """Repacks when there are more packs than that; whether it did. Raises ToolError."""
    packs = [
        name
        for name in os.listdir(os.path.join(stargate.git_dir, "objects", "pack"))
        if name.endswith(".idx")
    ]
    if len(packs) <= packs_max:
        return False
    stargate.git.run(
        "repack", "--quiet", "--geometric=2", "-d", "--no-write-bitmap-index", "--threads=1"
    )
    stargate.objects.close()  # else its children keep what was rolled up, mapped and on the disk
    stargate.report("maintained", {"packs_before": len(packs)})
    return True


class Maintenance:
    """The follower: removes what a failing disk had kept of refused pushes, and rolls up packs. One
    of them failing holds up nothing of the other, and each cause is told once.
    """

    name = "maintenance"
    is_woken = False

    def __init__(
        self,
        stargate: Stargate,
        now_s: Callable[[], float] = time.monotonic,
        upkeep: Upkeep = DEFAULTS.upkeep,
        retry: RetryPauses = DEFAULTS.retry,
    ) -> None:
        self._stargate, self._upkeep = stargate, upkeep
        self._backoffs = Backoffs(now_s, pauses=retry)
        self._tasks: dict[str, Callable[[], object]] = {
            "sweep": self._sweep,
            "repack": lambda: maintain_once(stargate, upkeep.packs_max),
        }

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
                    self._stargate.report("maintenance.failed", {"task": task, "detail": detail})
            else:
                if self._backoffs.succeeded(task):
                    self._stargate.report("maintenance.recovered", {"task": task})
        return self._upkeep.every_s

    def finish(self) -> None:
        """Nothing: it waits for no one."""

    def _sweep(self) -> None:
        swept = sweep(self._stargate.git_dir)
        if swept:
            self._stargate.report("quarantine.swept", {"left": len(swept)})
