"""How far this clone is, from what it knows itself: nothing here touches the network."""

from __future__ import annotations

from typing import NamedTuple

from gitkv.client.freshness import age_s
from gitkv.client.replica import Replica
from gitkv.client.trust.memory import read_memory
from gitkv.git.housekeeping import object_counts
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.oid import COMMIT, Oid
from gitkv.verifying.receipts import parse_receipt


class Status(NamedTuple):
    """`seq`, `commit`, `time`: the newest transaction that this clone trusts; `looked_s`: seconds
    since a remote was looked at, None for never. `receipt_seq`: up to where receipts prove it;
    `mirror_seq`: up to where the mirror has shown it; None where there is none. `without_receipt`,
    `mirror_lag`: how many transactions come after those. `policy`: the proved policy commit.
    `loose` and `packs`: objects that git has not packed yet, and packs.
    """

    ns: str
    seq: int
    commit: str
    time: int
    standalone: bool
    remote: str
    reads: str
    writes: str
    looked_s: int | None
    receipt_seq: int | None
    without_receipt: int
    mirror_seq: int | None
    mirror_lag: int
    policy: str
    loose: int
    packs: int


def status(replica: Replica) -> Status:
    """Raises ToolError when there is no ledger, IntegrityError when it is broken."""
    tip, memory = replica.tip(), read_memory(replica, replica.remote)
    proved, shown = _seq_of(replica, memory.receipt), _seq_of(replica, memory.shown)
    age = age_s(replica) if replica.remote else None
    loose, packs = object_counts(replica.git)
    return Status(
        replica.ns,
        tip.seq,
        tip.ledger.oid.hex(),
        tip.ledger.commit.identity().seconds,
        not replica.remote,
        replica.remote,
        replica.config.get(f"remote.{replica.remote}.url", "") if replica.remote else "",
        replica.push_url if replica.remote else "",
        None if age is None else int(age),
        proved,
        0 if proved is None else max(tip.seq - proved, 0),
        shown,
        0 if shown is None else max(tip.seq - shown, 0),
        memory.policy.hex() if memory.policy is not None else "",
        loose,
        packs,
    )


def _seq_of(replica: Replica, receipt: Oid | None) -> int | None:
    """The transaction that a watchlog entry is the receipt of."""
    if receipt is None:
        return None
    ledger = parse_receipt(receipt, replica.load(receipt, COMMIT)).ledger
    return read_ledger_commit(ledger, replica.load).seq
