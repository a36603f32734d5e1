"""Composing the commits of a transaction: ledger commit, signature, derived index and chunk
commits (spec/attestation 1 to 4).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from gitkv.ledger.ordered_tree import Emit
from gitkv.ledger.plan import Plan
from gitkv.ledger.roots import Trees
from gitkv.ledger.seek import LedgerCommit, Load, jump_target, read_ledger_commit, seek
from gitkv.model.attestation import Attestation, format_message
from gitkv.model.commit import (
    DerivedFacts,
    Identity,
    chunk_commit,
    commit_payload,
    index_commit,
    parse_commit,
    sign_payload,
)
from gitkv.model.heads import ChunkHead, Heads
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid
from gitkv.model.refs import EpochLabel, Namespace, RefUpdate, chunks_ref, index_ref, ledger_ref
from gitkv.model.verdict import INTEGRITY, FormError, reason

_LEDGER_OF = re.compile(
    rb"chunks of [a-z0-9._-]+@(0|[1-9][0-9]{0,14})\n\nKV-Version: 1\nKV-Ledger: [0-9a-f]{40}\n"
)

Sign = Callable[[bytes], bytes]  # payload -> armour; empty armour leaves the commit unsigned


class Tip(NamedTuple):
    """Where a namespace stands: its last ledger commit, the index commit that belongs to it, and
    the epoch's newest chunk commit, None where there was no large value.
    """

    ledger: LedgerCommit
    index_oid: Oid
    chunks_oid: Oid | None = None

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
        chunks = self.chunks_oid
        head = None if chunks is None else ChunkHead(self.ledger.attestation.epoch, chunks)
        return Heads(self.ledger.oid, self.index_oid, head)

    @property
    def trees(self) -> Trees:
        """The trees of its commits."""
        attestation = self.ledger.attestation
        return Trees(self.ledger.commit.tree, attestation.index_tree, attestation.chunks_tree)


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


def read_tip(heads: Heads, load: Load, *, with_chunks: bool = True) -> Tip:
    """Raises FormError when the index commit is not the one that belongs to the ledger commit
    (spec/attestation 4.2), or the chunk commit none that could (4.3); that one is not looked at
    without `with_chunks`, where chunk commits are not kept.
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
    if with_chunks and heads.chunks is not None:
        _require_chunks(commit, heads.chunks, load)
    elif with_chunks:
        _require(commit, EMPTY_TREE, "none")
    return Tip(commit, heads.index_oid, heads.chunks.oid if heads.chunks else None)


def chunks_at(ledger: LedgerCommit, known: Heads, load: Load) -> ChunkHead | None:
    """The chunk head of a ledger commit, derived from the heads of an ancestor of it, or of itself:
    only ledger commits are read.

    Raises FormError when `known` is no ancestor.
    """
    made: list[LedgerCommit] = []
    at = ledger
    while at.oid != known.ledger:
        if at.attestation.base is None:
            where, expected = ledger_ref(at.attestation.ns), f"a line to {known.ledger.hex()}"
            raise FormError(reason(INTEGRITY, "chunks.commit", where, expected, at.oid.hex()))
        base = read_ledger_commit(at.attestation.base, load)
        if base.attestation.chunks_tree != at.attestation.chunks_tree:
            made.append(at)
        at = base
    oid = None if known.chunks is None else known.chunks.oid
    for commit in reversed(made):
        oid, _ = chunk_commit(chunk_facts(commit, oid))
    return None if oid is None else ChunkHead(ledger.attestation.epoch, oid)


def chunks_after(ledger: LedgerCommit, before: Tip) -> tuple[Oid, bytes] | None:
    """Id and bytes of the chunk commit that `ledger` makes on `before`; None where it leaves the
    chunk store as it is.
    """
    if ledger.attestation.chunks_tree == before.ledger.attestation.chunks_tree:
        return None
    return chunk_commit(chunk_facts(ledger, before.chunks_oid))


