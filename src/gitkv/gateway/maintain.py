"""Keeps the object store quick: every accepted transaction adds a pack, and git slows down with
their number.

Geometric repacking rolls up the small packs only: its cost is spread over the transactions that
made them, and reading and writing go on.
"""

from __future__ import annotations

import os
import threading

from gitkv.errors import GitKvError
from gitkv.gateway.stargate import Stargate
from gitkv.git.quarantine_folder import sweep

PACKS_MAX = 48
CHECK_EVERY_S = 5.0


def maintain_once(stargate: Stargate) -> bool:
    """Repacks when there are too many packs; whether it did. Raises ToolError."""
    packs = [
        name
        for name in os.listdir(os.path.join(stargate.git_dir, "objects", "pack"))
        if name.endswith(".idx")
    ]
    if len(packs) <= PACKS_MAX:
        return False
    stargate.git.run(
        "repack", "--quiet", "--geometric=2", "-d", "--no-write-bitmap-index", "--threads=1"
    )
    stargate.objects.close()  # else its children keep what was rolled up, mapped and on the disk
    stargate.report("maintained", {"packs_before": len(packs)})
    return True


def run(stargate: Stargate, is_stopping: threading.Event) -> None:
    """The worker's loop."""
    while not is_stopping.wait(CHECK_EVERY_S):
        try:
            swept = sweep(stargate.git_dir)  # what a failing disk would not let go of
            if swept:
                stargate.report("quarantine.swept", {"left": len(swept)})
            maintain_once(stargate)
        except (GitKvError, OSError) as error:
            stargate.report("maintenance.failed", {"detail": str(error)})
