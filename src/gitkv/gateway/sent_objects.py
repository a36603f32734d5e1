"""What a push had in its pack, kept until the audit after the answer has seen it: it must hold
nothing that the transactions do not reach.

One commit of the gateway for each accepted push, whose message lists the ids; its ref names the
push's last watchlog entry, comes with it, and goes with the move of the mark. A commit and not a
blob, which a writer could store, too: what is dropped must be nobody else's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from gitkv.errors import IntegrityError
from gitkv.gateway.gate import Gate
from gitkv.gateway.watchlog import GATEWAY_EMAIL, GATEWAY_NAME
from gitkv.ledger.compose import Tip
from gitkv.model.commit import Identity, commit_payload
from gitkv.model.oid import COMMIT, EMPTY_TREE, OID_BYTES, ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Namespace, RefUpdate, unaudited_ref
from gitkv.ports import History, RefStore

_RECORD = re.compile(
    rb"tree [0-9a-f]{40}\nauthor [^\n]+\ncommitter [^\n]+\n\n"
    rb"unaudited [^\n]+\n\nKV-Entry: ([0-9a-f]{40})\n\n((?:[0-9a-f]{40}\n)*)"
)


def sent_record(ns: Namespace, entry: Oid, sent: Iterable[Oid], now_s: int) -> bytes:
    """The commit that lists what a push held; `entry`: its last watchlog entry."""
    head = b"unaudited %b\n\nKV-Entry: %b\n\n" % (ns.encode(), entry.hex().encode())
    message = head + b"".join([b"%b\n" % oid.hex().encode() for oid in sent])
    identity = Identity(GATEWAY_NAME, GATEWAY_EMAIL, now_s)
    return commit_payload(EMPTY_TREE, (), identity.line(), message)


class Dropped(NamedTuple):
    """The end of some records: the moves of their refs, and the commits they leave."""

    updates: list[RefUpdate]
    commits: list[Oid]


def dropped_records(refs: RefStore, ns: Namespace, entries: Iterable[Oid]) -> Dropped:
    """What ends the records of these entries, where they have one."""
    found = Dropped([], [])
    for ref in [unaudited_ref(ns, entry) for entry in entries]:
        oid = refs.read(ref)
        if oid is not None:
            found.updates.append(RefUpdate(ref, oid, ZERO_OID))
            found.commits.append(oid)
    return found


def stray_objects(
    gate: Gate, history: History, entry: Oid, reached: Collection[Oid], before: Tip
) -> list[Oid]:
    """The objects of the push that ended with this entry which nothing reaches: neither its
    transactions nor the state before them. Raises IntegrityError when its record is damaged.

    Stock git may send again what the repository has; only then is the older history walked.
    """
    record = gate.refs.read(unaudited_ref(before.ns, entry))
    if record is None:  # not the last of its push, or the gateway's own
        return []
    sent = _parse_record(gate.objects.read(record, COMMIT), entry)
    unexpected = {oid for oid in sent if oid not in reached}
    if unexpected:
        unexpected.difference_update(history.reachable(before.heads.oids))
    return sorted(unexpected)


def _parse_record(body: bytes, entry: Oid) -> list[Oid]:
    found = _RECORD.fullmatch(body)
    if found is None or parse_oid(found[1]) != entry:
        raise IntegrityError(f"the record of what came with {entry.hex()} is not one")
    ids = bytes.fromhex(found[2].decode().replace("\n", ""))
    return [Oid(ids[at : at + OID_BYTES]) for at in range(0, len(ids), OID_BYTES)]
