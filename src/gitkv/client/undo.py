"""Undoing a transaction by a new one: the keys it changed get back value, type and expiry that they
had before it, unless they have changed since.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.errors import ConflictError, KeyNotFoundError, UsageError
from gitkv.ledger.index_line import LiveLine, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import LedgerCommit
from gitkv.ledger.tree_diff import differences
from gitkv.ledger.view import find_line
from gitkv.model.content import Put
from gitkv.model.key import decode_name, encode_key
from gitkv.model.oid import Oid
from gitkv.model.verdict import FormError
from gitkv.reading.lookup import read_line
from gitkv.reading.revisions import resolve_revision
from gitkv.reading.state import State, malformed

_NAMED_MAX = 5  # keys that a message names


class Undoing(NamedTuple):
    """`changes` that undo the transaction; `seen`: what each key holds now, by name; `subject`: of
    the message of the transaction that is undone.
    """

    changes: dict[str, Put | None]
    seen: dict[bytes, Oid | None]
    subject: str


class _Touched(NamedTuple):
    """A key's lines before the transaction, after it, and now."""

    name: bytes
    before: LiveLine | None
    after: LiveLine | None
    now: LiveLine | None


def undo(state: State, seq: int, key: str = "", *, force: bool = False) -> Undoing:
    """What undoes transaction `seq`, or its change of `key`. `force`: also where a key has changed
    since. Raises ConflictError where it has, KeyNotFoundError when the transaction did not change
    `key`, UsageError for a number that is no transaction.
    """
    if seq == 0:
        raise UsageError("@0 is the start of the ledger: there is nothing to undo")
    after, before = (resolve_revision(state, f"@{number}") for number in (seq, seq - 1))
    touched = _touched(state, before, after)
    if key:
        touched = [one for one in touched if one.name == encode_key(key)]
        if not touched:
            raise KeyNotFoundError(
                f"@{seq} did not change {key}",
                hint=f"git kv history shows what did; the value it had then is brought back by: "
                f"git kv cp -f --at @{seq} KEY KEY",
            )
    changed_since = [one for one in touched if _content(one.now) != _content(one.after)]
    if changed_since and not force:
        raise _overlap(seq, changed_since)
    return Undoing(
        {decode_name(one.name): _put(state, one.before) for one in touched},
        {one.name: one.now.oid if one.now is not None else None for one in touched},
        after.text.decode().partition("\n")[0],
    )


def _touched(state: State, before: LedgerCommit, after: LedgerCommit) -> list[_Touched]:
    """The keys that a transaction changed, in order."""
    try:
        old, new = (
            open_index(commit.attestation.index_tree, state.load).live for commit in (before, after)
        )
        return [
            _Touched(
                found.name,
                None if found.old is None else parse_live(found.old),
                None if found.new is None else parse_live(found.new),
                find_line(state.tip, found.name, state.load),
            )
            for found in differences(old, new)
        ]
    except FormError as error:
        raise malformed("index", after, error) from None


def _content(line: LiveLine | None) -> tuple[Oid, str, int] | None:
    return None if line is None else (line.oid, line.ctype, line.expires)


def _put(state: State, line: LiveLine | None) -> Put | None:
    if line is None:
        return None
    return Put(read_line(state, line), line.ctype, line.expires)


def _overlap(seq: int, changed: list[_Touched]) -> ConflictError:
    names = [decode_name(one.name) for one in changed[:_NAMED_MAX]]
    more = f" and {len(changed) - _NAMED_MAX} more" if len(changed) > _NAMED_MAX else ""
    first = changed[0]
    return ConflictError(
        f"changed since @{seq}: {', '.join(names)}{more}",
        expected=_etag(first.after),
        actual=_etag(first.now),
        hint="--force undoes it all the same, and their later values are lost; "
        f"KEY@{seq} undoes one key alone",
    )


def _etag(line: LiveLine | None) -> str:
    return "no value" if line is None else line.oid.hex()
