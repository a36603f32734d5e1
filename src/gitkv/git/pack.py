"""Writes packs without git, and reads what git says a pack holds.

A pack of small objects is the fastest way to hand thousands of them to git: one stream, no process
per object. Objects are stored whole, never as deltas. Left to others: indexing and checking the
pack (`git index-pack`, see `quarantine.py`), later repacking (git). Source of the bytes: git's
gitformat-pack(5); RFC 1950 and 1951 for the zlib streams.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Container, Iterable, Iterator, Sequence
from struct import unpack_from
from typing import NamedTuple, cast

from gitkv.errors import IntegrityError
from gitkv.model.oid import BLOB, COMMIT, OID_BYTES, TREE, Oid

SPOOL_BYTES_MAX = 32 << 20  # held in memory; more goes to a file

_KINDS = {COMMIT: 1, TREE: 2, BLOB: 3}
_SMALL = 128  # below, deflate saves less than its 10 to 30 µs a call are worth
_STORED_MAX = 65535  # bytes in one stored block of RFC 1951
_SAMPLE_FROM = 4096
_SAMPLE_BYTES = 2048
PACK_HEADER_BYTES = 12
_READ_BYTES = 1 << 20
_COUNT_MAX = (1 << 32) - 1
_WIDE = 1 << 31  # an offset from here on stands for a place in the index's table of 64-bit offsets


def _entry_header(kind: int, size: int) -> bytes:
    """The kind and size in front of a packed object: 4 bits of size, then 7 a byte, least first."""
    header = bytearray()
    byte, size = kind << 4 | size & 15, size >> 4
    while size:
        header.append(byte | 128)
        byte, size = size & 127, size >> 7
    header.append(byte)
    return bytes(header)


def _block(size: int, final: bool) -> bytes:
    return bytes((final,)) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")


# What precedes each small body: in the hash, and in the pack (entry header, zlib header, header of
# the one stored block).
_HASH_HEAD = {kind: [b"%b %d\x00" % (kind, size) for size in range(_SMALL)] for kind in _KINDS}
_PACK_HEAD = {
    kind: [_entry_header(number, size) + b"\x78\x01" + _block(size, True) for size in range(_SMALL)]
    for kind, number in _KINDS.items()
}


class PackWriter:
    """Collects objects, each once, in bounded memory; `finish` gives the pack.

    Up to `spool_bytes_max` are held in memory, the rest in an unlinked file in `spool_dir`. Raises
    ValueError for an unknown kind.

    `first`: a pack whose objects come before ours, and which stays open and as it is. `known`:
    objects that its reader has; those of some size are left out.
    """

    def __init__(
        self,
        spool_dir: str,
        *,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
        first: Pack | None = None,
        known: Container[Oid] = frozenset(),
    ) -> None:
        self._spool_dir = spool_dir
        self._first = first
        self._known = known
        self._spool_bytes_max = spool_bytes_max
        self._spool = bytearray()
        self._file = -1
        self._file_bytes = 0
        self._oids: dict[Oid, None] = dict.fromkeys(first.oids if first is not None else ())

    def __len__(self) -> int:
        return len(self._oids)

    def add(self, kind: bytes, body: bytes) -> Oid:
        """The object's id; the object is in the pack once, however often it is added."""
        # The hot path of every transaction: two table look-ups instead of formatting, no calls but
        # hash, checksum and append.
        size = len(body)
        if size >= _SMALL:
            return self._add_large(kind, body)
        oid = Oid(_sha1(_HASH_HEAD[kind][size] + body, usedforsecurity=False).digest())
        if oid not in self._oids:
            self._oids[oid] = None
            self._spool += _PACK_HEAD[kind][size] + body + _adler32(body).to_bytes(4, "big")
            if len(self._spool) > self._spool_bytes_max:
                self._spill()
        return oid

    def add_pieces(self, kind: bytes, size: int, pieces: Iterable[bytes]) -> Oid:
        """As `add`, for a body of `size` bytes that comes in pieces; only one is held. Raises
        ValueError when they make another size; the writer is then as it was before, as it is when
        a piece cannot be had.
        """
        digest = _sha1(b"%b %d\x00" % (kind, size), usedforsecurity=False)
        start, found, deflate = self._file_bytes + len(self._spool), 0, None
        self._spool += _entry_header(_KINDS[kind], size)
        try:
            for piece in pieces:
                deflate = deflate or zlib.compressobj(0 if _is_dense(piece) else 1)
                digest.update(piece)
                found += len(piece)
                self._spool += deflate.compress(piece)
                if len(self._spool) > self._spool_bytes_max:
                    self._spill()
            if found != size:
                raise ValueError(f"expected {size} bytes, got {found}")
        except BaseException:
            self._cut_back(start)
            raise
        self._spool += (deflate or zlib.compressobj(0)).flush()
        oid = Oid(digest.digest())
        if oid in self._oids or oid in self._known:
            self._cut_back(start)
            return oid
        self._oids[oid] = None
        return oid

    def finish(self) -> Pack:
        """The finished pack; the writer is empty afterwards."""
        header = pack_header(len(self._oids))
        digest = _sha1(header, usedforsecurity=False)
        oids = list(self._oids)
        spool = Spool(self._file, self._file_bytes, bytes(self._spool))
        pack = Pack(header, spool, oids, self._first)
        for chunk in pack.body():
            digest.update(chunk)
        pack.trailer = digest.digest()
        self._spool, self._file, self._file_bytes, self._oids = bytearray(), -1, 0, {}
        return pack

    def close(self) -> None:
        """Drops what was collected."""
        if self._file >= 0:
            os.close(self._file)
        self._spool, self._file, self._file_bytes, self._oids = bytearray(), -1, 0, {}

    def _add_large(self, kind: bytes, body: bytes) -> Oid:
        digest = _sha1(b"%b %d\x00" % (kind, len(body)), usedforsecurity=False)
        digest.update(body)
        oid = Oid(digest.digest())
        if oid not in self._oids and oid not in self._known:
            self._oids[oid] = None
            self._spool += _entry_header(_KINDS[kind], len(body))
            self._spool += _deflated(body)
            if len(self._spool) > self._spool_bytes_max:
                self._spill()
        return oid

    def _cut_back(self, end: int) -> None:
        """Forgets what was written of the body of the pack after `end`."""
        if end >= self._file_bytes:
            del self._spool[end - self._file_bytes :]
            return
        self._spool.clear()
        os.ftruncate(self._file, end)
        os.lseek(self._file, end, os.SEEK_SET)
        self._file_bytes = end

    def _spill(self) -> None:
        if self._file < 0:
            self._file = unlinked_file(self._spool_dir)
        view = memoryview(self._spool)
        while view:
            view = view[os.write(self._file, view) :]
        self._file_bytes += len(self._spool)
        self._spool = bytearray()


