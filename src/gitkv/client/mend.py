"""Completing a move of the trusted refs that was cut short: git renames one ref file after the
other, and a kill may come between.

git moves the ledger first, and a ledger commit has one index commit that belongs to it
(spec/attestation 4.1): so the index can follow. Anything that is no such half move is left alone,
and to a person.
"""

from __future__ import annotations

from contextlib import suppress

from gitkv.errors import ConflictError, IntegrityError
from gitkv.git.process import Git
from gitkv.git.ref_store import GitRefStore
from gitkv.ledger.compose import index_facts
from gitkv.ledger.seek import LedgerCommit, Load, read_ledger_commit
from gitkv.model.commit import index_commit, parse_commit
from gitkv.model.heads import Heads
from gitkv.model.oid import COMMIT, ZERO_OID, Oid
from gitkv.model.refs import Namespace
from gitkv.model.verdict import FormError


def complete_move(git: Git, ns: Namespace, heads: tuple[Oid, Oid | None], load: Load) -> bool:
    """Moves the index ref to the index commit of the ledger in `heads`; False when these are no
    half move. An index of None is not there.

    Raises BusyError when the refs are locked: a killed git leaves its .lock files.
    """
    ledger, index = heads
    try:
        belonging = _index_of(ledger, index, load)
        if belonging is None:
            return False
        load(belonging, COMMIT)  # raises when it is not here
    except (FormError, IntegrityError):
        return False
    updates = Heads(ledger, belonging).move_from(Heads(ledger, index or ZERO_OID), ns)
    with suppress(ConflictError):  # another process was faster, and not cut short: read again
        GitRefStore(git).move(updates)
    return True


def _index_of(ledger: Oid, index: Oid | None, load: Load) -> Oid | None:
    """The index commit of `ledger`, derived commit by commit from `index`; None when `index`
    belongs to none of its ancestors.
    """
    passed: list[LedgerCommit] = []
    at: Oid | None = ledger
    while at is not None:
        commit = read_ledger_commit(at, load)
        if index is not None and _belongs(index, commit, load):
            break
        passed.append(commit)
        at = commit.attestation.base
    if at is None and index is not None:
        return None
    for commit in reversed(passed):
        index, _ = index_commit(index_facts(commit, index))
    return index


def _belongs(index: Oid, commit: LedgerCommit, load: Load) -> bool:
    parents = parse_commit(load(index, COMMIT)).parents
    return index_commit(index_facts(commit, parents[0] if parents else None))[0] == index
