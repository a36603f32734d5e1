"""Values and lists at one ledger commit, from the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar

from gitkv.errors import ExpiredError, IntegrityError, KeyNotFoundError, UsageError
from gitkv.ledger.index_line import LiveLine, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import LedgerCommit
from gitkv.ledger.view import find_line, scan_lines
from gitkv.model.content import BytesContent
from gitkv.model.key import decode_name, encode_key, encode_prefix
from gitkv.model.oid import BLOB
from gitkv.model.verdict import FormError
from gitkv.reading.answers import Entry, Readable, Stored, Value
from gitkv.reading.state import State, malformed

_GROUP = 512
_Answer = TypeVar("_Answer", Value, Stored)


class _Lines(NamedTuple):
    commit: LedgerCommit
    lines: Iterator[LiveLine]


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
    return _value(state, commit, line, state.objects.read(line.oid, BLOB))


def read_stored(state: State, key: str, at: str = "", *, allow_expired: bool = False) -> Stored:
    """As `read_value`; of a large value nothing is read yet."""
    commit, line = _find(state, key, at, allow_expired)
    return _stored(state, commit, line, state.objects.read(line.oid, BLOB))


def read_line(state: State, line: LiveLine) -> bytes:
    """The value that an index line names. Raises IntegrityError."""
    return _value(state, state.tip, line, state.objects.read(line.oid, BLOB)).value


def read_values(
    state: State, keys: Iterable[str], at: str = "", *, allow_expired: bool = False
) -> Iterator[Value]:
    """The values of several keys at one revision, in the order asked; values are read only when
    every key was found. Raises as `read_value`.
    """
    return _each(state, _lines_of(state, keys, at, allow_expired), _value)


def read_all_stored(
    state: State, keys: Iterable[str], at: str = "", *, allow_expired: bool = False
) -> Iterator[Stored]:
    """As `read_values`; of large values nothing is read yet."""
    return _each(state, _lines_of(state, keys, at, allow_expired), _stored)


def read_found(state: State, keys: Iterable[str], at: str = "") -> Iterator[Value]:
    """The values of those keys that exist at a revision and have not expired. Raises
    KeyInvalidError, UsageError for an unknown revision, IntegrityError.
    """
    commit = at_revision(state, at)
    lines = _find_many(state, commit, keys).values()
    live = (line for line in lines if not line.is_expired(state.now_s))
    return _each(state, _Lines(commit, live), _value)


def _lines_of(state: State, keys: Iterable[str], at: str, allow_expired: bool) -> _Lines:
    commit, wanted = at_revision(state, at), list(dict.fromkeys(keys))
    lines = _find_many(state, commit, wanted)
    for key in wanted:
        _require(state, key, lines.get(key), at, allow_expired)
    return _Lines(commit, iter(lines.values()))


def _find_many(state: State, commit: LedgerCommit, keys: Iterable[str]) -> dict[str, LiveLine]:
    """The lines of those keys that there are, in the order asked."""
    names = {key: encode_key(key) for key in keys}
    ordered = sorted(set(names.values()))
    try:
        live = open_index(commit.attestation.index_tree, state.load).live
        found = dict(zip(ordered, live.get_many(ordered), strict=True))
        return {key: parse_live(text) for key, name in names.items() if (text := found[name])}
    except FormError as error:
        raise malformed("index", commit, error) from None


def read_prefix(state: State, prefix: str, at: str = "") -> Iterator[Value]:
    """The values of the unexpired keys that start with `prefix` at one revision, in order. Raises
    KeyInvalidError, UsageError, IntegrityError.
    """
    return _each(state, _lines_under(state, prefix, at), _value)


def read_prefix_stored(state: State, prefix: str, at: str = "") -> Iterator[Stored]:
    """As `read_prefix`; of large values nothing is read yet."""
    return _each(state, _lines_under(state, prefix, at), _stored)


def _lines_under(state: State, prefix: str, at: str) -> _Lines:
    start, commit = encode_prefix(prefix), at_revision(state, at)
    lines = scan_lines(commit, start, state.load)
    return _Lines(commit, (line for line in lines if not line.is_expired(state.now_s)))


def _each(state: State, found: _Lines, make: Callable[..., _Answer]) -> Iterator[_Answer]:
    """What `make` makes of each line and the blob that it names."""
    commit, lines = found
    try:
        while group := list(islice(lines, _GROUP)):
            bodies = state.objects.read_many([line.oid for line in group], BLOB)
            yield from (make(state, commit, *pair) for pair in zip(group, bodies, strict=True))
    except FormError as error:
        raise malformed("index", commit, error) from None


def _stored(state: State, commit: LedgerCommit, line: LiveLine, body: bytes) -> Stored:
    entry = entry_of(line)
    content: Readable
    if line.chunks:
        from gitkv.reading.stored import stored_content

        content = stored_content(state, entry.key, body, line.size)
    else:
        content = BytesContent(_inline(entry, body))
    return Stored(entry, content, commit.oid.hex(), commit.seq)


def _value(state: State, commit: LedgerCommit, line: LiveLine, body: bytes) -> Value:
    entry = entry_of(line)
    if line.chunks:
        from gitkv.reading.stored import stored_content

        value = b"".join(stored_content(state, entry.key, body, line.size).pieces())
    else:
        value = _inline(entry, body)
    return Value(entry.key, value, entry.etag, *entry[3:], commit.oid.hex(), commit.seq)


def _inline(entry: Entry, body: bytes) -> bytes:
    if len(body) != entry.size:
        raise IntegrityError(
            f"value of {entry.key}: expected {entry.size} bytes as the index says, got {len(body)}"
        )
    return body


def read_entry(state: State, key: str, at: str = "", *, allow_expired: bool = False) -> Entry:
    """What the index says of a key; its value is not read. Raises as `read_value`."""
    return entry_of(_find(state, key, at, allow_expired)[1])


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
                yield entry_of(line)
    except FormError as error:
        raise malformed("index", commit, error) from None


def _find(state: State, key: str, at: str, allow_expired: bool) -> tuple[LedgerCommit, LiveLine]:
    name = encode_key(key)
    commit = at_revision(state, at)
    try:
        line = find_line(commit, name, state.load)
    except FormError as error:
        raise malformed("index", commit, error) from None
    return commit, _require(state, key, line, at, allow_expired)


def _require(
    state: State, key: str, line: LiveLine | None, at: str, allow_expired: bool
) -> LiveLine:
    if line is None:
        raise KeyNotFoundError(f"key {key} does not exist" + (f" at {at}" if at else ""))
    if not allow_expired and line.is_expired(state.now_s):
        raise ExpiredError(
            f"key {key} expired at {_moment(line.expires)}",
            expires=line.expires,
            hint="read it anyway with --allow-expired",
        )
    return line


def _moment(seconds: int) -> str:
    import time  # only for this message

    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def entry_of(line: LiveLine) -> Entry:
    """What an index line says, for readers."""
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
