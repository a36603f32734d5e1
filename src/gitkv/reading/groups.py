"""Keys as a file system shows them: those that go on after a delimiter stand together as one group.

Each group costs one step into the index, however many keys it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gitkv.errors import UsageError
from gitkv.ledger.index_line import LiveLine, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import LedgerCommit
from gitkv.ledger.view import prefix_end
from gitkv.model.key import decode_name, encode_key, encode_prefix
from gitkv.model.verdict import FormError
from gitkv.reading.answers import Entry
from gitkv.reading.lookup import at_revision, entry_of
from gitkv.reading.state import State, malformed


class Group(NamedTuple):
    """Unexpired keys that begin with `prefix`, which ends in the delimiter."""

    prefix: str


def list_groups(
    state: State, prefix: str, delimiter: str, *, after: str = "", at: str = ""
) -> Iterator[Entry | Group]:
    """Unexpired keys that start with `prefix` and have no `delimiter` after it, and a Group for
    those that have, in order. `after`: a key, or the prefix of a group, to go on after.

    Raises KeyInvalidError, UsageError, IntegrityError.
    """
    if not delimiter:
        raise UsageError("the delimiter is empty: expected at least one character")
    start, commit = encode_prefix(prefix), at_revision(state, at)
    if after:
        name = encode_key(after)
        found = after.find(delimiter, len(prefix))
        is_group = found >= 0 and found + len(delimiter) == len(after)
        start = max(start, (is_group and prefix_end(name)) or name + b"\0")
    return _grouped(state, commit, start, (prefix, delimiter))


def _grouped(
    state: State, commit: LedgerCommit, start: bytes, form: tuple[str, str]
) -> Iterator[Entry | Group]:
    prefix, delimiter = form
    at: bytes | None = start
    try:
        while at is not None:
            lines, at = _unexpired(state, commit, at, prefix_end(encode_prefix(prefix))), None
            for line in lines:
                key = decode_name(line.name)
                found = key.find(delimiter, len(prefix))
                if found >= 0:
                    group = key[: found + len(delimiter)]
                    yield Group(group)
                    at = prefix_end(encode_prefix(group))
                    break
                yield entry_of(line)
    except FormError as error:
        raise malformed("index", commit, error) from None


def _unexpired(
    state: State, commit: LedgerCommit, start: bytes, stop: bytes | None
) -> Iterator[LiveLine]:
    live = open_index(commit.attestation.index_tree, state.load).live
    lines = (parse_live(line) for _, line in live.scan(start, stop))
    return (line for line in lines if not line.is_expired(state.now_s))
