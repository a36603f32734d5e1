"""What readers get. Plain values: keys as text, ids as lower-case hex, times in seconds since
1970.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Value(NamedTuple):
    """A key's value at one tip. `etag`: id of the value's blob; `expires`: 0 for never; `created`,
    `mod`: sequence numbers.

    `commit` and `seq` name the ledger commit it was read at.
    """

    key: str
    value: bytes
    etag: str
    ctype: str
    expires: int
    created: int
    mod: int
    versions: int
    commit: str
    seq: int


class Viewed(NamedTuple):
    """The state that was read: its ledger commit and sequence number."""

    commit: str
    seq: int


class Readable(Protocol):
    """A content of which a part can be read."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to `stop` (None: the end). Raises IntegrityError."""


class Entry(NamedTuple):
    """What the index says of a key, without its value. `size` in bytes."""

    key: str
    etag: str
    size: int
    ctype: str
    expires: int
    created: int
    mod: int
    versions: int


class Stored(NamedTuple):
    """A key's value at the tip `commit` of number `seq`, to be read as a whole or in part."""

    entry: Entry
    content: Readable
    commit: str
    seq: int


class Revision(NamedTuple):
    """One version of a key. `op`: "set" or "delete"; a deletion has `etag` and `ctype` "", size 0
    and `expires` 0.

    `signer`: fingerprint of the key that the commit's signature names, or ""; `principal`: whose
    key that is by the policy, or "".
    """

    seq: int
    commit: str
    time: int
    author: str
    signer: str
    principal: str
    text: str
    op: str
    etag: str
    size: int
    ctype: str
    expires: int


class Logged(NamedTuple):
    """One transaction of the ledger."""

    seq: int
    commit: str
    time: int
    author: str
    signer: str
    principal: str
    text: str
    keys_set: int
    keys_del: int
    txn: str


class Changed(NamedTuple):
    """A key that differs between two revisions. `op`: "add", "change" or "delete"; the side that
    lacks it has etag and type "", size and expiry 0.
    """

    key: str
    op: str
    old_etag: str
    new_etag: str
    old_size: int
    new_size: int
    old_ctype: str
    new_ctype: str
    old_expires: int
    new_expires: int


class Differing(NamedTuple):
    """A key that differs, with its values: None where it is absent, or too large to be shown."""

    change: Changed
    old: bytes | None
    new: bytes | None


class Only(NamedTuple):
    """Which transactions a log shows. `key`, `prefix`: those that changed it, or keys under it;
    `author`: part of the committer's name or address, in any case; `signer`: a principal's name,
    or the beginning of a key's fingerprint; `since_s`, `until_s`: not made before or after, in
    seconds since 1970, 0 for any time.
    """

    key: str = ""
    prefix: str = ""
    author: str = ""
    signer: str = ""
    since_s: int = 0
    until_s: int = 0
