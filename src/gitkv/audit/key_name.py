"""Whether bytes are the name of a key (`spec/format` 1.1 to 1.3), as the audit reads it.

Written from the specification: no code that makes names is asked. The list of what Unicode 14.0
assigns is data, and the same for everybody.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

KEY_BYTES_MAX = 240

_PART = re.compile(rb"(?:[0-9A-F]{2})[A-Za-z0-9_:@+=,.-]*")  # what follows a percent sign
_PLAIN = re.compile(rb"[A-Za-z0-9_:@+=,.-]*")
_C0_DEL_C1 = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0))))


def is_escaped_key(name: bytes) -> bool:
    """For names of any kind; `lines.is_key_name` has a fast way for the common ones."""
    if len(name) > 3 * KEY_BYTES_MAX:
        return False
    plain, *parts = name.split(b"%")
    if _PLAIN.fullmatch(plain) is None or not all(map(_PART.fullmatch, parts)):
        return False
    raw = plain + b"".join([bytes.fromhex(part[:2].decode()) + part[2:] for part in parts])
    return 1 <= len(raw) <= KEY_BYTES_MAX and _name_of(raw) == name and _is_key(raw)


def _name_of(raw: bytes) -> bytes:
    """1.2, byte by byte."""
    spelled = [
        bytes([byte]) if _PLAIN.fullmatch(bytes([byte])) else b"%%%02X" % byte for byte in raw
    ]
    if spelled[0] == b".":
        spelled[0] = b"%2E"
    return b"".join(spelled)


def _is_key(raw: bytes) -> bool:
    """1.1, but for the length."""
    try:
        key = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if not _C0_DEL_C1.isdisjoint(key):
        return False
    return key.isascii() or (
        all(map(_is_assigned, key)) and unicodedata.normalize("NFC", key) == key
    )


def _is_assigned(char: str) -> bool:
    return _assigned()[ord(char)] == 1


@lru_cache(maxsize=1)
def _assigned() -> bytes:
    """A byte for each code point: 1 for those that Unicode 14.0 assigns."""
    from gitkv.model.unicode14 import RUNS

    lengths = [int(length, 36) for length in RUNS.split()]
    return b"".join([bytes([1 - at % 2]) * length for at, length in enumerate(lengths)])
