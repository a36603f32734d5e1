"""The watchlog: one gateway-signed entry for each accepted ledger commit, which is also its receipt
(spec/attestation 6).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gitkv.errors import IntegrityError
from gitkv.ledger.compose import Tip
from gitkv.model.commit import Identity, commit_payload, parse_commit, sign_payload
from gitkv.model.heads import ChunkHead, Heads
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid, hash_object, parse_oid
from gitkv.model.refs import WATCHLOG, EpochLabel, Namespace, parse_epoch, parse_namespace
from gitkv.model.verdict import INTEGRITY, FormError, reason
from gitkv.ports import History, ObjectStore, RefStore, Signer

GATEWAY_NAME = "Stargate"
GATEWAY_EMAIL = "stargate@git-kv.invalid"

_MESSAGE = re.compile(
    rb"accept [^\n]+\n\nKV-Version: 1\nKV-NS: ([^\n]+)\nKV-Epoch: ([^\n]+)\nKV-Seq: "
    rb"(0|[1-9][0-9]{0,14})\nKV-Txn: ([0-9a-f-]{36})\n"
    rb"KV-Ledger: ([0-9a-f]{40})\nKV-Index: ([0-9a-f]{40})\nKV-Chunks: ([0-9a-f]{40}|-)\n"
    rb"KV-Policy: ([0-9a-f]{40})\n"
)


class Entry(NamedTuple):
    """What an entry says: this ledger commit was accepted here, judged by this policy commit."""

    ns: Namespace
    epoch: EpochLabel
    seq: int
    txn: str
    heads: Heads
    policy: Oid


def entry_of(tip: Tip, policy: Oid) -> Entry:
    """The entry for a tip that has just been accepted."""
    attestation = tip.ledger.attestation
    return Entry(
        attestation.ns, attestation.epoch, attestation.seq, attestation.txn, tip.heads, policy
    )


def write_entry(
    entry: Entry, previous: Oid | None, now_s: int, signer: Signer
) -> tuple[Oid, bytes]:
    """Id and bytes of the signed entry commit."""
    chunks = entry.heads.chunks
    message = (
        f"accept {entry.ns}@{entry.seq}\n\nKV-Version: 1\nKV-NS: {entry.ns}\nKV-Epoch: "
        f"{entry.epoch}\n"
        f"KV-Seq: {entry.seq}\nKV-Txn: {entry.txn}\n"
        f"KV-Ledger: {entry.heads.ledger.hex()}\nKV-Index: {entry.heads.index_oid.hex()}\n"
        f"KV-Chunks: {'-' if chunks is None else chunks.oid.hex()}\n"
        f"KV-Policy: {entry.policy.hex()}\n"
    ).encode()
    identity = Identity(GATEWAY_NAME, GATEWAY_EMAIL, now_s)
    payload = commit_payload(
        EMPTY_TREE, () if previous is None else (previous,), identity.line(), message
    )
    body = sign_payload(payload, signer.sign(payload))
    return hash_object(COMMIT, body), body


def parse_entry(body: bytes) -> Entry:
    """What a watchlog commit says. Raises FormError when it is not an entry."""
    match = _MESSAGE.fullmatch(parse_commit(body).message)
    if match is None:
        raise FormError(reason(INTEGRITY, "watchlog.form", "watchlog", "an entry", body[-200:]))
    ns, label, seq, txn, ledger, index, chunks, policy = match.groups()
    epoch = parse_epoch(label)
    head = None if chunks == b"-" else ChunkHead(epoch, parse_oid(chunks))
    return Entry(
        parse_namespace(ns),
        epoch,
        int(seq),
        txn.decode(),
        Heads(parse_oid(ledger), parse_oid(index), head),
        parse_oid(policy),
    )


def entries_back(history: History, objects: ObjectStore, newest: Oid) -> Iterator[Entry]:
    """All entries of a watchlog, newest first, a few thousand held at a time.

    The history lists the commits; that they are one line from `newest` down to transaction 0, with
    nothing left out, is proved from the raw objects. Raises IntegrityError, and FormError for a
    commit that is no entry.
    """
    listed: deque[Oid] = deque()
    expected: Oid | None = newest
    last: Entry | None = None
    for body in objects.read_many(_remembered(history.commits_back(newest), listed), COMMIT):
        oid, entry = listed.popleft(), parse_entry(body)
        if oid != expected or (last is not None and entry.seq != last.seq - 1):
            raise _gap(newest, oid)
        parents = parse_commit(body).parents
        expected, last = parents[0] if len(parents) == 1 else None, entry
        if (expected is None) != (entry.seq == 0):
            raise _gap(newest, oid)
        yield entry
    if expected is not None:
        raise _gap(newest, expected)


def _remembered(oids: Iterable[Oid], listed: deque[Oid]) -> Iterator[Oid]:
    for oid in oids:
        listed.append(oid)
        yield oid


def _gap(newest: Oid, oid: Oid) -> IntegrityError:
    return IntegrityError(
        f"the watchlog that ends with {newest.hex()} is not one line of entries down to "
        f"transaction 0: see {oid.hex()}"
    )


def newest_receipt_s(refs: RefStore, objects: ObjectStore) -> int:
    """The newest time in any receipt of ours, which our clock had reached then; 0 without one."""
    newest = refs.read_all(WATCHLOG).values()
    times = [parse_commit(objects.read(oid, COMMIT)).identity().seconds for oid in newest]
    return max(times, default=0)
