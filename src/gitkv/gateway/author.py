"""Transactions that the gateway itself signs: the first of a ledger, a restoration, a change
applied again.
"""

from __future__ import annotations

import os
import time

from gitkv.gateway.commit import Delivery
from gitkv.gateway.stargate import Stargate
from gitkv.gateway.watchlog import GATEWAY_EMAIL, GATEWAY_NAME, entry_of, write_entry
from gitkv.git.pack import PackWriter
from gitkv.git.quarantine import Quarantine, QuarantinedPack
from gitkv.ledger.compose import Stamp, Tip, Transaction
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity
from gitkv.model.oid import ZERO_OID, Oid, hash_object
from gitkv.model.refs import RefUpdate, audited_ref, watchlog_ref


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
) -> Delivery:
    """The delivery of a transaction whose objects are in `writer`, with its watchlog entry;
    `audited`: the mark moves along.
    """
    tip: Tip = transaction.tip
    quarantine, pack = quarantined(stargate, writer)
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
    ]
    txn = tip.ledger.attestation.txn
    return Delivery(quarantine, pack, [body], updates, [txn])


def spool(stargate: Stargate) -> PackWriter:
    """Where a transaction's objects are gathered."""
    return PackWriter(os.path.join(stargate.git_dir, "kv"))


def quarantined(stargate: Stargate, writer: PackWriter) -> tuple[Quarantine, QuarantinedPack]:
    """Our own pack takes the same way in as everybody's."""
    quarantine = Quarantine(stargate.git)
    for chunk in writer.finish().chunks():
        quarantine.feed(chunk)
    return quarantine, quarantine.finish()