def index_facts(ledger: LedgerCommit, previous: Oid | None) -> DerivedFacts:
    """What the index commit of `ledger` is derived from."""
    return _facts(ledger, ledger.attestation.index_tree, previous)


def chunk_facts(ledger: LedgerCommit, previous: Oid | None) -> DerivedFacts:
    """What the chunk commit of `ledger` is derived from."""
    return _facts(ledger, ledger.attestation.chunks_tree or EMPTY_TREE, previous)


def _facts(ledger: LedgerCommit, tree: Oid, previous: Oid | None) -> DerivedFacts:
    attestation = ledger.attestation
    seconds = ledger.commit.identity().seconds
    return DerivedFacts(attestation.ns, attestation.seq, ledger.oid, seconds, tree, previous)


def _require(commit: LedgerCommit, tree: Oid, got: str) -> None:
    """That the chunk store of a ledger commit is this tree."""
    attestation = commit.attestation
    expected = attestation.chunks_tree or EMPTY_TREE
    if tree != expected:
        where = chunks_ref(attestation.ns, attestation.epoch)
        wanted = f"a chunk commit with tree {expected.hex()}"
        raise FormError(reason(INTEGRITY, "chunks.commit", where, wanted, got))


def _require_chunks(commit: LedgerCommit, head: ChunkHead, load: Load) -> None:
    """That the chunk commit is the one that follows from the ledger commit which it names, and that
    one is of this ledger.
    """
    chunks = parse_commit(load(head.oid, COMMIT))
    _require(commit, chunks.tree, f"{head.oid.hex()} with tree {chunks.tree.hex()}")
    named = _LEDGER_OF.fullmatch(chunks.message)
    seq = -1 if named is None else int(named[1])
    if head.epoch == commit.attestation.epoch and 0 <= seq <= commit.seq:
        ledger = seek(commit, seq, load)
        previous = chunks.parents[0] if chunks.parents else None
        if chunk_commit(chunk_facts(ledger, previous))[0] == head.oid:
            return
    where = chunks_ref(commit.attestation.ns, head.epoch)
    wanted = "the chunk commit of a transaction of this ledger"
    raise FormError(reason(INTEGRITY, "chunks.commit", where, wanted, head.oid.hex()))


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
        chunks_tree=plan.chunks_tree,
    )
    seconds = max(stamp.identity.seconds, parent.commit.identity().seconds)
    identity = stamp.identity._replace(seconds=seconds)
    words = _Words(identity, stamp.text)
    return _finish(attestation, plan.ledger_tree, base, words, sign, emit)


def compose_first(
    ns: Namespace, epoch: EpochLabel, stamp: Stamp, sign: Sign, emit: Emit
) -> Transaction:
    """The empty first transaction of a new ledger (sequence number 0)."""
    attestation = Attestation(ns, stamp.txn, 0, None, None, None, EMPTY_TREE, epoch, 0, 0)
    emit(b"tree", b"")
    return _finish(attestation, EMPTY_TREE, None, _Words(stamp.identity, stamp.text), sign, emit)


class _Words(NamedTuple):
    identity: Identity
    text: str


def _finish(
    attestation: Attestation,
    tree: Oid,
    before: Tip | None,
    words: _Words,
    sign: Sign,
    emit: Emit,
) -> Transaction:
    identity, text = words
    payload = commit_payload(
        tree,
        () if before is None else (before.ledger.oid,),
        identity.line(),
        format_message(text, attestation),
    )
    armour = sign(payload)
    body = sign_payload(payload, armour) if armour else payload
    oid = emit(COMMIT, body)
    ledger = LedgerCommit(oid, parse_commit(body), text.encode(), attestation)
    index_oid, index_body = index_commit(index_facts(ledger, before.index_oid if before else None))
    emit(COMMIT, index_body)
    if before is None:
        return Transaction(Tip(ledger, index_oid), None)
    made = chunks_after(ledger, before)
    chunks_oid = before.chunks_oid if made is None else emit(COMMIT, made[1])
    return Transaction(Tip(ledger, index_oid, chunks_oid), before.heads)
