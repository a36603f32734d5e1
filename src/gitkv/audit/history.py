"""Re-verifies a whole ledger from its raw objects: every commit, its chain, its index, its trees
(`spec/attestation` 1–5).

Independent of admission: own commit reader (`audit/commit.py`), own jump rule, own index commit.
Trust in signers is the caller's, who hands in `verify`; the watchlog and the judge's clock (1.3,
second half) are left to the caller too, since neither is in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import NamedTuple

from gitkv.audit.commit import (
    Commit,
    chunk_commit,
    index_commit,
    is_first_and_empty,
    parse_commit,
)
from gitkv.audit.limits import AuditRules
from gitkv.audit.step import Loader, Roots, StepFacts, audit_step
from gitkv.model.chain import Chain
from gitkv.model.oid import COMMIT, Oid, hash_object
from gitkv.model.verdict import INTEGRITY, POLICY, REASONS_MAX, Reason, reason

UNLIMITED = AuditRules(
    ranges=((b"", None),),
    value_bytes_max=1 << 62,
    total_bytes_max=1 << 62,
    keys_max=1 << 62,
    lfs_forbidden=False,
)

Verify = Callable[[bytes, bytes], bool]  # (payload, armour) of a commit: is it signed well?
Judged = tuple[
    list[Reason], AuditRules
]  # what is against a commit's signer, and what that signer may do
# Of the commit that stands at this place, and the chunk commit that stands there then, None before
# the first large value
Judge = Callable[[int, Oid, Commit, Oid | None], Judged]

_BACKWARDS_MAX_S = 600
_RESTORE = re.compile(rb"restore ([a-z0-9._-]+)@(0|[1-9][0-9]{0,14})")


class Trust(NamedTuple):
    """What the caller knows of signers: `judge` is asked once for each commit, in order;
    `verify_gateway` as in `audit_history`.

    Signers and trees of the sequence numbers up to `trusted_to` are taken as right; place, form and
    index of their commits are not. `first_seq`: of the first commit; of one after 0 the place is
    taken as right too, for what stands before it is not there, so it must be trusted. `chunks`: the
    chunk commit that stands there before it.
    """

    judge: Judge
    verify_gateway: Verify | None = None
    trusted_to: int = -1
    first_seq: int = 0
    chunks: Oid | None = None


def audit_history(
    commits: Iterable[tuple[Oid, bytes]],
    index_commits: Iterable[tuple[Oid, bytes]],
    load: Loader,
    *,
    rules: AuditRules = UNLIMITED,
    verify: Verify | None = None,
    verify_gateway: Verify | None = None,
) -> list[Reason]:
    """Every breach found, at most REASONS_MAX; none means the ledger is right.

    `commits`, `index_commits`: ids and bodies from the first commit (sequence number 0) on.
    `verify` None leaves signatures unchecked; `verify_gateway` says whether a gateway key signed,
    which a restoration needs (2.5), and None leaves that unchecked. Stops at the first commit that
    cannot be read. Behind one whose trees are wrong no trees are judged, for they would be judged
    by a wrong state, until a restoration leads back to before it.
    """
    return audit_chain(
        commits,
        index_commits,
        load,
        Trust(
            lambda seq, oid, commit, chunks: (_unsigned(seq, commit, verify), rules),
            verify_gateway,
        ),
    )


def audit_chain(
    commits: Iterable[tuple[Oid, bytes]],
    index_commits: Iterable[tuple[Oid, bytes]],
    load: Loader,
    trust: Trust,
) -> list[Reason]:
    """`audit_history` where every commit has a judge of its signer, and perhaps a start that is
    trusted.
    """
    chain = _Chain(load, trust)
    for ledger, index in zip_longest(commits, index_commits):
        if ledger is None or index is None:
            chain.refuse(
                "chain.length", "one index commit for each ledger commit", "a chain that ends early"
            )
        elif chain.accept(ledger, index):
            continue
        break
    return [*chain.reasons, *chain.not_undone][:REASONS_MAX]


def jump_of(seq: int) -> int:
    """3.1: the sequence number that the commit of `seq` names; 0 for the first, which names none.

    `seq` as a skew binary number is a sum of weights 2^k - 1; the jump leaves out the last one.
    """
    rest = last = max(seq, 0)
    while rest:
        last = (1 << (rest + 1).bit_length() - 1) - 1
        rest -= last
    return seq - last


class _Chain:
    """What is known of the ledger so far; grows by one commit at a time."""

    def __init__(self, load: Loader, trust: Trust) -> None:
        self._load = load
        self._trust = trust
        self._ids: Chain[Oid] = Chain(trust.first_seq)
        self._states: Chain[Roots] = Chain(trust.first_seq)
        self._txns: set[bytes] = set()
        self._last: Commit | None = None
        self._index: Oid | None = None
        self._chunks: Oid | None = trust.chunks
        self._wrong_since: int | None = (
            None  # the first sequence number whose trees are wrong and not restored away
        )
        self.not_undone: list[Reason] = []
        self.reasons: list[Reason] = []

    def refuse(
        self, rule: str, expected: str | bytes, got: str | bytes, code: int = INTEGRITY
    ) -> None:
        self.reasons.append(reason(code, rule, f"commit {self._ids.next_seq}", expected, got))

    def accept(self, ledger: tuple[Oid, bytes], index: tuple[Oid, bytes]) -> bool:
        """Judges the next pair of commits; False when nothing sensible can be said of those that
        follow.
        """
        oid, body = ledger
        if hash_object(COMMIT, body) != oid:
            self.refuse("object.hash", oid.hex(), hash_object(COMMIT, body).hex())
        try:
            commit = parse_commit(body)
        except ValueError as broken:
            self.refuse("commit.form", "the form of spec/attestation 1 and 2", str(broken))
            return False
        seq = self._ids.next_seq
        self._judge_place(seq, commit)
        if self._last is not None or seq == 0:
            self._judge_index(oid, commit, index)
        if self._last is not None and commit.chunks_tree != self._last.chunks_tree:
            self._chunks = hash_object(COMMIT, chunk_commit(oid, commit, self._chunks))
        if seq > self._trust.trusted_to:
            found, rules = self._trust.judge(seq, oid, commit, self._chunks)
            self.reasons += found
            self._judge_trees(commit, rules)
        self._ids.append(oid)
        self._states.append(_roots(commit))
        self._txns.add(commit.txn)
        self._last, self._index = commit, index[0]
        return len(self.reasons) < REASONS_MAX

    def _judge_place(self, seq: int, commit: Commit) -> None:
        """2.3, 3.2, 1.3: everything a trailer repeats of the chain."""
        last = self._last
        facts = [("attestation.seq", b"%d" % seq, b"%d" % commit.seq)]
        if last is not None:
            parent = self._ids.last.hex().encode()
            facts += [
                ("commit.parent", parent, commit.parent or b"-"),
                ("attestation.base", parent, commit.base),
                ("attestation.base-tree", last.tree, commit.base_tree),
                ("attestation.ns", last.ns, commit.ns),
                ("attestation.epoch", last.epoch, commit.epoch),
            ]
            jump = self._ids.get(jump_of(seq))
            if jump is not None:  # else it stands before the chain
                facts.append(("attestation.jump", jump.hex().encode(), commit.jump))
        elif seq == 0:
            facts += [
                ("commit.parent", b"-", commit.parent or b"-"),
                ("attestation.base", b"-", commit.base),
                ("attestation.base-tree", b"-", commit.base_tree),
                ("attestation.jump", b"-", commit.jump),
            ]
        for rule, expected, got in facts:
            if expected != got:
                self.refuse(rule, expected, got)
        if commit.txn in self._txns:
            self.refuse("transaction.reused", "a transaction id of its own", commit.txn)
        if last is not None and commit.time_s < last.time_s - _BACKWARDS_MAX_S:
            self.refuse(
                "commit.date",
                f"at least {last.time_s - _BACKWARDS_MAX_S}",
                str(commit.time_s),
                POLICY,
            )

    def _judge_index(self, oid: Oid, commit: Commit, index: tuple[Oid, bytes]) -> None:
        body = index_commit(oid, commit, self._index)
        if index != (hash_object(COMMIT, body), body):
            self.refuse("index.commit", hash_object(COMMIT, body).hex(), index[0].hex())

    def _judge_trees(self, commit: Commit, rules: AuditRules) -> None:
        seq = self._ids.next_seq
        if self._last is None:
            if not is_first_and_empty(commit):
                self._wrong_since = seq
                self.refuse(
                    "attestation.counts", "an empty first commit", f"tree {commit.tree.decode()}"
                )
        elif commit.keys_set == commit.keys_del == 0:
            self._judge_restoration(commit)
        elif self._wrong_since is None:
            facts = StepFacts(seq, commit.keys_set, commit.keys_del)
            found = audit_step(self._states.last, _roots(commit), facts, rules, self._load).reasons
            self.not_undone = [
                entry._replace(where=f"commit {seq}: {entry.where}") for entry in found
            ]
            self._wrong_since = seq if found else None

    def _judge_restoration(self, commit: Commit) -> None:
        """2.5, 2.6: the gateway leads back to an earlier state; a violation after it no longer
        makes the ledger wrong.
        """
        match = _RESTORE.fullmatch(commit.subject)
        state = self._states.get(int(match[2])) if match is not None else None
        if match is None or match[1] != commit.ns or state is None:
            self.refuse(
                "transaction.empty",
                "a changed key, or an earlier state to restore",
                commit.subject,
                POLICY,
            )
            return
        seq = int(match[2])
        if _roots(commit) != state:
            self.refuse(
                "restore.trees",
                f"the trees of sequence number {seq}",
                f"tree {commit.tree.decode()}",
            )
        verify_gateway = self._trust.verify_gateway
        if verify_gateway is not None and not verify_gateway(commit.payload, commit.armour or b""):
            self.refuse(
                "restore.signature", "the signature of a gateway key", "another one", POLICY
            )
        if self._wrong_since is not None and seq < self._wrong_since:
            self._wrong_since, self.not_undone = None, []


def _unsigned(seq: int, commit: Commit, verify: Verify | None) -> list[Reason]:
    if verify is None:
        return []
    if commit.armour is None:
        return [reason(POLICY, "signature.missing", f"commit {seq}", "a signature", "none")]
    if not verify(commit.payload, commit.armour):
        return [
            reason(
                POLICY,
                "signature.bad",
                f"commit {seq}",
                "a good signature",
                "one that does not verify",
            )
        ]
    return []


def _roots(commit: Commit) -> Roots:
    ledger, index = (Oid(bytes.fromhex(tree.decode())) for tree in (commit.tree, commit.index_tree))
    if commit.chunks_tree == b"-":
        return Roots(ledger, index)
    return Roots(ledger, index, Oid(bytes.fromhex(commit.chunks_tree.decode())))
