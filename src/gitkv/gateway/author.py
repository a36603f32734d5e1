"""Transactions that the gateway itself signs: the first of a ledger, a restoration, a change
applied again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from gitkv.gateway.deliver import make_durable, tidy_up
from gitkv.gateway.stargate import Stargate
from gitkv.gateway.watchlog import GATEWAY_EMAIL, GATEWAY_NAME, entry_of, write_entry
from gitkv.git.pack import PackWriter
from gitkv.git.quarantine import Quarantine
from gitkv.ledger.compose import Stamp, Tip, Transaction
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity
from gitkv.model.oid import ZERO_OID, Oid, hash_object
from gitkv.model.refs import RefUpdate, audited_ref, watchlog_ref
from gitkv.ports import Delivery


def gateway_stamp(stargate: Stargate, text: str) -> Stamp:
    """The gateway's identity, the time, a fresh transaction id."""
    identity = Identity(GATEWAY_NAME, GATEWAY_EMAIL, stargate.clock.now_s())
    return Stamp(identity, uuid7(time.time_ns() // 1_000_000, os.urandom(10)), text)


def deliver(
    stargate: Stargate,
    transaction: Transaction,
    writer: PackWriter,
    log_before: Oid | None,
    *,
    audited: bool = True,
    also: Sequence[RefUpdate] = (),
) -> None:
    """Makes a transaction whose objects are in `writer` durable, with its watchlog entry;
    `audited`: the mark moves along, `also`: so do these. To be called with `stargate.moving` held.
    """
    tip: Tip = transaction.tip
    # A clock that was set back must not make a receipt that contradicts its transaction's time.
    now_s = max(stargate.clock.now_s(), tip.ledger.commit.identity().seconds)
    body = write_entry(entry_of(tip, stargate.policy().commit), log_before, now_s, stargate.signer)[
        1
    ]
    entry = hash_object(b"commit", body)
    log_ref = watchlog_ref(tip.ns, tip.ledger.attestation.epoch)
    moves = [(log_ref, entry), *([(audited_ref(tip.ns), entry)] if audited else [])]
    updates = [
        *transaction.updates,
        *(RefUpdate(ref, stargate.refs.read(ref) or ZERO_OID, oid) for ref, oid in moves),
        *also,
    ]
    txn = tip.ledger.attestation.txn
    deliver_pack(stargate, writer, [body], updates, [txn])


def spool(stargate: Stargate) -> PackWriter:
    """Where a transaction's objects are gathered."""
    return PackWriter(os.path.join(stargate.git_dir, "kv"))


def deliver_pack(
    stargate: Stargate,
    writer: PackWriter,
    commits: Sequence[bytes],
    updates: Sequence[RefUpdate],
    txns: Sequence[str] = (),
) -> None:
    """Makes what is in `writer` durable: our own pack takes the same way in as everybody's."""
    quarantine = Quarantine(stargate.git)
    try:
        for chunk in writer.finish().chunks():
            quarantine.feed(chunk)
        pack_path = quarantine.finish().pack_path
        make_durable(stargate, Delivery(pack_path, commits, updates), txns)
    finally:
        tidy_up(stargate, quarantine.discard)
