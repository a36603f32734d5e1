"""Strict readers of the small texts an audit meets: index lines, pages, metadata (`spec/format`
3.6, 4.3, 4.4, 5.2, 5.3).

Part of the audit's second opinion: written from the specification alone, sharing nothing with the
code that writes these texts. Since every field has one spelling, a line is checked by a regular
expression and composed as bytes; no JSON parser is involved. What a line should say is decided in
`step.py`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.audit.key_name import is_escaped_key

META_BYTES_MAX = 512  # the longest canonical metadata has less than 300 bytes

# Names of keys of printable ASCII, exactly as 1.2 spells them: bytes that need no escape, and the
# escapes of those that do.
_FREE = rb"[A-Za-z0-9_:@+=,.-]*"
_ESCAPED = rb"%(?:2[0-9AF]|3[BCEF]|5[B-E]|60|7[B-E])"
ASCII_NAME = (
    rb"(?:[A-Za-z0-9_:@+=,-]|%2E|" + _ESCAPED + rb")" + _FREE + rb"(?:" + _ESCAPED + _FREE + rb")*"
)
ASCII_NAME_BYTES_MAX = (
    240  # a longer one may still be valid (escapes count for one): ask is_escaped_key
)

_CHUNKS = rb'(?:"chunks":[1-9][0-9]{0,6},)?'
_NUMBER = rb"(?:0|[1-9][0-9]{0,17})"
_CTYPE = rb'"ctype":"(?:[ !#-\[\]-~]|\\["\\]){1,127}"'
_EXPIRES = rb'"expires":[1-9][0-9]{0,11}'
_MEMBERS = b"(?:%b,)?(?:%b,)?" % (_CTYPE, _EXPIRES)
_LIVE_FORM = rb'\{%b"created":%b,%b"key":"%b","mod":%b,"oid":"%b","size":%b,"versions":%b\}'
_ANY_NAME = rb"([A-Za-z0-9_:@+=,.%-]+)"
_LIVE = re.compile(
    _LIVE_FORM
    % (
        b"(%b)" % _CHUNKS,
        b"(%b)" % _NUMBER,
        b"(%b)" % _MEMBERS,
        _ANY_NAME,
        _NUMBER,
        b"([0-9a-f]{40})",
        b"(%b)" % _NUMBER,
        rb"([1-9][0-9]{0,17})",
    )
)
_PAGE = {
    "live": re.compile(
        rb"(%b)\n"
        % (
            _LIVE_FORM
            % (_CHUNKS, _NUMBER, _MEMBERS, _ANY_NAME, _NUMBER, b"[0-9a-f]{40}", _NUMBER, _NUMBER)
        )
    ),
    "gone": re.compile(rb'(\{"key":"%b","mod":%b\})\n' % (_ANY_NAME, _NUMBER)),
}
_META = re.compile(rb'\{(%b|(?:%b,)?"expires":([1-9][0-9]{0,11}))\}' % (_CTYPE, _CTYPE))
_META_LOOSE = re.compile(rb'\{(?:%b,)?"expires":-?[0-9]+\}' % _CTYPE)
_ASCII_NAME = re.compile(ASCII_NAME)


class LiveLine(NamedTuple):
    """What a live line says that its successor may repeat. `chunks`: that member, or nothing;
    `meta`: the `ctype` and `expires` members; each with a comma after it.
    """

    chunks: bytes
    created: bytes
    meta: bytes
    oid: bytes  # hex
    size: bytes
    versions: int


def is_key_name(name: bytes) -> bool:
    """Whether it is the name of a key (1.2, 1.3), with a fast way for keys of printable ASCII."""
    return (
        len(name) <= ASCII_NAME_BYTES_MAX and _ASCII_NAME.fullmatch(name) is not None
    ) or is_escaped_key(name)


def parse_page(body: bytes, map_name: str) -> list[tuple[bytes, bytes]] | None:
    """(name, line without LF) of each line of a page of the map "live" or "gone"; None when its
    form is not exactly 5.2, 5.3.

    Whether a name is a key's is not asked: a new line for a name that the ledger did not change is
    a lie in any case.
    """
    found = _PAGE[map_name].findall(body)
    # findall skips what does not match: only lines that cover the page to the last byte are the
    # page
    if sum([len(line) for line, _ in found]) + len(found) != len(body):
        return None
    return [(name, line) for line, name in found]


def has_expiry(line: bytes) -> bool:
    """Whether a live line has the member `expires`: its quotes cannot stand in another member."""
    return b'"expires":' in line


def parse_live(line: bytes) -> LiveLine | None:
    """The parts of one live line; None when it is not exactly the form of 5.2."""
    match = _LIVE.fullmatch(line)
    if match is None:
        return None
    return LiveLine(match[1], match[2], match[3], match[5], match[6], int(match[7]))


class Shown(NamedTuple):
    """What a live line says of a value: hex id, size in bytes, the `chunks` member with its comma,
    or nothing.
    """

    oid: bytes
    size: bytes
    chunks: bytes = b""


def shown(oid: bytes, size: int, chunks: int = 0) -> Shown:
    """`oid`: raw; `chunks`: how many, 0 for a value that is not large."""
    member = b'"chunks":%d,' % chunks if chunks else b""
    return Shown(oid.hex().encode(), b"%d" % size, member)


def live_line(name: bytes, seq: int, value: Shown, kept: LiveLine | None, meta: bytes) -> bytes:
    """The line 5.4 asks for after transaction `seq`. `kept`: the line before, or None for a new
    key.
    """
    created = kept.created if kept is not None else b"%d" % seq
    versions = kept.versions + 1 if kept is not None else 1
    return b'{%b"created":%b,%b"key":"%b","mod":%d,"oid":"%b","size":%b,"versions":%d}' % (
        value.chunks,
        created,
        meta,
        name,
        seq,
        value.oid,
        value.size,
        versions,
    )


def created_line(name: bytes, seq: int, value: bytes, size: int) -> bytes:
    """The line 5.4 asks for of a key made by transaction `seq`, without metadata. `value`: the
    blob's raw id.
    """
    return b'{"created":%d,"key":"%b","mod":%d,"oid":"%b","size":%d,"versions":1}' % (
        seq,
        name,
        seq,
        value.hex().encode(),
        size,
    )


def gone_line(name: bytes, seq: int) -> bytes:
    """The line of the `gone` map for a key that transaction `seq` deleted; no line feed."""
    return b'{"key":"%b","mod":%d}' % (name, seq)


def parse_meta(body: bytes) -> tuple[bytes, int] | None:
    """(members as a live line repeats them, expiry in seconds or 0) of a metadata blob; None when
    it is not exactly the form of 4.3.
    """
    match = _META.fullmatch(body) if len(body) <= META_BYTES_MAX else None
    if match is None:
        return None
    return match[1] + b",", int(match[2] or b"0")


def only_expiry_is_wrong(body: bytes) -> bool:
    """True for metadata that is well-formed but for the value of `expires`: zero, negative, or too
    many digits.
    """
    return len(body) <= META_BYTES_MAX and _META_LOOSE.fullmatch(body) is not None
