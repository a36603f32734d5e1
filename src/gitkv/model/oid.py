"""Object ids: raw SHA-1 digests inside the program, lower-case hex at its edges.

Only SHA-1 repositories are served (ADR "sha1-only"); packs from outside are hashed by git itself,
which detects collisions.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

Oid = NewType("Oid", bytes)  # OID_BYTES raw bytes

OID_BYTES = 20
OID_HEX = 40
_HEX = re.compile(rb"[0-9a-f]{40}")

BLOB = b"blob"
TREE = b"tree"
COMMIT = b"commit"


def parse_oid(text: bytes) -> Oid:
    """Raw id of 40 lower-case hex digits. Raises ValueError on any other spelling."""
    if _HEX.fullmatch(text) is None:
        raise ValueError(f"not an object id: {text[:60]!r}")
    return Oid(bytes.fromhex(text.decode()))


def hash_object(kind: bytes, body: bytes) -> Oid:
    """The id git gives an object of this kind (`BLOB`, `TREE`, `COMMIT`) and body."""
    return Oid(
        hashlib.sha1(b"%b %d\x00%b" % (kind, len(body), body), usedforsecurity=False).digest()
    )


ZERO_OID = Oid(bytes(OID_BYTES))  # git's "no object" in ref updates
EMPTY_TREE = hash_object(TREE, b"")
