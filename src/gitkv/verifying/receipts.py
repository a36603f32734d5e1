"""Reads the watchlog beside the ledger: one entry for each commit, in order, signed by the gateway
of that time (spec/attestation 6). Functions of an entry's id and bytes.

Written from the specification; Stargate has its own reader.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.audit.commit import Commit
from gitkv.errors import IntegrityError
from gitkv.model.chain import Chain
from gitkv.model.commit import CLOCK_SKEW_MAX_S, parse_commit
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid, hash_object, parse_oid
from gitkv.model.verdict import INTEGRITY, POLICY, FormError, Reason, reason
from gitkv.ports import Verifier
from gitkv.verifying.objects import ProvedObjects
from gitkv.verifying.policies import Policies, Version
from gitkv.verifying.validity import Signed

_ENTRY = re.compile(
    rb"accept ([^\n]+)\n\nKV-Version: 1\nKV-NS: ([^\n]+)\nKV-Epoch: ([^\n]+)\nKV-Seq: ([0-9]+)\n"
    rb"KV-Txn: ([0-9a-f-]{36})\n"
    rb"KV-Ledger: ([0-9a-f]{40})\nKV-Index: ([0-9a-f]{40})\nKV-Chunks: ([0-9a-f]{40}|-)\n"
    rb"KV-Policy: ([0-9a-f]{40})\n"
)
_FIELDS = (
    "subject",
    "KV-NS",
    "KV-Epoch",
    "KV-Seq",
    "KV-Txn",
    "KV-Ledger",
    "KV-Index",
    "KV-Chunks",
)


class Receipt(NamedTuple):
    """A watchlog entry as it stands. `fields`: what it says, in the order of spec/attestation 6.1,
    without `KV-Policy`; `time_s`: the gateway's clock when it judged.
    """

    oid: Oid
    before: Oid | None
    fields: tuple[bytes, ...]
    ledger: Oid
    policy: Oid
    time_s: int
    signed: Signed


def parse_receipt(oid: Oid, body: bytes) -> Receipt:
    """Raises FormError when the bytes are not the entry of that id."""
    where = f"receipt {oid.hex()[:12]}"
    if hash_object(COMMIT, body) != oid:
        got = hash_object(COMMIT, body).hex()
        raise FormError(reason(INTEGRITY, "object.hash", where, oid.hex(), got))
    entry = parse_commit(body)
    match = _ENTRY.fullmatch(entry.message)
    if match is None or entry.tree != EMPTY_TREE or len(entry.parents) > 1:
        expected = "an entry (spec/attestation 6.1)"
        raise FormError(reason(INTEGRITY, "receipt.form", where, expected, entry.message))
    return Receipt(
        oid,
        entry.parents[0] if entry.parents else None,
        match.groups()[:8],
        parse_oid(match[6]),
        parse_oid(match[9]),
        entry.identity().seconds,
        Signed(entry.payload, entry.armour),
    )


def judge_signer(
    receipt: Receipt, version: Version, verifier: Verifier, where: str
) -> list[Reason]:
    """Whether a gateway key of the policy that the receipt names has signed it."""
    signature = verifier.verify(
        receipt.signed.payload,
        receipt.signed.armour,
        version.policy.gateway_keys,
        receipt.time_s,
    )
    if signature.status == "good":
        return []
    got = f"{signature.status} {signature.fingerprint}".rstrip()
    expected = "a gateway key of the policy it names"
    return [reason(INTEGRITY, "receipt.signature", where, expected, got)]


class Line(NamedTuple):
    """The watchlog's commits by sequence number. Every ledger commit below `needed` must have a
    receipt: a mirror shows both or neither.
    """

    entries: Chain[Oid]
    needed: int


class Judgement(NamedTuple):
    """What a receipt says of its transaction: the policy that judged it, None where that cannot be
    known; the gateway's clock at that time, 0 without a receipt; what is wrong with the receipt.
    """

    version: Version | None
    accepted_s: int
    reasons: list[Reason]


class Derived(NamedTuple):
    """A ledger commit, and the index and chunk commits that stand there then; `chunks_oid` is
    None where there was no large value.
    """

    ledger_oid: Oid
    index_oid: Oid
    chunks_oid: Oid | None


class Receipts:
    """Asked once for each ledger commit, in order. `count`: receipts that are there and right;
    `pending`: not there yet.
    """

    def __init__(
        self, line: Line, policies: Policies, objects: ProvedObjects, verifier: Verifier
    ) -> None:
        self.count = self.pending = 0
        self._line = line
        self._policies = policies
        self._objects = objects
        self._verifier = verifier
        self._place = 0  # of the policy that judged the commit before

    def of(self, seq: int, commit: Commit, derived: Derived) -> Judgement:
        """What the receipt of a ledger commit says.

        A commit whose receipt has not arrived is judged by the newest policy.
        """
        where = f"receipt {seq}"
        oid = self._line.entries.get(seq)
        if oid is None:
            return self._without(seq, where)
        try:
            receipt = parse_receipt(oid, self._objects.load(oid, COMMIT))
        except FormError as error:
            return Judgement(None, 0, [error.reason._replace(where=where)])
        except IntegrityError as error:
            expected = f"entry {oid.hex()}"
            lost = reason(INTEGRITY, "receipt.missing", where, expected, str(error))
            return Judgement(None, 0, [lost])
        version, found = self._policy_of(receipt.policy, where)
        entries = self._line.entries
        if seq > entries.first_seq and receipt.before != entries.at(seq - 1):
            expected = "the entry before as its parent (spec/attestation 6.1)"
            got = receipt.before.hex() if receipt.before else "none"
            found.append(reason(INTEGRITY, "receipt.form", where, expected, got))
        found += _differences(receipt.fields, seq, commit, derived)
        if version is not None:
            found += judge_signer(receipt, version, self._verifier, where)
        if commit.time_s > receipt.time_s + CLOCK_SKEW_MAX_S:
            expected = f"at most {CLOCK_SKEW_MAX_S} s after the receipt's time {receipt.time_s}"
            got = str(commit.time_s)
            found.append(reason(POLICY, "commit.date", f"commit {seq}", expected, got))
        self.count += not found
        return Judgement(version, receipt.time_s, found)

    def _without(self, seq: int, where: str) -> Judgement:
        if seq < self._line.needed:
            hint = "git fetch, and verify again; if it stays so, the watchlog was cut short"
            expected = "a receipt, since the remote shows the transaction"
            lost = reason(INTEGRITY, "receipt.missing", where, expected, "none", hint)
            return Judgement(None, 0, [lost])
        self.pending += 1
        return Judgement(self._policies.newest, 0, [])

    def _policy_of(self, oid: Oid, where: str) -> tuple[Version | None, list[Reason]]:
        place = self._policies.place_of(oid)
        if place < 0:
            hint = "git fetch, then verify again, unless the policy itself was found wrong"
            expected = "a policy of this clone that could be verified"
            return None, [reason(INTEGRITY, "receipt.policy", where, expected, oid.hex(), hint)]
        found = []
        if place < self._place:
            expected = "the policy of the entry before, or a later one"
            found.append(reason(INTEGRITY, "receipt.policy", where, expected, oid.hex()))
        self._place = max(place, self._place)
        return self._policies.versions[place], found


def _differences(
    said: tuple[bytes, ...], seq: int, commit: Commit, derived: Derived
) -> list[Reason]:
    ledger, index, chunks = (b"-" if oid is None else oid.hex().encode() for oid in derived)
    expected = (
        b"%b@%d" % (commit.ns, seq),
        commit.ns,
        commit.epoch,
        b"%d" % seq,
        commit.txn,
        ledger,
        index,
        chunks,
    )
    return [
        reason(INTEGRITY, "receipt.mismatch", f"receipt {seq}: {name}", wanted, got)
        for name, wanted, got in zip(_FIELDS, expected, said, strict=True)
        if wanted != got
    ]
