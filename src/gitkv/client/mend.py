"""Completing a move of the trusted refs that was cut short: git renames one ref file after the
other, and a kill may come between.

git moves the ledger first, and a ledger commit has one index commit and at most one chunk commit
that belong to it (spec/attestation 4): so these can follow. Anything that is no such half move is
left alone, and to a person.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from gitkv.errors import ConflictError, IntegrityError
from gitkv.git.process import Git
from gitkv.git.ref_store import GitRefStore
from gitkv.ledger.compose import chunk_facts, index_facts, read_tip
from gitkv.ledger.seek import LedgerCommit, Load, read_ledger_commit
from gitkv.model.commit import chunk_commit, index_commit, parse_commit
from gitkv.model.heads import ChunkHead, Heads
from gitkv.model.oid import COMMIT, ZERO_OID, Oid
from gitkv.model.refs import Namespace
from gitkv.model.verdict import FormError


class Half(NamedTuple):
    """Where the refs stand; an index or chunks of None are not there. `with_chunks`: whether this
    repository has a chunk ref where there are chunks.
    """

    ledger: Oid
    index_oid: Oid | None
    chunks: ChunkHead | None
    with_chunks: bool


def complete_move(git: Git, ns: Namespace, half: Half, load: Load) -> bool:
    """Moves index and chunk ref to the commits that belong to the ledger; False when these are no
    half move.

    Raises BusyError when the refs are locked: a killed git leaves its .lock files.
    """
    try:
        whole = _completed(half, load)
        if whole is None:
            return False
        read_tip(
            whole, load, with_chunks=half.with_chunks
        )  # raises when something is not here, or does not belong together
    except (FormError, IntegrityError):
        return False
    before = Heads(half.ledger, half.index_oid or ZERO_OID, half.chunks)
    with suppress(ConflictError):  # another process was faster, and not cut short: read again
        GitRefStore(git).move(whole.move_from(before, ns))
    return True


def _completed(half: Half, load: Load) -> Heads | None:
    """The heads of the ledger, derived commit by commit from where index and chunks stand; None
    when the index belongs to none of its ancestors.
    """
    passed: list[LedgerCommit] = []
    index, at = half.index_oid, half.ledger
    while True:
        commit = read_ledger_commit(at, load)
        if index is not None and _belongs(index, commit, load):
            break
        passed.append(commit)
        if commit.attestation.base is None:
            if index is not None:
                return None
            break
        at = commit.attestation.base
    for commit in reversed(passed):
        index, _ = index_commit(index_facts(commit, index))
    assert index is not None
    return Heads(half.ledger, index, _chunks(half, load) if half.with_chunks else None)


def _chunks(half: Half, load: Load) -> ChunkHead | None:
    """The chunk head of the ledger: what follows from where it stands, if it was left behind."""
    known = None if half.chunks is None else half.chunks.oid
    made: list[LedgerCommit] = []
    commit = read_ledger_commit(half.ledger, load)
    epoch = commit.attestation.epoch
    while commit.attestation.base is not None:
        base = read_ledger_commit(commit.attestation.base, load)
        if base.attestation.chunks_tree != commit.attestation.chunks_tree:
            if known is not None and _names(known, commit, load):
                break
            made.append(commit)
        commit = base
    for commit in reversed(made):
        known, _ = chunk_commit(chunk_facts(commit, known))
    return None if known is None else ChunkHead(epoch, known)


def _names(chunks: Oid, commit: LedgerCommit, load: Load) -> bool:
    parents = parse_commit(load(chunks, COMMIT)).parents
    return chunk_commit(chunk_facts(commit, parents[0] if parents else None))[0] == chunks


def _belongs(index: Oid, commit: LedgerCommit, load: Load) -> bool:
    parents = parse_commit(load(index, COMMIT)).parents
    return index_commit(index_facts(commit, parents[0] if parents else None))[0] == index
