"""What a push had in its pack, kept until the audit after the answer has seen it: it must hold
nothing that the transactions do not reach.

One file of raw ids for each accepted push, named by its last watchlog entry; gone as soon as that
entry is audited.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress

from gitkv.gateway.stargate import Stargate
from gitkv.git.durable import sync
from gitkv.ledger.compose import Tip
from gitkv.model.oid import OID_BYTES, OID_HEX, Oid, parse_oid


def keep_sent(stargate: Stargate, entry: Oid, sent: Iterable[Oid]) -> None:
    """To be called before the entry is committed: a restart between the two leaves a file that
    `sweep_sent` removes.
    """
    folder = _folder(stargate)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, entry.hex())
    try:
        with open(path, "wb") as file:
            file.write(b"".join(sent))
            file.flush()
            os.fsync(file.fileno())
        sync(folder)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            os.unlink(path)
        raise


def drop_sent(stargate: Stargate, entry: Oid) -> None:
    """Harmless when there is none."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(_folder(stargate), entry.hex()))


def sweep_sent(stargate: Stargate, pending: Collection[Oid]) -> None:
    """Removes what belongs to no entry that still waits for its audit."""
    with suppress(FileNotFoundError):
        for name in os.listdir(_folder(stargate)):
            if name not in {entry.hex() for entry in pending}:
                os.unlink(os.path.join(_folder(stargate), name))


def stray_objects(
    stargate: Stargate, entry: Oid, reached: Collection[Oid], before: Tip
) -> list[Oid]:
    """The objects of the push that ended with this entry which nothing reaches: neither its
    transactions nor the state before them.

    Stock git may send again what the repository has; only then is the older history walked.
    """
    try:
        with open(os.path.join(_folder(stargate), entry.hex()), "rb") as file:
            ids = file.read()
    except FileNotFoundError:
        return []
    sent = [Oid(ids[at : at + OID_BYTES]) for at in range(0, len(ids), OID_BYTES)]
    unexpected = [oid for oid in sent if oid not in reached]
    if not unexpected:
        return []
    walked = stargate.git.run("rev-list", "--objects", *(oid.hex() for oid in before.heads)).stdout
    known = {parse_oid(line[:OID_HEX]) for line in walked.split(b"\n") if line}
    return [oid for oid in unexpected if oid not in known]


def _folder(stargate: Stargate) -> str:
    return os.path.join(stargate.git_dir, "kv", "unaudited")
