"""OpenPGP armour and packets (RFC 4880 sections 4 and 6), as far as finding keys and checking a
signature's spelling needs it.

Every function raises ValueError. Verifying is left to GnuPG (`sign/openpgp.py`).
"""

from __future__ import annotations

import binascii
import re
from hashlib import sha1
from typing import NamedTuple

TAG_SIGNATURE, TAG_SECRET_KEY, TAG_PUBLIC_KEY, TAG_SECRET_SUBKEY, TAG_PUBLIC_SUBKEY = 2, 5, 6, 7, 14
ALGORITHM_RSA, ALGORITHM_ECDSA, ALGORITHM_EDDSA = 1, 19, 22
SIGNING_ALGORITHMS = frozenset({ALGORITHM_RSA, ALGORITHM_ECDSA, ALGORITHM_EDDSA})
_LINE_CHARS = 64
_BEGIN = re.compile(rb"-----BEGIN PGP ([A-Z ]{1,32})-----")
_HEADER = re.compile(rb"[A-Za-z]{1,32}: [ -~]{0,512}")
_DATA = re.compile(rb"[A-Za-z0-9+/]{1,128}={0,2}")
_CHECKSUM = re.compile(rb"=[A-Za-z0-9+/]{4}")


class Armour(NamedTuple):
    """An armoured block taken apart: `title` as b"SIGNATURE", `headers` are lines ("Comment: ..."),
    `crc` whether it has a checksum.
    """

    title: bytes
    headers: bytes
    data: bytes
    crc: bool


class Packet(NamedTuple):
    tag: int
    body: bytes


class KeyPacket(NamedTuple):
    """A primary key or subkey. `fingerprint`: 40 upper-case hex digits. `algorithm`: RFC 4880 9.1.
    `numbers`: the bytes after it.
    """

    fingerprint: str
    algorithm: int
    numbers: bytes


def _crc24_of(byte: int) -> int:
    crc = byte << 16
    for _ in range(8):
        crc = (crc << 1) ^ 0x1864CFB if crc & 0x800000 else crc << 1
    return crc


_CRC24 = tuple(map(_crc24_of, range(256)))


def crc24(data: bytes) -> bytes:
    """The armour checksum of RFC 4880 6.1, three bytes."""
    crc = 0xB704CE
    for byte in data:
        crc = (crc << 8 & 0xFFFFFF) ^ _CRC24[crc >> 16 ^ byte]
    return crc.to_bytes(3, "big")


def enarmour(title: bytes, data: bytes) -> bytes:
    """`data` as GnuPG armours it: no headers, lines of 64 characters, a checksum."""
    text = binascii.b2a_base64(data, newline=False)
    lines = [text[at : at + _LINE_CHARS] for at in range(0, len(text), _LINE_CHARS)]
    checksum = b"=" + binascii.b2a_base64(crc24(data), newline=False)
    return b"\n".join(
        [
            b"-----BEGIN PGP " + title + b"-----",
            b"",
            *lines,
            checksum,
            b"-----END PGP " + title + b"-----",
            b"",
        ]
    )


def dearmour(text: bytes) -> Armour:
    """One block ending in LF. Headers and line lengths are free: whoever accepts one spelling only
    compares with `enarmour`.
    """
    title, headers, body = _block(text.split(b"\n"))
    checksum = body.pop() if body and _CHECKSUM.fullmatch(body[-1]) is not None else b""
    if not body or not all(map(_DATA.fullmatch, body)):
        raise _not_one_block()
    try:
        data = binascii.a2b_base64(b"".join(body), strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"armour is not base64: {error}") from None
    if checksum and binascii.a2b_base64(checksum[1:]) != crc24(data):
        raise ValueError("armour's checksum does not match its content")
    return Armour(title, b"".join([header + b"\n" for header in headers]), data, bool(checksum))


def _block(lines: list[bytes]) -> tuple[bytes, list[bytes], list[bytes]]:
    """Title, headers, and what follows the empty line after them, without the last line."""
    begin = _BEGIN.fullmatch(lines[0])
    if begin is None or lines[-2:] != [b"-----END PGP " + begin[1] + b"-----", b""]:
        raise _not_one_block()
    inside = lines[1:-2]
    if b"" not in inside:
        raise _not_one_block()
    headers = inside[: inside.index(b"")]
    if not all(map(_HEADER.fullmatch, headers)):
        raise _not_one_block()
    return begin[1], headers, inside[len(headers) + 1 :]


def _not_one_block() -> ValueError:
    return ValueError(
        "expected one armoured OpenPGP block with LF line ends and nothing before or after it"
    )


def packets(data: bytes) -> list[Packet]:
    """The packets that fill `data` exactly."""
    found, at = [], 0
    while at < len(data):
        first = data[at]
        if not first & 0x80:
            raise ValueError(f"no packet starts at byte {at}")
        tag = first & 0x3F if first & 0x40 else first >> 2 & 0x0F
        start, length = (_new_length if first & 0x40 else _old_length)(data, at)
        if start + length > len(data):
            raise ValueError(f"packet at byte {at} is cut short")
        found.append(Packet(tag, data[start : start + length]))
        at = start + length
    return found


def _old_length(data: bytes, at: int) -> tuple[int, int]:
    kind = data[at] & 3
    if kind == 3:
        raise ValueError("packet of indeterminate length")
    start = at + 1 + (1 << kind)
    return start, int.from_bytes(data[at + 1 : start], "big")


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at + 1] if at + 1 < len(data) else 0
    if first < 192:
        return at + 2, first
    if first < 224:
        return at + 3, (first - 192 << 8) + int.from_bytes(data[at + 2 : at + 3], "big") + 192
    if first < 255:
        raise ValueError("packet of partial lengths")
    return at + 6, int.from_bytes(data[at + 2 : at + 6], "big")


def take_mpi(data: bytes, at: int) -> tuple[int, int]:
    """The multiprecision integer at offset `at` in its only form (RFC 4880 3.2), and the offset
    after it.
    """
    start = at + 2
    bits = int.from_bytes(data[at:start], "big")
    end = start + (bits + 7) // 8
    value = int.from_bytes(data[start:end], "big")
    if end > len(data) or value.bit_length() != bits:
        raise ValueError("number is cut short or its length is wrong")
    return value, end


def key_packet(body: bytes) -> KeyPacket:
    """A version 4 key; its fingerprint is RFC 4880 12.2's."""
    version = body[0] if body else 0
    if version != 4:
        raise ValueError(f"OpenPGP key of version {version}, expected version 4")
    if len(body) < 7 or len(body) > 0xFFFF:
        raise ValueError("OpenPGP key has an impossible length")
    digest = sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest()
    return KeyPacket(digest.upper(), body[5], body[6:])
