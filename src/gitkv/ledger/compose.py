"""Composing the commits of a transaction: ledger commit, signature, derived index commit
(spec/attestation 1 to 4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gitkv.ledger.ordered_tree import Emit
from gitkv.ledger.plan import Plan
from gitkv.ledger.seek import LedgerCommit, Load, jump_target, read_ledger_commit
from gitkv.model.attestation import Attestation, format_message
from gitkv.model.commit import (
    Identity,
    IndexFacts,
    commit_payload,
    index_commit,
    parse_commit,
    sign_payload,
)
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid
from gitkv.model.refs import EpochLabel, Namespace, RefUpdate, index_ref
from gitkv.model.verdict import INTEGRITY, FormError, reason

Sign = Callable[[bytes], bytes]  # payload -> armour; empty armour leaves the commit unsigned


class Tip(NamedTuple):
    """Where a namespace stands: its last ledger commit and the index commit that belongs to it."""

    ledger: LedgerCommit
    index_oid: Oid

    @property
    def ns(self) -> Namespace:
        """The namespace of the ledger."""
        return self.ledger.attestation.ns

    @property
    def seq(self) -> int:
        """The sequence number of the transaction."""
        return self.ledger.seq

    @property
    def heads(self) -> Heads:
        """The commits that the namespace's refs point to."""
        return Heads(self.ledger.oid, self.index_oid)

    @property
    def trees(self) -> tuple[Oid, Oid]:
        """Trees of the ledger and the index commit."""
        return self.ledger.commit.tree, self.ledger.attestation.index_tree


class Stamp(NamedTuple):
    """Who makes a transaction, when, under which id (UUID version 7), and what they say of it."""

    identity: Identity
    txn: str
    text: str


class Transaction(NamedTuple):
    """A composed transaction: the new tip, and the heads it was built on; None for the first."""

    tip: Tip
    before: Heads | None

    @property
    def updates(self) -> list[RefUpdate]:
        """The refs that move to it."""
        return self.tip.heads.move_from(self.before, self.tip.ns)


def read_tip(heads: Heads, load: Load) -> Tip:
    """Raises FormError when the index commit is not the one that belongs to the ledger commit
    (spec/attestation 4.2).
    """
    commit = read_ledger_commit(heads.ledger, load)
    parents = parse_commit(load(heads.index_oid, COMMIT)).parents
    expected, _ = index_commit(index_facts(commit, parents[0] if parents else None))
    if expected != heads.index_oid:
        raise FormError(
            reason(
                INTEGRITY,
                "index.commit",
                index_ref(commit.attestation.ns),
                expected.hex(),
                heads.index_oid.hex(),
            )
        )
    return Tip(commit, heads.index_oid)


def index_facts(ledger: LedgerCommit, previous: Oid | None) -> IndexFacts:
    """What the index commit of `ledger` is derived from."""
    attestation = ledger.attestation
    return IndexFacts(
        attestation.ns,
        attestation.seq,
        ledger.oid,
        ledger.commit.identity().seconds,
        attestation.index_tree,
        previous,
    )


def compose(base: Tip, plan: Plan, stamp: Stamp, sign: Sign, load: Load, emit: Emit) -> Transaction:
    """The transaction of `plan` on `base`; its commits go to `emit`. The time is never before the
    base's (spec/attestation 1.3).
    """
    parent = base.ledger
    attestation = Attestation(
        ns=base.ns,
        txn=stamp.txn,
        seq=base.seq + 1,
        base=parent.oid,
        base_tree=parent.commit.tree,
        jump=jump_target(parent, load),
        index_tree=plan.index_tree,
        epoch=parent.attestation.epoch,
        keys_set=plan.keys_set,
        keys_del=plan.keys_del,
    )
    seconds = max(stamp.identity.seconds, parent.commit.identity().seconds)
    identity = stamp.identity._replace(seconds=seconds)
    return _finish(attestation, plan.ledger_tree, base.heads, (identity, stamp.text), sign, emit)


def compose_first(
    ns: Namespace, epoch: EpochLabel, stamp: Stamp, sign: Sign, emit: Emit
) -> Transaction:
    """The empty first transaction of a new ledger (sequence number 0)."""
    attestation = Attestation(ns, stamp.txn, 0, None, None, None, EMPTY_TREE, epoch, 0, 0)
    emit(b"tree", b"")
    return _finish(attestation, EMPTY_TREE, None, (stamp.identity, stamp.text), sign, emit)


def _finish(
    attestation: Attestation,
    tree: Oid,
    before: Heads | None,
    words: tuple[Identity, str],
    sign: Sign,
    emit: Emit,
) -> Transaction:
    identity, text = words
    payload = commit_payload(
        tree,
        () if before is None else (before.ledger,),
        identity.line(),
        format_message(text, attestation),
    )
    armour = sign(payload)
    body = sign_payload(payload, armour) if armour else payload
    oid = emit(COMMIT, body)
    ledger = LedgerCommit(oid, parse_commit(body), text.encode(), attestation)
    index_oid, index_body = index_commit(index_facts(ledger, before.index_oid if before else None))
    emit(COMMIT, index_body)
    return Transaction(Tip(ledger, index_oid), before)
