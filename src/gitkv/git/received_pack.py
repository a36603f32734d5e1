"""Takes in a thin pack that a host has sent outside of a fetch, as carefully as a fetch does.

git checks every object, completes the pack from what is here, and has it on the disk before it
says so. Left to others: what of it is believed (`client/trust/`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from gitkv.errors import IntegrityError, MachineError
from gitkv.git.durable import CLOCKS_APART_S, SYNCED, sync_new_names
from gitkv.git.process import Git, complaint, machine_problem
from gitkv.model.oid import Oid

_COUNT_AT, _COUNT_END = 8, 12  # in a pack's header
_LOOSE_MAX = 7  # git syncs loose objects one after the other: more of them are kept as a pack


def store_received(git: Git, pack: bytes, tips: Sequence[Oid], sender: str) -> None:
    """Stores it durably. Raises IntegrityError when git refuses it, or when something that `tips`
    lead to is missing; MachineError when the disk does not take it.
    """
    began_s = time.time() - CLOCKS_APART_S
    is_small = int.from_bytes(pack[_COUNT_AT:_COUNT_END], "big") <= _LOOSE_MAX
    command = (
        ("unpack-objects", "-q", "--strict")
        if is_small
        else ("index-pack", "--stdin", "--fix-thin", "--strict")
    )
    done = git.run(*SYNCED, *command, stdin=pack, check=False)
    if done.code != 0:
        raise machine_problem(command[0], done) or IntegrityError(
            f"{sender} sent objects that git refuses: {complaint(done.stderr)}"
        )
    try:
        sync_new_names(git.git_dir, began_s)
    except OSError as error:
        raise MachineError(
            f"what {sender} sent could not be made durable: {error.strerror or error}"
        ) from None
    names = "".join(f"{oid.hex()}\n" for oid in tips).encode()
    done = git.run(
        "rev-list", "--objects", "--quiet", "--stdin", "--not", "--all", stdin=names, check=False
    )
    if done.code != 0:
        raise IntegrityError(
            f"{sender} left out what its own refs lead to: {complaint(done.stderr)}"
        )
