"""Reading values and lists at one revision."""

from __future__ import annotations

from collections.abc import Iterator

from gitkv.client.refresh import refresh
from gitkv.client.replica import Replica
from gitkv.client.revisions import resolve_revision
from gitkv.client.values import Entry, Value
from gitkv.errors import ExpiredError, IntegrityError, KeyNotFoundError, UsageError
from gitkv.ledger.index_line import LiveLine
from gitkv.ledger.seek import LedgerCommit
from gitkv.ledger.view import find_line, scan_lines
from gitkv.model.key import decode_name, encode_key, encode_prefix
from gitkv.model.oid import BLOB
from gitkv.model.verdict import FormError


class Place:
    """Where a read looks: a revision ("" for the tip) and how fresh the tip must be."""

    def __init__(self, at: str = "", read_from: str = "mirror") -> None:
        self.at = at
        self.read_from = read_from

    def commit(self, replica: Replica) -> LedgerCommit:
        """The ledger commit, after refreshing. Raises what `refresh` and `resolve_revision`
        raise.
        """
        refresh(replica, self.read_from)
        return resolve_revision(replica, self.at) if self.at else replica.ledger()


def read_value(replica: Replica, key: str, place: Place, *, allow_expired: bool = False) -> Value:
    """A key's value. Raises KeyInvalidError, KeyNotFoundError, ExpiredError, and what
    `Place.commit` raises.
    """
    commit, line = _find(replica, key, place, allow_expired)
    value = replica.objects.read(line.oid, BLOB)
    if len(value) != line.size:
        raise IntegrityError(
            f"value of {key}: expected {line.size} bytes as the index says, got {len(value)}"
        )
    entry = entry_of(line)
    return Value(key, value, entry.etag, *entry[3:], commit.oid.hex(), commit.seq)


def read_entry(replica: Replica, key: str, place: Place, *, allow_expired: bool = False) -> Entry:
    """What the index says of a key; its value is not read. Raises as `read_value`."""
    return entry_of(_find(replica, key, place, allow_expired)[1])


def list_entries(
    replica: Replica, prefix: str, after: str, limit: int | None, place: Place
) -> Iterator[Entry]:
    """Live, unexpired keys that start with `prefix` and come behind `after`, in order of their
    encoded names; at most `limit`.
    """
    if limit is not None and limit < 0:
        raise UsageError(f"limit: expected 0 or more, got {limit}")
    start, behind = encode_prefix(prefix), encode_key(after) if after else b""
    commit = place.commit(replica)
    return _entries(replica, scan_lines(commit, start, replica.load, after=behind), commit, limit)


def _entries(
    replica: Replica, lines: Iterator[LiveLine], commit: LedgerCommit, limit: int | None
) -> Iterator[Entry]:
    now_s, count = replica.edge.now_s(), 0
    try:
        while limit is None or count < limit:
            line = next(lines, None)
            if line is None:
                return
            if not line.is_expired(now_s):
                count += 1
                yield entry_of(line)
    except FormError as error:
        raise malformed_index(commit, error) from None


def _find(
    replica: Replica, key: str, place: Place, allow_expired: bool
) -> tuple[LedgerCommit, LiveLine]:
    name = encode_key(key)
    commit = place.commit(replica)
    try:
        line = find_line(commit, name, replica.load)
    except FormError as error:
        raise malformed_index(commit, error) from None
    if line is None:
        raise KeyNotFoundError(
            f"key {key} does not exist" + (f" at {place.at}" if place.at else "")
        )
    if not allow_expired and line.is_expired(replica.edge.now_s()):
        raise ExpiredError(
            f"key {key} expired at {_moment(line.expires)}",
            hint="read it anyway with --allow-expired",
        )
    return commit, line


def _moment(seconds: int) -> str:
    import time  # only for this message

    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def malformed_index(commit: LedgerCommit, error: FormError) -> IntegrityError:
    return IntegrityError(
        f"the index of {commit.oid.hex()} is malformed: {error}",
        hint="check the history with: git kv verify",
    )


def entry_of(line: LiveLine) -> Entry:
    key = decode_name(line.name)
    return Entry(
        key,
        line.oid.hex(),
        line.size,
        line.ctype,
        line.expires,
        line.created,
        line.mod,
        line.versions,
    )
