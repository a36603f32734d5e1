"""The tree that holds the chunks of one large value, in order (spec/format 8.4).

Two levels, always: a tree of groups, each a tree of at most 1024 chunks. Sizes and digests stand in
the names, so whoever has the trees knows where each byte of the value is, and what it must be,
without having a chunk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gitkv.model.oid import OID_BYTES, Oid
from gitkv.model.verdict import INTEGRITY, POLICY, FormError, reason

GROUP_CHUNKS_MAX = 1024
GROUPS_MAX = 1024
CHUNKS_MAX = GROUP_CHUNKS_MAX * GROUPS_MAX
TREE_BYTES_MAX = 1024 * 128  # an entry of a group, the longer kind, has at most 110 bytes

_GROUP = re.compile(rb"40000 ([0-9a-f]{3})-([1-9][0-9]{0,14})\x00([\x00-\xff]{20})")
_CHUNK = re.compile(rb"100644 ([0-9a-f]{3})-([1-9][0-9]{0,7})-([0-9a-f]{64})\x00([\x00-\xff]{20})")


class Group(NamedTuple):
    """A run of chunks: their bytes together, and the tree that lists them."""

    size: int
    oid: Oid


class Chunk(NamedTuple):
    """A piece of a value: its size in bytes, its BLAKE3 (32 bytes), and its blob."""

    size: int
    blake3: bytes
    oid: Oid


def format_value_tree(groups: Sequence[Group]) -> bytes:
    """The body of the tree of a value."""
    return b"".join(
        [b"40000 %03x-%d\0%b" % (at, size, oid) for at, (size, oid) in enumerate(groups)]
    )


def format_group(chunks: Sequence[Chunk]) -> bytes:
    """The body of the tree of one group."""
    return b"".join(
        [
            b"100644 %03x-%d-%b\0%b" % (at, size, blake3.hex().encode(), oid)
            for at, (size, blake3, oid) in enumerate(chunks)
        ]
    )


def parse_value_tree(body: bytes) -> list[Group]:
    """Raises FormError unless it is a tree of 1 to 1024 groups, numbered from 0."""
    found = _entries(_GROUP, body, len("40000 000-") + 1 + OID_BYTES)
    return [Group(int(size), Oid(oid)) for _, size, oid in found]


def parse_group(body: bytes) -> list[Chunk]:
    """Raises FormError unless it is a tree of 1 to 1024 chunks, numbered from 0."""
    found = _entries(_CHUNK, body, len("100644 000--") + 64 + 1 + OID_BYTES)
    return [
        Chunk(int(size), bytes.fromhex(blake3.decode()), Oid(oid)) for _, size, blake3, oid in found
    ]


def _entries(pattern: re.Pattern[bytes], body: bytes, overhead: int) -> list[tuple[bytes, ...]]:
    if len(body) > TREE_BYTES_MAX:
        raise FormError(
            reason(
                POLICY,
                "chunks.size",
                "chunk tree",
                f"at most {TREE_BYTES_MAX} bytes",
                f"{len(body)} bytes",
            )
        )
    found: list[tuple[bytes, ...]] = pattern.findall(body)
    covered = sum([len(entry[1]) for entry in found]) + overhead * len(found)
    numbers = [entry[0] for entry in found]
    if (
        not 0 < len(found) <= 1024
        or covered != len(body)
        or numbers != [b"%03x" % at for at in range(len(found))]
    ):
        raise FormError(
            reason(
                INTEGRITY,
                "chunks.form",
                "chunk tree",
                "1 to 1024 entries <number>-<size> of groups or chunks, numbered from 0",
                body[:60],
            )
        )
    return found
