"""The nodes of an ordered tree as bytes, and where they are cut (spec/format 3).

An *item* is a pair (name, payload). On a leaf of entries and on every inner level the payload is an
object id; on a leaf of lines (a page) it is the whole line. Each `decode_*` proves the form of what
it returns and raises FormError otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from gitkv.model.oid import BLOB, OID_BYTES, TREE
from gitkv.model.verdict import INTEGRITY, POLICY, FormError, reason

Item = tuple[bytes, bytes]

ITEMS_MIN = 8
ITEMS_MAX = 512
LEVELS_MAX = 16
NODE_BYTES_MAX = (
    ITEMS_MAX * 1300
)  # the longest line of an index has less than 1300 bytes, the longest entry of a tree 760

_LOW_FIRST_BYTE = 4  # the 16-bit hash is below 1024 exactly when its first byte is below 4

# No name of a key holds a space. To let one pass here would make the search quadratic: each mode in
# a long name would be tried as the start of an entry.
_ENTRY = re.compile(rb"100644 ([^ /!\x00]+)\x00([\x00-\xff]{20})")
_INNER_TREE = re.compile(rb"40000 ([^ /!\x00]+)!\x00([\x00-\xff]{20})")
# Git trees that payloads of a chunk store are (spec/format 3.5); `!` tells inner entries from them.
_SUBTREE = re.compile(rb"40000 ([^ /!\x00]+)\x00([\x00-\xff]{20})")
_INNER_PAGE = re.compile(rb"100644 ([^ /!\x00]+)!\x00([\x00-\xff]{20})")


class Leaves(NamedTuple):
    """How level 0 is written. `lowest_root`: 1 when a leaf is a blob, which no commit could point
    to; `is_bottom` tells the lowest tree: a leaf, or the level above pages.
    """

    kind: bytes
    decode: Callable[[bytes], list[Item]]
    encode: Callable[[list[Item]], bytes]
    lowest_root: int
    is_bottom: Callable[[bytes], bool]


def is_low(level: int, name: bytes) -> bool:
    """Whether the name's hash asks for a cut before it on this level (spec/format 3.2)."""
    return sha256(bytes((level,)) + name).digest()[0] < _LOW_FIRST_BYTE


def starts_node(level: int, name: bytes, count: int) -> bool:
    """Whether `name` starts a new node when the node before it holds `count` items (spec/format
    3.3).
    """
    return count >= ITEMS_MAX or (count >= ITEMS_MIN and is_low(level, name))


def decode_entries(body: bytes) -> list[Item]:
    """Items of a leaf of entries."""
    return _items(_ENTRY, body, len("100644 ") + 1)


def encode_entries(items: list[Item]) -> bytes:
    """The body of a leaf tree; the items are in order."""
    return b"".join([b"100644 %b\0%b" % item for item in items])


def _points_to_blobs(body: bytes) -> bool:
    return body.startswith(b"100644 ")


def _points_to_values(body: bytes) -> bool:
    return _SUBTREE.match(body) is not None


def decode_subtrees(body: bytes) -> list[Item]:
    """Items of a leaf of a chunk store."""
    return _items(_SUBTREE, body, len("40000 ") + 1)


def encode_subtrees(items: list[Item]) -> bytes:
    """The body of a leaf tree whose items are trees; the items are in order."""
    return b"".join([b"40000 %b\0%b" % item for item in items])


def decode_inner(body: bytes, *, points_to_pages: bool) -> list[Item]:
    """Items of a node above level 0."""
    if points_to_pages:
        return _items(_INNER_PAGE, body, len("100644 !") + 1)
    return _items(_INNER_TREE, body, len("40000 !") + 1)


def encode_inner(items: list[Item], *, points_to_pages: bool) -> bytes:
    """The body of an inner tree; the items are in order."""
    mode = b"100644" if points_to_pages else b"40000"
    return b"".join([b"%b %b!\0%b" % (mode, name, oid) for name, oid in items])


def _items(pattern: re.Pattern[bytes], body: bytes, overhead: int) -> list[Item]:
    check_size(body)
    items: list[Item] = pattern.findall(body)
    covered = len(items) * (overhead + OID_BYTES) + sum([len(name) for name, _ in items])
    if not items or covered != len(body):
        raise FormError(
            reason(
                INTEGRITY, "tree.shape", "ordered tree", "a node of one kind of entry", body[:60]
            )
        )
    check_sorted(items)
    return items


def check_size(body: bytes) -> None:
    """Raises FormError for more than a full node of the longest names can have, before anything is
    made of it.
    """
    if len(body) > NODE_BYTES_MAX:
        raise FormError(
            reason(
                POLICY,
                "tree.size",
                "ordered tree",
                f"a node of at most {NODE_BYTES_MAX} bytes",
                f"{len(body)} bytes",
            )
        )


def check_sorted(items: list[Item]) -> None:
    """Raises FormError unless the names strictly ascend."""
    names = [name for name, _ in items]
    if any(map(bytes.__ge__, names, names[1:])):
        raise FormError(
            reason(
                INTEGRITY,
                "tree.order",
                "ordered tree",
                "names in ascending order, each once",
                names[0],
            )
        )


ENTRIES = Leaves(TREE, decode_entries, encode_entries, 0, _points_to_blobs)
SUBTREES = Leaves(TREE, decode_subtrees, encode_subtrees, 0, _points_to_values)


def line_leaves(pattern: re.Pattern[bytes]) -> Leaves:
    """Pages whose every line matches `pattern`; its group 1 is the whole line, group 2 the name."""

    def decode(body: bytes) -> list[Item]:
        check_size(body)
        items = [(match[1], match[0]) for match in pattern.findall(body)]
        if not items or sum([len(line) for _, line in items]) != len(body):
            raise FormError(
                reason(INTEGRITY, "index.form", "index page", "canonical lines", body[:60])
            )
        check_sorted(items)
        return items

    return Leaves(BLOB, decode, _join_lines, 1, _points_to_blobs)


def _join_lines(items: list[Item]) -> bytes:
    return b"".join([line for _, line in items])