_sha1, _adler32 = hashlib.sha1, zlib.adler32


class Spool(NamedTuple):
    """Packed objects: `file_bytes` bytes in a file (-1: none), and `tail` after them."""

    file: int
    file_bytes: int
    tail: bytes


class Pack:
    """A finished pack of `count` objects; `trailer` is its SHA-1. Read with `chunks`, as often as
    needed.
    """

    def __init__(
        self, header: bytes, spool: Spool, oids: list[Oid], first: Pack | None = None
    ) -> None:
        self.oids = oids
        self.trailer = b""
        self._header = header
        self._first = first
        self._file, self._file_bytes, self._tail = spool

    @property
    def count(self) -> int:
        """The number of objects so far."""
        return len(self.oids)

    @property
    def size(self) -> int:
        """Bytes of the objects, as they are packed."""
        before = 0 if self._first is None else self._first.size
        return before + self._file_bytes + len(self._tail)

    def body(self) -> Iterator[bytes]:
        """The objects, without header and trailer."""
        if self._first is not None:
            yield from self._first.body()
        offset = 0
        while offset < self._file_bytes:
            chunk = os.pread(self._file, _READ_BYTES, offset)
            if not chunk:
                raise IntegrityError("the pack's spool file is shorter than what was written to it")
            offset += len(chunk)
            yield chunk
        for start in range(0, len(self._tail), _READ_BYTES):
            yield self._tail[start : start + _READ_BYTES]

    def chunks(self) -> Iterator[bytes]:
        """The whole pack, in pieces of at most a mebibyte."""
        yield self._header
        yield from self.body()
        yield self.trailer

    def close(self) -> None:
        """Removes the temporary file of our own part; may be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def pack_header(count: int) -> bytes:
    """The 12 bytes in front of a pack of `count` objects."""
    if count > _COUNT_MAX:
        raise ValueError(f"a pack holds at most {_COUNT_MAX} objects, got {count}")
    return b"PACK\x00\x00\x00\x02" + count.to_bytes(4, "big")


def parse_pack_header(header: bytes) -> int:
    """The object count in a pack's first 12 bytes. Raises ValueError when they are not those of a
    version 2 pack.
    """
    if len(header) != 12 or header[:8] != b"PACK\x00\x00\x00\x02":
        raise ValueError(f"expected the header of a version 2 pack, got {header[:12]!r}")
    return int.from_bytes(header[8:], "big")


def _deflated(body: bytes) -> bytes:
    """A zlib stream of `body`: deflated where that helps, stored where a sample says that it will
    not.
    """
    if _is_dense(body):
        return _stored(body)
    packed = zlib.compress(body, 1)
    return packed if len(packed) < len(body) else _stored(body)


def _is_dense(body: bytes) -> bool:
    """Whether a sample from the middle says that deflate would not help."""
    if len(body) < _SAMPLE_FROM:
        return False
    middle = (len(body) - _SAMPLE_BYTES) // 2
    sample = body[middle : middle + _SAMPLE_BYTES]
    return len(zlib.compress(sample, 1)) > _SAMPLE_BYTES * 15 // 16


def _stored(body: bytes) -> bytes:
    parts = [b"\x78\x01"]
    for start in range(0, len(body) or 1, _STORED_MAX):
        piece = body[start : start + _STORED_MAX]
        parts += _block(len(piece), start + _STORED_MAX >= len(body)), piece
    parts.append(_adler32(body).to_bytes(4, "big"))
    return b"".join(parts)


def unlinked_file(directory: str) -> int:
    """A new file that has no name any more, open for reading and writing. Raises OSError."""
    path = os.path.join(directory, f".git-kv-spool-{os.urandom(8).hex()}")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return file


class PackIndex(NamedTuple):
    """The objects of a pack, ascending, and where each starts in it, in bytes: columns, for a pair
    an object would cost more than git.
    """

    oids: list[Oid]
    offsets: Sequence[int]


def read_index(index: bytes) -> PackIndex:
    """The objects in a version 2 pack index. Raises IntegrityError on any byte out of place."""
    count = _index_count(index)
    names = 8 + 1024
    offsets, wide = names + 24 * count, names + 28 * count
    oids = cast(
        "list[Oid]",
        [index[at : at + OID_BYTES] for at in range(names, names + OID_BYTES * count, OID_BYTES)],
    )
    if any(map(bytes.__ge__, oids, oids[1:])):
        raise IntegrityError("pack index: object ids are not in strictly rising order")
    places = unpack_from(f">{count}I", index, offsets)
    if places and max(places) >= _WIDE:
        places = tuple([_place(index, wide, place) for place in places])
    return PackIndex(oids, places)


def _index_count(index: bytes) -> int:
    """The object count, once header, fan-out, length and checksum agree."""
    if len(index) < 8 + 1024 + 40 or index[:8] != b"\xfftOc\x00\x00\x00\x02":
        raise IntegrityError("pack index: expected version 2, got something else")
    fan = [int.from_bytes(index[at : at + 4], "big") for at in range(8, 8 + 1024, 4)]
    count = fan[255]
    extra = len(index) - (8 + 1024 + 28 * count + 40)
    if fan != sorted(fan) or extra < 0 or extra % 8 or extra // 8 > count:
        raise IntegrityError("pack index: fan-out and length contradict each other")
    if _sha1(index[:-20], usedforsecurity=False).digest() != index[-20:]:
        raise IntegrityError("pack index: its checksum is wrong")
    return count


def _place(index: bytes, wide: int, place: int) -> int:
    if place < _WIDE:
        return place
    at = wide + 8 * (place & 0x7FFFFFFF)
    if at + 8 > len(index) - 40:
        raise IntegrityError("pack index: an offset points outside its table")
    return int.from_bytes(index[at : at + 8], "big")
