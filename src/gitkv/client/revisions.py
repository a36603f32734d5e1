"""Revisions: what `@SEQ`, a commit or an epoch label means, the ledger's log, a key's history, and
the difference of two revisions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from gitkv.client.replica import Replica
from gitkv.client.signers import SignerNames
from gitkv.client.values import Changed, Logged, Revision
from gitkv.errors import IntegrityError, UsageError
from gitkv.ledger.compose import Tip
from gitkv.ledger.index_line import LiveLine, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit, seek
from gitkv.ledger.tree_diff import Difference, Span, differences
from gitkv.ledger.view import Version, prefix_end, versions
from gitkv.model.key import decode_name, encode_key, encode_prefix
from gitkv.model.verdict import FormError

_T = TypeVar("_T")
_SEQ = re.compile(r"@(0|[1-9][0-9]{0,14})")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def resolve_revision(replica: Replica, revision: str) -> LedgerCommit:
    """The ledger commit of `@SEQ`, a commit (7 hex digits or more), the current epoch's label, or
    "" for the tip.

    Raises UsageError for one that is not in the trusted ledger.

    """
    tip = replica.ledger()
    number = _SEQ.fullmatch(revision)
    if not revision or revision == tip.attestation.epoch:
        return tip
    if number is None and _COMMIT.fullmatch(revision) is None:
        hint = "write @SEQ, a commit (7 hex digits or more), or an epoch label"
        raise UsageError(f"{revision[:80]!r} is no revision of namespace {replica.ns}", hint=hint)
    try:
        return (
            seek(tip, int(number[1]), replica.load)
            if number
            else _find_commit(replica, tip, revision)
        )
    except FormError as error:
        raise IntegrityError(f"the ledger below {tip.oid.hex()} is malformed: {error}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _find_commit(replica: Replica, tip: LedgerCommit, revision: str) -> LedgerCommit:
    [oid] = replica.objects.resolve([revision])
    if oid is None or not replica.has_commit(oid):
        raise UsageError(f"{revision} is no commit here, or not a unique one")
    try:
        found = read_ledger_commit(oid, replica.load)
    except FormError:
        raise UsageError(f"{revision} is no ledger commit") from None
    if found.seq > tip.seq or seek(tip, found.seq, replica.load).oid != oid:
        raise UsageError(f"{revision} is not in the trusted ledger of namespace {replica.ns}")
    return found


def history_of(replica: Replica, key: str, limit: int | None) -> Iterator[Revision]:
    """A key's versions, newest first, deletions included. Cost: the number of versions, not of
    commits (spec/format 5.5).
    """
    name = encode_key(key)
    tip = replica.tip()
    names = SignerNames(replica)
    return _guarded(
        tip,
        (_revision(version, names) for version in islice(versions(tip, name, replica.load), limit)),
    )


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


def log_of(replica: Replica, limit: int | None) -> Iterator[Logged]:
    """All transactions, newest first."""
    tip = replica.tip()
    names = SignerNames(replica)
    return _guarded(
        tip, (_logged(commit, names) for commit in islice(_back(replica, tip.ledger), limit))
    )


def _back(replica: Replica, commit: LedgerCommit) -> Iterator[LedgerCommit]:
    yield commit
    while commit.commit.parents:
        commit = read_ledger_commit(commit.commit.parents[0], replica.load)
        yield commit


def _logged(commit: LedgerCommit, names: SignerNames) -> Logged:
    who, said = names.of(commit), commit.attestation
    text = commit.text.decode()
    return Logged(commit.seq, commit.oid.hex(), *who, text, said.keys_set, said.keys_del, said.txn)


def diff_revisions(replica: Replica, revisions: tuple[str, str], prefix: str) -> Iterator[Changed]:
    """Keys whose value, content type or expiry differ, in order; cost of the difference. Read from
    the index alone.
    """
    start = encode_prefix(prefix)
    old, new = (resolve_revision(replica, revision) for revision in revisions)
    before, after = (
        open_index(commit.attestation.index_tree, replica.load).live for commit in (old, new)
    )
    found = differences(before, after, left_out=_all_but(start))
    return _guarded(
        new, (changed for difference in found if (changed := _changed(difference)) is not None)
    )


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


def _guarded(tip: Tip | LedgerCommit, items: Iterator[_T]) -> Iterator[_T]:
    """`items`, with what is malformed below `tip` as IntegrityError."""
    try:
        yield from items
    except FormError as error:
        oid = tip.oid if isinstance(tip, LedgerCommit) else tip.ledger.oid
        raise IntegrityError(
            f"the history of {oid.hex()} is malformed: {error}", hint="check it with: git kv verify"
        ) from None
