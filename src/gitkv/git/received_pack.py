"""Takes in a thin pack that a host has sent outside of a fetch, as carefully as a fetch does.

It is measured before git gets it; git checks every object, completes the pack from what is here,
and has it on the disk before it says so. Left to others: what of it is believed (`client/trust/`).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from gitkv.errors import IntegrityError, MachineError
from gitkv.git.durable import CLOCKS_APART_S, SYNCED, sync_new_names
from gitkv.git.fetch_bounds import (
    LIMIT_CODES,
    LIMIT_WORDS,
    STORE,
    FetchBounds,
    limit_process,
    too_much,
)
from gitkv.git.incoming import LOOSE_MAX, Incoming
from gitkv.git.pack import PACK_HEADER_BYTES, parse_pack_header
from gitkv.git.pack_limits import Grant, fetch_grant_for
from gitkv.git.pack_scan import PackScan
from gitkv.git.process import Completed, Git, complaint, end_process, machine_problem
from gitkv.model.oid import Oid


def store_received(git: Git, pack: bytes, tips: Sequence[Oid], sender: str) -> None:
    """Stores it durably. Raises IntegrityError when it asks for too much or git refuses it, or when
    something that `tips` lead to is missing; MachineError when the disk does not take it. Nothing
    that was refused is left.
    """
    began_s = time.time() - CLOCKS_APART_S
    scan = _scanned(pack, sender)
    try:
        if scan.count <= LOOSE_MAX:
            _index(git, pack, scan, sender, *SYNCED, "unpack-objects", "-q", "--strict")
        else:
            _store_many(git, pack, scan, sender)
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


def _scanned(pack: bytes, sender: str) -> PackScan:
    try:
        scan = PackScan(STORE, parse_pack_header(pack[:PACK_HEADER_BYTES]))
        scan.feed(pack[PACK_HEADER_BYTES:])
    except ValueError as error:
        raise too_much(sender, error) from None
    return scan


def _store_many(git: Git, pack: bytes, scan: PackScan, sender: str) -> None:
    """Through a folder of its own: how long its chains are is known once git has indexed it."""
    with Incoming(git) as incoming:
        words = ("-c", "core.fsync=none", "index-pack", "--stdin", "--fix-thin", "--strict")
        _index(incoming.git, pack, scan, sender, *words)
        with FetchBounds(incoming.pack_dir, STORE, sender) as bounds:
            bounds.look()
        incoming.adopt()


def _index(git: Git, pack: bytes, scan: PackScan, sender: str, *words: str) -> None:
    done = _limited(git, pack, fetch_grant_for([scan]), *words)
    if done.code == 0:
        return
    if done.code in LIMIT_CODES or any(word in done.stderr for word in LIMIT_WORDS):
        raise too_much(sender, "git was ended at a limit for packs of its size")
    raise machine_problem("index-pack", done) or IntegrityError(
        f"{sender} sent objects that git refuses: {complaint(done.stderr)}"
    )


def _limited(git: Git, pack: bytes, grant: Grant, *words: str) -> Completed:
    process: subprocess.Popen[bytes] = git.popen(*words)
    try:
        limit_process(process.pid, grant)  # before its first byte
        stdout, stderr = process.communicate(pack)
    finally:
        if process.returncode is None:
            end_process(process)
    return Completed(stdout, stderr, process.returncode)
