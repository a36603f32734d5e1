"""The ledger's log, a key's history, and the difference between two revisions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from gitkv.ledger.index_line import LiveLine, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit
from gitkv.ledger.tree_diff import Difference, Span, differences
from gitkv.ledger.view import Version, prefix_end, versions
from gitkv.model.key import decode_name, encode_key, encode_prefix
from gitkv.model.verdict import FormError
from gitkv.reading.answers import Changed, Logged, Revision
from gitkv.reading.revisions import resolve_revision
from gitkv.reading.signers import SignerNames
from gitkv.reading.state import State, malformed

_T = TypeVar("_T")


def history_of(state: State, key: str, limit: int | None) -> Iterator[Revision]:
    """A key's versions, newest first, deletions included. Cost: the number of versions, not of
    commits (spec/format 5.5). Raises KeyInvalidError, IntegrityError.
    """
    found = versions(state.tip, encode_key(key), state.load)
    names = SignerNames(state.policy)
    return _guarded(state.tip, (_revision(version, names) for version in islice(found, limit)))


def _revision(version: Version, names: SignerNames) -> Revision:
    commit, line = version
    who = names.of(commit)
    common = (
        commit.seq,
        commit.oid.hex(),
        who.time,
        who.author,
        who.signer,
        who.principal,
        commit.text.decode(),
    )
    if line is None:
        return Revision(*common, "delete", "", 0, "")
    return Revision(*common, "set", line.oid.hex(), line.size, line.ctype)


def log_of(state: State, limit: int | None) -> Iterator[Logged]:
    """All transactions, newest first. Raises IntegrityError."""
    names = SignerNames(state.policy)
    commits = islice(_from_tip(state), limit)
    return _guarded(state.tip, (_logged(commit, names) for commit in commits))


def _from_tip(state: State) -> Iterator[LedgerCommit]:
    commit = state.tip
    yield commit
    while commit.commit.parents:
        commit = read_ledger_commit(commit.commit.parents[0], state.load)
        yield commit


def _logged(commit: LedgerCommit, names: SignerNames) -> Logged:
    who, attestation = names.of(commit), commit.attestation
    return Logged(
        commit.seq,
        commit.oid.hex(),
        *who,
        commit.text.decode(),
        attestation.keys_set,
        attestation.keys_del,
        attestation.txn,
    )


def diff_revisions(state: State, old: str, new: str, prefix: str = "") -> Iterator[Changed]:
    """Keys whose value, content type or expiry differ, in order; cost grows with the difference.
    Read from the index alone. Raises UsageError for an unknown revision, IntegrityError.
    """
    start = encode_prefix(prefix)
    older, newer = (resolve_revision(state, revision) for revision in (old, new))
    before, after = (
        open_index(commit.attestation.index_tree, state.load).live for commit in (older, newer)
    )
    found = differences(before, after, left_out=_all_but(start))
    return _guarded(newer, (changed for one in found if (changed := _changed(one)) is not None))


def _all_but(prefix: bytes) -> tuple[Span, ...]:
    if not prefix:
        return ()
    end = prefix_end(prefix)
    return ((b"", prefix),) if end is None else ((b"", prefix), (end, None))


def _changed(difference: Difference) -> Changed | None:
    old = None if difference.old is None else parse_live(difference.old)
    new = None if difference.new is None else parse_live(difference.new)
    if (
        old is not None
        and new is not None
        and (old.oid, old.ctype, old.expires) == (new.oid, new.ctype, new.expires)
    ):
        return None  # set to something else and back
    op = "add" if old is None else "delete" if new is None else "change"
    return Changed(
        decode_name(difference.name),
        op,
        _etag(old),
        _etag(new),
        old.size if old else 0,
        new.size if new else 0,
    )


def _etag(line: LiveLine | None) -> str:
    return line.oid.hex() if line is not None else ""


def _guarded(tip: LedgerCommit, items: Iterator[_T]) -> Iterator[_T]:
    """`items`, with what is malformed below `tip` as IntegrityError."""
    try:
        yield from items
    except FormError as error:
        raise malformed("history", tip, error) from None
