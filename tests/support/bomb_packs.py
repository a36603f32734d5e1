"""Packs of some kilobytes that ask for hours or gigabytes of whoever unpacks them."""

from __future__ import annotations

import hashlib
import zlib

from support.forge import entry

MIB = 1 << 20
COMMIT, TREE, BLOB, OFS_DELTA, REF_DELTA = 1, 2, 3, 6, 7


def number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def distance(value: int) -> bytes:
    out = [value & 127]
    while value := value >> 7:
        value -= 1
        out.append(value & 127 | 128)
    return bytes(out[::-1])


def blob_oid(body: bytes) -> bytes:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).digest()


def chain(length: int, *, named: bool) -> list[bytes]:
    """A value, and values each made from the one before it."""
    body = b"v" * 64
    entries = [entry(BLOB, body)]
    for count in range(length):
        made = b"v" * 64 + b"%08d" % count
        text = number(len(body)) + number(72) + b"\x90\x40" + b"\x08" + made[64:]
        kind, before = (
            (REF_DELTA, blob_oid(body)) if named else (OFS_DELTA, distance(len(entries[-1])))
        )
        entries.append(entry(kind, text, before=before))
        body = made
    return entries


def many_zeros(count: int) -> list[bytes]:
    """Values of 16 MiB, all different, in some hundred bytes each... as far as deflate goes."""
    packer = zlib.compressobj(9)
    head = b"".join([packer.compress(bytes(MIB)) for _ in range(15)])
    entries = []
    for at in range(count):
        last = packer.copy()
        body = head + last.compress(bytes(MIB - 8) + b"%08d" % at) + last.flush()
        entries.append(entry(BLOB, b"", size=16 * MIB)[: -len(zlib.compress(b"", 1))] + body)
    return entries


def one_of_zeros(size: int) -> list[bytes]:
    """One value of `size` bytes, a multiple of a MiB, in a thousandth of them."""
    packer = zlib.compressobj(9)
    body = b"".join([packer.compress(bytes(MIB)) for _ in range(size // MIB)]) + packer.flush()
    return [entry(BLOB, b"", size=size)[: -len(zlib.compress(b"", 1))] + body]


def copies(count: int) -> list[bytes]:
    """Deltas that each make 64 MiB of a base of 64 KiB."""
    base = bytes(1 << 16)
    deltas = [
        number(1 << 16) + number((1024 + at) << 16) + b"\x80" * (1024 + at) for at in range(count)
    ]
    return [
        entry(BLOB, base),
        *[entry(REF_DELTA, text, before=blob_oid(base)) for text in deltas],
    ]
