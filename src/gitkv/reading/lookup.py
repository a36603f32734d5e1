"""Values and lists at one ledger commit, from the index."""

from __future__ import annotations

from collections.abc import Iterator

from gitkv.errors import ExpiredError, IntegrityError, KeyNotFoundError, UsageError
from gitkv.ledger.index_line import LiveLine
from gitkv.ledger.seek import LedgerCommit
from gitkv.ledger.view import find_line, scan_lines
from gitkv.model.key import decode_name, encode_key, encode_prefix
from gitkv.model.oid import BLOB
from gitkv.model.verdict import FormError
from gitkv.reading.answers import Entry, Value
from gitkv.reading.state import State, malformed


def at_revision(state: State, revision: str) -> LedgerCommit:
    """The ledger commit a reader asks for; "" is the tip. Raises UsageError, IntegrityError."""
    if not revision:
        return state.tip
    from gitkv.reading.revisions import resolve_revision  # most reads are of the tip

    return resolve_revision(state, revision)


def read_value(state: State, key: str, at: str = "", *, allow_expired: bool = False) -> Value:
    """A key's value at a revision. Raises KeyInvalidError, KeyNotFoundError, ExpiredError,
    UsageError for an unknown revision, IntegrityError.
    """
    commit, line = _find(state, key, at, allow_expired)
    value = state.objects.read(line.oid, BLOB)
    if len(value) != line.size:
        raise IntegrityError(
            f"value of {key}: expected {line.size} bytes as the index says, got {len(value)}"
        )
    entry = _entry_of(line)
    return Value(key, value, entry.etag, *entry[3:], commit.oid.hex(), commit.seq)


def read_entry(state: State, key: str, at: str = "", *, allow_expired: bool = False) -> Entry:
    """What the index says of a key; its value is not read. Raises as `read_value`."""
    return _entry_of(_find(state, key, at, allow_expired)[1])


def list_entries(
    state: State, prefix: str = "", *, after: str = "", limit: int | None = None, at: str = ""
) -> Iterator[Entry]:
    """Live, unexpired keys that start with `prefix` and come after `after`, in the order of their
    encoded names; at most `limit`. Raises KeyInvalidError, UsageError, IntegrityError.
    """
    if limit is not None and limit < 0:
        raise UsageError(f"limit: expected 0 or more, got {limit}")
    start, last = encode_prefix(prefix), encode_key(after) if after else b""
    commit = at_revision(state, at)
    return _entries(state, scan_lines(commit, start, state.load, after=last), commit, limit)


def _entries(
    state: State, lines: Iterator[LiveLine], commit: LedgerCommit, limit: int | None
) -> Iterator[Entry]:
    count = 0
    try:
        while limit is None or count < limit:
            line = next(lines, None)
            if line is None:
                return
            if not line.is_expired(state.now_s):
                count += 1
                yield _entry_of(line)
    except FormError as error:
        raise malformed("index", commit, error) from None


def _find(state: State, key: str, at: str, allow_expired: bool) -> tuple[LedgerCommit, LiveLine]:
    name = encode_key(key)
    commit = at_revision(state, at)
    try:
        line = find_line(commit, name, state.load)
    except FormError as error:
        raise malformed("index", commit, error) from None
    if line is None:
        raise KeyNotFoundError(f"key {key} does not exist" + (f" at {at}" if at else ""))
    if not allow_expired and line.is_expired(state.now_s):
        raise ExpiredError(
            f"key {key} expired at {_moment(line.expires)}",
            hint="read it anyway with --allow-expired",
        )
    return commit, line


def _moment(seconds: int) -> str:
    import time  # only for this message

    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _entry_of(line: LiveLine) -> Entry:
    return Entry(
        decode_name(line.name),
        line.oid.hex(),
        line.size,
        line.ctype,
        line.expires,
        line.created,
        line.mod,
        line.versions,
    )
