"""Keys and their one encoded name (`docs/spec/format.md`, section Keys).

The text of a key is UTF-8 in NFC, 1 to 240 bytes, of code points that Unicode 14.0 assigns, without
control characters. Its *name* is what
trees store: bytes outside the safe set become `%XX` with upper-case hex, and so does a leading dot.
Everything is ordered by the name's bytes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NewType

from gitkv.errors import KeyInvalidError

Name = NewType("Name", bytes)  # canonical encoded key, never empty

KEY_BYTES_MAX = 240
_SAFE = re.compile(r"[A-Za-z0-9_:@+=,-][A-Za-z0-9_:@+=,.-]{0,239}")
_NAME = re.compile(rb"(?:[A-Za-z0-9_:@+=,-]|%[0-9A-F]{2})(?:[A-Za-z0-9_:@+=,.-]|%[0-9A-F]{2})*")
_SAFE_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:@+=,.-")
_ESCAPE = tuple(chr(b).encode() if b in _SAFE_BYTES else b"%%%02X" % b for b in range(256))
_ESCAPED = re.compile(rb"%([0-9A-F]{2})")


def encode_key(key: str) -> Name:
    """The name of a key. Raises KeyInvalidError with the reason when the key breaks the grammar."""
    try:
        is_safe = _SAFE.fullmatch(key) is not None
    except TypeError:  # a caller without type checks: bytes, numbers, paths
        raise KeyInvalidError(f"key: expected str, got {type(key).__name__}") from None
    if is_safe:
        return Name(key.encode("ascii"))
    _check_text(key)
    return Name(_escape(key.encode()))


def encode_prefix(prefix: str) -> bytes:
    """The encoded bytes that the names of all keys starting with `prefix` start with; empty for an
    empty prefix.
    """
    if not prefix:
        return b""
    return encode_key(prefix)


def decode_name(name: bytes) -> str:
    """The key of a canonical name. Raises KeyInvalidError for any spelling `encode_key` does not
    produce.
    """
    if len(name) > 3 * KEY_BYTES_MAX or _NAME.fullmatch(name) is None:
        raise KeyInvalidError(f"key name {_show(name)} is not in the encoded form")
    if b"%" not in name and len(name) <= KEY_BYTES_MAX:
        return name.decode("ascii")
    raw = _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), name)
    try:
        key = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyInvalidError(f"key name {_show(name)} does not decode to UTF-8") from None
    _check_text(key)
    if _escape(raw) != name:
        raise KeyInvalidError(
            f"key name {_show(name)} is not the canonical spelling: expected {_show(_escape(raw))}"
        )
    return key


def is_name(name: bytes) -> bool:
    """True when `name` is the canonical encoding of some key."""
    try:
        decode_name(name)
    except KeyInvalidError:
        return False
    return True


def _escape(raw: bytes) -> bytes:
    if raw[:1] == b".":
        return b"%2E" + b"".join([_ESCAPE[byte] for byte in raw[1:]])
    return b"".join([_ESCAPE[byte] for byte in raw])


def _check_text(key: str) -> None:
    if not key:
        raise KeyInvalidError("key is empty: expected 1 to 240 bytes")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise KeyInvalidError(f"key {key[:60]!r} is not valid UTF-8") from None
    if size > KEY_BYTES_MAX:
        raise KeyInvalidError(
            f"key {key[:40]!r}… is too long: expected at most {KEY_BYTES_MAX} bytes, got {size}"
        )
    if any(unicodedata.category(char) == "Cc" for char in key):
        raise KeyInvalidError(f"key {key!r} holds a control character")
    if not key.isascii():
        _check_characters(key)


def _check_characters(key: str) -> None:
    from gitkv.model.unicode14 import first_unassigned  # keys of ASCII do not pay for the table

    stranger = first_unassigned(key)
    if stranger:
        raise KeyInvalidError(
            f"key {key!r} holds U+{ord(stranger):04X}, which Unicode 14.0 does not assign",
            hint="what a later Unicode makes of it is not known to every reader",
        )
    if not unicodedata.is_normalized("NFC", key):
        raise KeyInvalidError(
            f"key {key!r} is not in Unicode normal form C",
            hint="normalise it (NFC) before storing it",
        )


def _show(name: bytes) -> str:
    return repr(name[:60].decode("ascii", "backslashreplace"))
