"""`git kv verify`: decides the trusted ledger again from this clone's objects, offline, by code
that the writer does not use.

The structure is `audit/history.py`'s; beside it run the receipts and the signers, each
commit under the policy that judged it. The memory it takes grows with the number of commits (some
hundred bytes each), not with what they hold.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from gitkv.audit.commit import Commit, parse_commit
from gitkv.audit.history import UNLIMITED, Judged, Trust, audit_chain
from gitkv.client.replica import Heads, Replica
from gitkv.client.state import trusted_state
from gitkv.client.verify_objects import ProvedObjects, commits_of, line_to
from gitkv.client.verify_policies import Policies, Version, standalone_policies, team_policies
from gitkv.client.verify_receipts import Receipts, receipts_line
from gitkv.client.verify_signers import Signers
from gitkv.errors import IntegrityError, UsageError
from gitkv.model.oid import COMMIT, ZERO_OID, Oid
from gitkv.model.verdict import INTEGRITY, REASONS_MAX, FormError, Reason, reason
from gitkv.reading.revisions import resolve_revision
from gitkv.sign.verifier import SignatureVerifier


class Verified(NamedTuple):
    """What was found; no `reasons`: everything is right.

    `first`, `last`: sequence numbers, of which the first is the trusted start if `since` was given;
    `commit`: the last ledger commit; `transactions`: how many were judged; `signers`: transactions
    by principal; `receipts`, `without_receipt`: how many have one, and how many have none yet;
    `policies`: versions of the policy; `gateway`: fingerprint of the gateway key all trust begins
    with, "" for none.



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
    reasons: tuple[Reason, ...]


class _Range(NamedTuple):
    """`ledger`, `indexes`: commits from the first on; everything up to `trusted_to` is trusted (-1:
    nothing is).
    """

    ledger: list[Oid]
    indexes: list[Oid]
    trusted_to: int


def verify(replica: Replica, since: str, to: str) -> Verified:
    """Raises UsageError for a revision that is not in the ledger, ToolError without one,
    IntegrityError when lines cannot be followed.
    """
    heads = replica.heads()
    if heads is None:
        raise replica.no_ledger()
    span = _range(replica, heads, since, to)
    work = _Verification(replica, span)
    reasons = work.run()
    return Verified(
        ns=replica.ns,
        first=max(span.trusted_to, 0),
        last=len(span.ledger) - 1,
        commit=span.ledger[-1].hex(),
        transactions=work.judged,
        signers=dict(sorted(work.signers.counts.items())),
        receipts=work.receipts.count if work.receipts is not None else 0,
        without_receipt=work.receipts.pending if work.receipts is not None else 0,
        policies=len(work.policies.versions),
        gateway=work.policies.gateway,
        reasons=tuple(reasons[:REASONS_MAX]),
    )


def _range(replica: Replica, heads: Heads, since: str, to: str) -> _Range:
    first = resolve_revision(trusted_state(replica), since).seq if since else -1
    ledger, index = line_to(replica, heads[0]), line_to(replica, heads[1])
    if to:
        last = resolve_revision(trusted_state(replica), to).seq
        ledger, index = ledger[: last + 1], index[: last + 1]
    if first >= len(ledger):
        raise UsageError(f"--from {since} comes after --to {to or 'the tip'}")
    return _Range(ledger, index, first)


class _Verification:
    """One run. `judged`: commits whose signer and trees were looked at; `receipts` is None in a
    standalone store.
    """

    def __init__(self, replica: Replica, span: _Range) -> None:
        self._replica = replica
        self._span = span
        self._objects = ProvedObjects(replica.objects)
        self._verifier = SignatureVerifier(
            os.path.join(replica.directory, "gnupg"), replica.edge.env
        )
        self._version: Version | None = None  # the policy of the commit that is looked at
        self.judged = 0
        self.policies = Policies()
        self.receipts: Receipts | None = None
        self.signers = Signers(replica.ns, self._verifier, span.trusted_to)

    def run(self) -> list[Reason]:
        reasons: list[Reason] = []
        try:
            reasons += self._prepare()
            trust = Trust(self._judge, self._is_gateway, self._span.trusted_to)
            commits, indexes = (
                commits_of(self._replica, line) for line in (self._span.ledger, self._span.indexes)
            )
            reasons += audit_chain(commits, indexes, self._objects, trust)
        except FormError as error:
            reasons.append(error.reason)
        except IntegrityError as error:
            reasons.append(
                reason(
                    INTEGRITY,
                    "object.missing",
                    "this clone",
                    "every object of the history",
                    str(error),
                    error.hint,
                )
            )
        return reasons

    def _prepare(self) -> list[Reason]:
        """Policies and receipts: what stands beside the ledger. Raises FormError,
        IntegrityError.
        """
        epoch = self._epoch()
        if not self._replica.remote:
            self.policies = standalone_policies(self._replica, self._objects)
            return []
        self.policies, reasons = team_policies(self._replica, self._objects, self._verifier)
        line = receipts_line(self._replica, epoch, self._span.ledger)
        self.receipts = Receipts(line, self.policies, self._objects, self._verifier)
        return reasons

    def _epoch(self) -> str:
        try:
            first = parse_commit(self._objects.load(self._span.ledger[0], COMMIT))
        except ValueError as broken:
            raise FormError(
                reason(
                    INTEGRITY,
                    "commit.form",
                    "commit 0",
                    "the form of spec/attestation 1 and 2",
                    str(broken),
                )
            ) from None
        if first.ns.decode() != self._replica.ns:
            raise FormError(
                reason(INTEGRITY, "attestation.ns", "commit 0", self._replica.ns, first.ns)
            )
        return first.epoch.decode()

    def _judge(self, seq: int, oid: Oid, commit: Commit) -> Judged:
        self.judged += 1
        self._version, found = self._judging_policy(seq, oid, commit)
        if self._version is None:
            return found, UNLIMITED
        against, rules = self.signers.judge(seq, commit, self._version)
        return found + against, rules

    def _judging_policy(
        self, seq: int, oid: Oid, commit: Commit
    ) -> tuple[Version | None, list[Reason]]:
        """A standalone store's first commit was judged by nobody; its others by the policy of their
        time, if there was one.
        """
        if self.receipts is None:
            return (self.policies.at(commit.time_s) if seq else None), []
        index = self._span.indexes[seq] if seq < len(self._span.indexes) else ZERO_OID
        return self.receipts.of(seq, commit, (oid, index))

    def _is_gateway(self, payload: bytes, armour: bytes) -> bool:
        """Of a restoration, which nobody makes in a standalone store."""
        return self._version is not None and self.signers.is_gateway(payload, armour, self._version)
