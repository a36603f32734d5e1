"""Other spellings of a good OpenPGP signature: GnuPG takes many of them, we take none."""

from __future__ import annotations

from collections.abc import Callable

from gitkv.model.openpgp_packets import TAG_SIGNATURE, dearmour, enarmour, packets, take_mpi
from gitkv.sign import openpgp

KINDS = ["openpgp-ed25519", "openpgp-rsa", "openpgp-nistp256"]
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
TITLE = b"SIGNATURE"


def body_of(armour: bytes) -> bytes:
    return packets(dearmour(armour).data)[0].body


def packed(body: bytes) -> bytes:
    header = bytes([0x88, len(body)]) if len(body) < 256 else b"\x89" + len(body).to_bytes(2, "big")
    return enarmour(TITLE, header + body)


def with_unhashed(body: bytes, area: bytes) -> bytes:
    at = 6 + int.from_bytes(body[4:6], "big")
    behind = at + 2 + int.from_bytes(body[at : at + 2], "big")
    return packed(body[:at] + len(area).to_bytes(2, "big") + area + body[behind:])


def number(value: int) -> bytes:
    return value.bit_length().to_bytes(2, "big") + value.to_bytes(
        (value.bit_length() + 7) // 8, "big"
    )


def numbers_at(body: bytes) -> int:
    at = 6 + int.from_bytes(body[4:6], "big")
    return at + 2 + int.from_bytes(body[at : at + 2], "big") + 2


def grown_s(armour: bytes) -> bytes:
    body = body_of(armour)
    r, behind = take_mpi(body, numbers_at(body))
    s = int.from_bytes(take_mpi(body, behind)[0].to_bytes(32, "big"), "little") + ED25519_ORDER
    return packed(
        body[: numbers_at(body)]
        + number(r)
        + number(int.from_bytes(s.to_bytes(32, "little"), "big"))
    )


def rewrapped(armour: bytes, width: int) -> bytes:
    head, _, rest = armour.partition(b"\n\n")
    lines, _, tail = rest.partition(b"\n=")
    text = lines.replace(b"\n", b"")
    return (
        head
        + b"\n\n"
        + b"\n".join(text[at : at + width] for at in range(0, len(text), width))
        + b"\n="
        + tail
    )


def without_checksum(armour: bytes) -> bytes:
    at = armour.index(b"\n=")
    return armour[:at] + armour[at + 6 :]


def data_of(armour: bytes) -> bytes:
    return dearmour(armour).data


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "Version header": lambda armour: armour.replace(
        b"-----\n\n", b"-----\nVersion: GnuPG v2\n\n", 1
    ),
    "Comment header": lambda armour: armour.replace(b"-----\n\n", b"-----\nComment: x\n\n", 1),
    "no empty line": lambda armour: armour.replace(b"-----\n\n", b"-----\n", 1),
    "spaces for an empty line": lambda armour: armour.replace(b"-----\n\n", b"-----\n \n", 1),
    "lines of 76": lambda armour: rewrapped(armour, 76),
    "no checksum": without_checksum,
    "wrong checksum": lambda armour: (
        armour[: armour.index(b"\n=") + 2] + b"AAAA" + armour[armour.index(b"\n=") + 6 :]
    ),
    "CRLF": lambda armour: armour.replace(b"\n", b"\r\n"),
    "text before": lambda armour: b"hello\n" + armour,
    "text after": lambda armour: armour + b"hello\n",
    "no final LF": lambda armour: armour[:-1],
    "twice": lambda armour: armour + armour,
    "another title": lambda armour: armour.replace(b"PGP SIGNATURE", b"PGP MESSAGE"),
    "two packets": lambda armour: enarmour(TITLE, data_of(armour) * 2),
    "marker packet after": lambda armour: enarmour(TITLE, data_of(armour) + b"\xa8\x03PGP"),
    "byte after": lambda armour: enarmour(TITLE, data_of(armour) + b"\0"),
    "new packet header": lambda armour: enarmour(
        TITLE, bytes([0xC0 | TAG_SIGNATURE, len(body_of(armour))]) + body_of(armour)
    ),
    "long packet header": lambda armour: enarmour(
        TITLE, b"\x8a" + len(body_of(armour)).to_bytes(4, "big") + body_of(armour)
    ),
    "indeterminate length": lambda armour: enarmour(TITLE, b"\x8b" + body_of(armour)),
    "empty unhashed area": lambda armour: with_unhashed(body_of(armour), b""),
    "note in the unhashed area": lambda armour: with_unhashed(
        body_of(armour), b"\x09\x10" + bytes(8) + b"\x02\x65x"
    ),
    "another key id": lambda armour: with_unhashed(body_of(armour), b"\x09\x10" + bytes(8)),
    "long subpacket length": lambda armour: with_unhashed(
        body_of(armour), b"\xff\0\0\0\x09\x10" + bytes.fromhex(openpgp.signing_key(armour))[-8:]
    ),
    "text signature": lambda armour: packed(body_of(armour)[:1] + b"\1" + body_of(armour)[2:]),
    "SHA-1": lambda armour: packed(body_of(armour)[:3] + b"\2" + body_of(armour)[4:]),
    "s grown by the group's order": grown_s,
    "number after": lambda armour: packed(body_of(armour) + b"\0\1\1"),
    "byte after the numbers": lambda armour: packed(body_of(armour) + b"\0"),
}
