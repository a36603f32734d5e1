"""Re-verifies a namespace from raw objects: the ledger by the second opinion, its receipts, the
signers, and the policies that judged each commit.

The caller says what its refs show. The memory it takes grows with the number of commits (some
hundred bytes each), not with what they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gitkv.audit.commit import Commit, parse_commit
from gitkv.audit.history import UNLIMITED, Judged, Trust, audit_chain
from gitkv.audit.limits import CHUNKS_UNREAD
from gitkv.errors import IntegrityError
from gitkv.model.chain import Chain
from gitkv.model.gateway_act import BEGIN, parse_gateway_act
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, ZERO_OID, Oid
from gitkv.model.refs import EpochLabel, Namespace
from gitkv.model.verdict import INTEGRITY, REASONS_MAX, FormError, Reason, reason
from gitkv.ports import ObjectStore, Verifier
from gitkv.verifying.anchors import Anchor, judge_anchors
from gitkv.verifying.objects import ProvedObjects, Sighting, line_to, one_line
from gitkv.verifying.policies import (
    OwnPolicy,
    Policies,
    Version,
    judge_policies,
    own_policies,
)
from gitkv.verifying.receipts import Derived, Line, Receipts, parse_receipt
from gitkv.verifying.signers import Signers

_FIRST_SEQ = 0  # of the oldest commit that a line can be followed back to


class Unjudged(NamedTuple):
    """Something that could not be judged, and what to do about it."""

    what: str
    hint: str


class Seen(NamedTuple):
    """What the refs of a repository show of a namespace.

    `heads`: the trusted ledger and index commit. `ledgers`: where else the ledger was seen;
    `watchlogs`: by epoch; `proved`: entries of the newest one that were proved before; `policies`:
    tips that are the policy's; `maybe_policies`: tips that may be another branch's, asked when
    there are no `policies`; `own_policies`: what stands on the main branch of this repository,
    oldest first. `is_standalone`: this repository is the store, nobody gives receipts. `is_writer`:
    transactions of its own may be ahead of what it was shown. `fetches_receipts`: a remote's
    watchlog would be here if it had one. `gaps`: why objects may be missing with nothing wrong.
    """

    ns: Namespace
    heads: Heads
    ledgers: tuple[Sighting, ...] = ()
    watchlogs: Mapping[EpochLabel, tuple[Sighting, ...]] = {}
    proved: tuple[Sighting, ...] = ()
    policies: tuple[Sighting, ...] = ()
    maybe_policies: tuple[Sighting, ...] = ()
    own_policies: tuple[OwnPolicy, ...] = ()
    is_standalone: bool = False
    is_writer: bool = False
    fetches_receipts: bool = False
    gaps: tuple[Unjudged, ...] = ()


class Request(NamedTuple):
    """Everything up to the sequence number `trusted_to` is trusted (-1: nothing is); `to`: the last
    one to judge, None for the newest. `with_chunks`: whether the chunk store is looked at, as far
    as the ledger's own objects do not say what it holds.
    """

    trusted_to: int = -1
    to: int | None = None
    anchors: tuple[Anchor, ...] = ()
    with_chunks: bool = True


class Verified(NamedTuple):
    """What was found; no `reasons` and nothing `unjudged`: everything is right.

    `first`, `last`: sequence numbers, of which the first is the trusted start if `since` was given;
    `commit`: the last ledger commit; `transactions`: how many were judged; `signers`: transactions
    by principal; `receipts`, `without_receipt`: how many have one, and how many have none yet;
    `policies`: versions of the policy; `gateway`: fingerprint of the gateway key all trust begins
    with, "" for none; `standalone`: the repository is the store, and nobody else vouches for it;
    `anchors`: those that were found; `chunks_unread`: transactions that brought chunks which were
    not looked at, as it was asked.
    """

    ns: str
    first: int
    last: int
    commit: str
    transactions: int
    signers: dict[str, int]
    receipts: int
    without_receipt: int
    policies: int
    gateway: str
    standalone: bool
    anchors: tuple[str, ...]
    chunks_unread: int
    unjudged: tuple[Unjudged, ...]
    reasons: tuple[Reason, ...]


def verify_ledger(
    seen: Seen, request: Request, objects: ObjectStore, verifier: Verifier
) -> Verified:
    """Judges the namespace from its first commit on; everything that is wrong is in the answer."""
    work = _Verification(seen, request, ProvedObjects(objects), verifier)
    return work.result(work.run())


class _Verification:
    """One run. `judged`: commits whose signer and trees were looked at; `receipts` is None where
    there are none to look at.
    """

    def __init__(
        self, seen: Seen, request: Request, objects: ProvedObjects, verifier: Verifier
    ) -> None:
        self._seen = seen
        self._request = request
        self._objects = objects
        self._verifier = verifier
        self._ledger: Chain[Oid] = Chain()
        self._index: Chain[Oid] = Chain()
        self._watchlog: Chain[Oid] = Chain()
        self._version: Version | None = None  # the policy of the commit that is looked at
        self._is_standalone = False
        self._judged = self._chunks_unread = 0
        self._chunks: Oid | None = None  # the chunk commit of the commit that is looked at
        self._policies = Policies()
        self._receipts: Receipts | None = None
        self._signers = Signers(seen.ns, verifier, request.trusted_to)
        self._unjudged: list[Unjudged] = []
        self._anchored: tuple[str, ...] = ()

    def run(self) -> list[Reason]:
        """What is wrong."""
        reasons: list[Reason] = []
        try:
            reasons += self._prepare()
            trust = Trust(self._judge, self._is_gateway, self._request.trusted_to)
            commits = self._objects.commits(self._ledger)
            indexes = self._objects.commits(self._index)
            reasons += audit_chain(commits, indexes, self._objects, trust)
            reasons += self._judge_chunk_head()
            reasons += self._judge_anchors()
            self._require_receipts()
        except FormError as error:
            reasons.append(error.reason)
        except IntegrityError as error:
            expected = "every object of the history"
            lost = reason(
                INTEGRITY, "object.missing", "this clone", expected, str(error), error.hint
            )
            reasons.append(lost)
        return self._without_gaps(reasons)

    def result(self, reasons: list[Reason]) -> Verified:
        receipts = self._receipts
        last = self._ledger.last.hex() if len(self._ledger) else self._seen.heads.ledger.hex()
        return Verified(
            ns=self._seen.ns,
            first=max(self._request.trusted_to, 0),
            last=max(self._ledger.last_seq, 0),
            commit=last,
            transactions=self._judged,
            signers=dict(sorted(self._signers.counts.items())),
            receipts=receipts.count if receipts is not None else 0,
            without_receipt=receipts.pending if receipts is not None else 0,
            policies=len(self._policies.versions),
            gateway=self._policies.gateway,
            standalone=self._is_standalone,
            anchors=self._anchored,
            chunks_unread=self._chunks_unread,
            unjudged=tuple(self._unjudged),
            reasons=tuple(reasons[:REASONS_MAX]),
        )

    # What stands beside the ledger

    def _prepare(self) -> list[Reason]:
        """Lines of commits, policies and receipts. Raises FormError, IntegrityError."""
        seen, objects = self._seen, self._objects
        trusted = Sighting("the trusted ledger", seen.heads.ledger)
        line = Chain(_FIRST_SEQ, one_line((trusted, *seen.ledgers), objects))
        whole = _seq_of(line, seen.heads.ledger)
        to = whole if self._request.to is None else self._request.to
        self._ledger = line.up_to(to)
        self._index = Chain(_FIRST_SEQ, line_to(seen.heads.index_oid, objects)).up_to(to)
        first = self._first()
        shown = seen.watchlogs.get(EpochLabel(first.epoch.decode()), ())
        watchlogs = (*seen.proved, *shown)
        self._watchlog = Chain(_FIRST_SEQ, one_line(watchlogs, objects))
        begun_by_gateway = _is_begun_by_gateway(first)
        if seen.is_standalone and not watchlogs and not begun_by_gateway:
            self._is_standalone = True
            self._policies = own_policies(seen.own_policies, objects.load)
            return []
        needed = self._needed(line, whole)
        would_be_here = seen.fetches_receipts or (seen.is_writer and needed > _FIRST_SEQ)
        if not watchlogs and not (begun_by_gateway and would_be_here):
            self._unjudged.append(_no_receipts(seen.ns, begun_by_gateway))
            return []
        return self._team(needed, line)

    def _team(self, needed: int, line: Chain[Oid]) -> list[Reason]:
        policy_line = self._policy_line()
        if not policy_line:
            what = "the policy, signers and receipts: the branch main of the remote is not here"
            self._unjudged.append(Unjudged(what, "git fetch REMOTE main"))
            return []
        self._policies, reasons = judge_policies(
            self._objects.commits(policy_line), self._objects.load, self._verifier
        )
        self._receipts = Receipts(
            Line(self._watchlog, needed), self._policies, self._objects, self._verifier
        )
        if self._watchlog.next_seq > line.next_seq:
            hint = "git fetch, and verify again; if it stays so, the ledger was rolled back"
            expected = f"the ledger up to its newest receipt, @{self._watchlog.last_seq}"
            got = f"one that ends with @{line.last_seq}"
            reasons.append(
                reason(INTEGRITY, "ledger.cut", f"ledger {self._seen.ns}", expected, got, hint)
            )
        return reasons

    def _needed(self, line: Chain[Oid], trusted: int) -> int:
        """The sequence number below which every ledger commit must have a receipt: those that a
        remote has shown, and in a repository that writes nothing that is all of them.
        """
        if not self._seen.is_writer:
            return trusted + 1
        shown = max((_seq_of(line, tip) for _, tip in self._seen.ledgers), default=_FIRST_SEQ - 1)
        return min(trusted, shown) + 1

    def _policy_line(self) -> list[Oid]:
        if self._seen.policies:
            return one_line(self._seen.policies, self._objects)
        named = self._newest_named()
        if named is None:
            return []
        line = line_to(named, self._objects)
        for sighting in self._seen.maybe_policies:
            other = line_to(sighting.tip, self._objects)
            if other[0] == line[0]:  # a branch that begins as the policy does is the policy
                line = one_line((Sighting("the newest receipt", line[-1]), sighting), self._objects)
        return line

    def _newest_named(self) -> Oid | None:
        """The policy that the newest receipt names."""
        if not len(self._watchlog):
            return None
        oid = self._watchlog.last
        return parse_receipt(oid, self._objects.load(oid, COMMIT)).policy

    def _first(self) -> Commit:
        try:
            first = parse_commit(self._objects.load(self._ledger.at(0), COMMIT))
        except ValueError as broken:
            expected = "the form of spec/attestation 1 and 2"
            raise FormError(
                reason(INTEGRITY, "commit.form", "commit 0", expected, str(broken))
            ) from None
        if first.ns.decode() != self._seen.ns:
            raise FormError(
                reason(INTEGRITY, "attestation.ns", "commit 0", self._seen.ns, first.ns)
            )
        return first

    # What is asked of each commit, and at the end

    def _judge(self, seq: int, oid: Oid, commit: Commit, chunks: Oid | None) -> Judged:
        self._judged += 1
        is_moved, self._chunks = chunks != self._chunks, chunks
        against, rules = self._judge_receipt(seq, oid, commit)
        if self._request.with_chunks:
            return against, rules
        self._chunks_unread += is_moved
        return against, rules._replace(chunks=CHUNKS_UNREAD)

    def _judge_chunk_head(self) -> list[Reason]:
        """That the chunk ref shows the commits that follow from the ledger's. A mirror may be ahead
        with it, what is trusted here may not.
        """
        head = self._seen.heads.chunks
        if self._request.to is not None or not self._judged:
            return []
        if self._chunks is not None and self._request.with_chunks:
            line_to(self._chunks, self._objects)  # raises when one is not here
        shown = None if head is None else head.oid
        if shown == self._chunks:
            return []
        expected, got = ("none" if oid is None else oid.hex() for oid in (self._chunks, shown))
        where = f"chunk store of {self._seen.ns}"
        return [reason(INTEGRITY, "chunks.commit", where, expected, got)]

    def _judge_receipt(self, seq: int, oid: Oid, commit: Commit) -> Judged:
        accepted_s = 0
        found: list[Reason] = []
        if self._receipts is not None:
            derived = Derived(oid, self._index.get(seq) or ZERO_OID, self._chunks)
            self._version, accepted_s, found = self._receipts.of(seq, commit, derived)
        elif self._is_standalone and seq:  # the first commit was judged by nobody
            self._version = self._policies.at(commit.time_s)
        if self._version is None:
            return found, UNLIMITED
        against, rules = self._signers.judge(seq, commit, self._version, accepted_s)
        return found + against, rules

    def _is_gateway(self, payload: bytes, armour: bytes) -> bool:
        """Of a restoration, which nobody makes in a standalone store."""
        if self._unjudged:
            return True  # nothing is known of the gateway's keys, and the answer says so
        return self._version is not None and self._signers.is_gateway(
            payload, armour, self._version
        )

    def _judge_anchors(self) -> list[Reason]:
        history = {
            *self._ledger,
            *self._index,
            *self._watchlog.up_to(self._ledger.last_seq),
            *(version.oid for version in self._policies.versions),
        }
        where = f"{self._seen.ns}@0..@{self._ledger.last_seq}"
        anchors, gateway = self._request.anchors, self._policies.gateway
        found = [judge_anchors([anchor], gateway, history, where) for anchor in anchors]
        self._anchored = tuple(
            anchor.text for anchor, against in zip(anchors, found, strict=True) if not against
        )
        return [entry for against in found for entry in against]

    def _require_receipts(self) -> None:
        """A writer's own transactions may wait for their receipts, a whole history does not."""
        receipts = self._receipts
        if receipts is not None and receipts.pending and not len(self._watchlog):
            hint = "git fetch, then verify again"
            self._unjudged.append(Unjudged("the receipts: none has been fetched yet", hint))

    def _without_gaps(self, reasons: list[Reason]) -> list[Reason]:
        """What is missing where objects may be missing is not wrong, but it was not judged."""
        lost = [oid.hex() for oid in self._objects.missing]
        if not lost or not self._seen.gaps:
            return reasons
        kept = [
            entry
            for entry in reasons
            if entry.rule not in ("object.missing", "receipt.missing", "chunks.missing")
            or not any(oid in f"{entry.where} {entry.got} {entry.expected}" for oid in lost)
        ]
        if len(kept) < len(reasons):
            self._unjudged += [
                gap._replace(what=f"{gap.what} {lost[0]}") for gap in self._seen.gaps
            ]
        return kept


def _seq_of(line: Chain[Oid], oid: Oid) -> int:
    """Of a commit that is known to stand on the line."""
    seq = line.seq_of(oid)
    assert seq is not None
    return seq


def _is_begun_by_gateway(first: Commit) -> bool:
    act = parse_gateway_act(first.subject)
    return act is not None and act.kind == BEGIN and act.ns.encode() == first.ns


def _no_receipts(ns: Namespace, begun_by_gateway: bool) -> Unjudged:
    if begun_by_gateway:
        return Unjudged(
            f"signers, policy and receipts: a Stargate began this ledger, and no watchlog of {ns} "
            "is here",
            "git fetch REMOTE '+refs/kv*:refs/kv*' (as a reader), or: git kv remote setup",
        )
    return Unjudged(
        f"signers, policy and receipts: no watchlog of {ns} is here, and nothing says that this "
        "repository is the store itself",
        f"if it is the store, and no copy of one: git config kv.{ns}.standalone true",
    )
