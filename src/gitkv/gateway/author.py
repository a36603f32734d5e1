"""Transactions that the gateway itself signs: the first of a ledger, a restoration, a change
applied again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gitkv.gateway.deliver import DurableStep
from gitkv.gateway.gate import Gate
from gitkv.gateway.telling import tidy_up
from gitkv.gateway.watchlog import GATEWAY_EMAIL, GATEWAY_NAME, entry_of, write_entry
from gitkv.ledger.compose import Stamp, Tip, Transaction
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity
from gitkv.model.event import Report
from gitkv.model.oid import ZERO_OID, Oid, hash_object
from gitkv.model.refs import RefUpdate, audited_ref, watchlog_ref
from gitkv.ports import Clock, Delivery, Signer, Spool


class Author(NamedTuple):
    """What the gateway needs to sign a transaction itself. `spool` begins a pack of its own."""

    gate: Gate
    signer: Signer
    clock: Clock
    durable: DurableStep
    spool: Callable[[], Spool]
    report: Report


def gateway_stamp(clock: Clock, text: str) -> Stamp:
    """The gateway's identity, the time, a fresh transaction id."""
    identity = Identity(GATEWAY_NAME, GATEWAY_EMAIL, clock.now_s())
    return Stamp(identity, uuid7(time.time_ns() // 1_000_000, os.urandom(10)), text)


def deliver(
    author: Author,
    transaction: Transaction,
    spool: Spool,
    log_before: Oid | None,
    *,
    audited: bool = True,
    also: Sequence[RefUpdate] = (),
) -> None:
    """Makes a transaction whose objects are in `spool` durable, with its watchlog entry;
    `audited`: the mark moves along, `also`: so do these. To be called with the lock held.
    """
    tip: Tip = transaction.tip
    # A clock that was set back must not make a receipt that contradicts its transaction's time.
    now_s = max(author.clock.now_s(), tip.ledger.commit.identity().seconds)
    said = entry_of(tip, author.gate.policy().commit)
    _, body = write_entry(said, log_before, now_s, author.signer)
    entry = hash_object(b"commit", body)
    log_ref = watchlog_ref(tip.ns, tip.ledger.attestation.epoch)
    moves = [(log_ref, entry), *([(audited_ref(tip.ns), entry)] if audited else [])]
    updates = [
        *transaction.updates,
        *(RefUpdate(ref, author.gate.refs.read(ref) or ZERO_OID, oid) for ref, oid in moves),
        *also,
    ]
    txn = tip.ledger.attestation.txn
    deliver_pack(author, spool, [body], updates, [txn])


def deliver_pack(
    author: Author,
    spool: Spool,
    commits: Sequence[bytes],
    updates: Sequence[RefUpdate],
    txns: Sequence[str] = (),
) -> None:
    """Makes what is in `spool` durable; it is empty afterwards."""
    try:
        delivery = Delivery(spool.finish(), commits, updates)
        author.durable.make_durable(delivery, txns)
    finally:
        tidy_up(author.report, spool.discard)
