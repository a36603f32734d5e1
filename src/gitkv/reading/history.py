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
from gitkv.model.oid import BLOB, Oid
from gitkv.model.verdict import FormError
from gitkv.reading.answers import Changed, Differing, Logged, Only, Revision
from gitkv.reading.revisions import resolve_revision
from gitkv.reading.signers import SignerNames
from gitkv.reading.state import State, malformed
from gitkv.reading.touching import touching

_GROUP = 64
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
        return Revision(*common, "delete", "", 0, "", 0)
    return Revision(*common, "set", line.oid.hex(), line.size, line.ctype, line.expires)


_ALL = Only()


def log_of(state: State, limit: int | None, only: Only = _ALL) -> Iterator[Logged]:
    """Transactions, newest first. Raises KeyInvalidError, IntegrityError."""
    names = SignerNames(state.policy)
    if only.key or only.prefix:
        commits = touching(state.tip, _span(only.key, only.prefix), state.load)
    else:
        commits = _from_tip(state)
    entries = (_logged(commit, names) for commit in commits)
    chosen = (entry for entry in entries if _is_wanted(entry, only))
    return _guarded(state.tip, islice(chosen, limit))


def _is_wanted(entry: Logged, only: Only) -> bool:
    fingerprint = only.signer.removeprefix("SHA256:")
    return (
        (not only.author or only.author.casefold() in entry.author.casefold())
        and (
            not only.signer
            or entry.principal == only.signer
            or bool(fingerprint and entry.signer.removeprefix("SHA256:").startswith(fingerprint))
        )
        and entry.time >= only.since_s
        and (not only.until_s or entry.time <= only.until_s)
    )


def _span(key: str, prefix: str) -> Span:
    """The names of one key, or of those that start with a prefix."""
    if key:
        name = encode_key(key)
        return name, name + b"\0"
    start = encode_prefix(prefix)
    return start, prefix_end(start)


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


def diff_revisions(
    state: State, old: str, new: str, prefix: str = "", key: str = ""
) -> Iterator[Changed]:
    """Keys whose value, content type or expiry differ, in order; cost grows with the difference.
    Read from the index alone. Raises UsageError for an unknown revision, IntegrityError.
    """
    span = _span(key, prefix)
    older, newer = (resolve_revision(state, revision) for revision in (old, new))
    before, after = (
        open_index(commit.attestation.index_tree, state.load).live for commit in (older, newer)
    )
    found = differences(before, after, left_out=_all_but(span))
    return _guarded(newer, (change for one in found if (change := _changed(one)) is not None))


def diff_values(state: State, changes: Iterator[Changed], bytes_max: int) -> Iterator[Differing]:
    """`changes` with their values, those of at most `bytes_max` bytes. Raises IntegrityError."""
    while group := list(islice(changes, _GROUP)):
        sides = [
            (change.old_etag, change.old_size) if old else (change.new_etag, change.new_size)
            for change in group
            for old in (True, False)
        ]
        wanted = [etag for etag, size in sides if etag and size <= bytes_max]
        oids = [Oid(bytes.fromhex(etag)) for etag in dict.fromkeys(wanted)]
        sizes = dict(sides)
        bodies = zip(dict.fromkeys(wanted), state.objects.read_many(oids, BLOB), strict=True)
        # what has another size is a manifest: nobody compares large values by eye
        values = {etag: body for etag, body in bodies if len(body) == sizes[etag]}
        for change in group:
            yield Differing(change, values.get(change.old_etag), values.get(change.new_etag))


def _all_but(span: Span) -> tuple[Span, ...]:
    start, end = span
    below: tuple[Span, ...] = ((b"", start),) if start else ()
    return below if end is None else (*below, (end, None))


def _changed(difference: Difference) -> Changed | None:
    old = None if difference.old is None else parse_live(difference.old)
    new = None if difference.new is None else parse_live(difference.new)
    return changed(difference.name, old, new)


def changed(name: bytes, old: LiveLine | None, new: LiveLine | None) -> Changed | None:
    """What two lines of a key say of its change; None when its value, type and expiry are the
    same.
    """
    if old is None and new is None:
        return None
    if (
        old is not None
        and new is not None
        and (old.oid, old.ctype, old.expires) == (new.oid, new.ctype, new.expires)
    ):
        return None  # set to something else and back
    op = "add" if old is None else "delete" if new is None else "change"
    return Changed(
        decode_name(name),
        op,
        _etag(old),
        _etag(new),
        old.size if old else 0,
        new.size if new else 0,
        old.ctype if old else "",
        new.ctype if new else "",
        old.expires if old else 0,
        new.expires if new else 0,
    )


def _etag(line: LiveLine | None) -> str:
    return line.oid.hex() if line is not None else ""


def _guarded(tip: LedgerCommit, items: Iterator[_T]) -> Iterator[_T]:
    """`items`, with what is malformed below `tip` as IntegrityError."""
    try:
        yield from items
    except FormError as error:
        raise malformed("history", tip, error) from None
