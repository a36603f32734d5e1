"""How large the objects of a pack are once inflated, told from their headers alone: nothing is
inflated to find out.

Half a megabyte of a pack can stand for half a gigabyte. Whoever reads such an object holds it in
memory, so it is found before that. Source of the bytes: git's gitformat-pack(5). Left to others:
what follows from it (`quarantine.py`).
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Sequence

from gitkv.model.oid import OID_BYTES

_COMMIT, _TREE, _TAG, _OFS_DELTA, _REF_DELTA = 1, 2, 4, 6, 7
_DELTA_BITS = 0x60  # both set in the kinds 6 and 7
_SIZES_BYTES = 20  # room for the two sizes a delta begins with
_STEP_BYTES = 512


def find_oversize(
    pack_path: str, offsets: Sequence[int], blob_bytes_max: int, other_bytes_max: int
) -> tuple[int, int] | None:
    """Place and size in bytes of an object that is too large, None when there is none.

    A blob, or what a delta makes, may have `blob_bytes_max`, another object `other_bytes_max`; both
    are at least 2**18. `offsets`: where the objects start, in a pack that git has checked.



    """
    with (
        open(pack_path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pack,
    ):
        # The hot loop: a header of fewer than four bytes tells a size below 2**18.
        suspects = [
            at
            for at in offsets
            if pack[at] & _DELTA_BITS == _DELTA_BITS
            or (pack[at] & 128 and pack[at + 1] & 128 and pack[at + 2] & 128)
        ]
        for start in suspects:
            kind = pack[start] >> 4 & 7
            size, at = _entry_size(pack, start)
            if kind in (_OFS_DELTA, _REF_DELTA):
                size = _result_size(pack, at, kind)
            if size > (other_bytes_max if kind in (_COMMIT, _TREE, _TAG) else blob_bytes_max):
                return start, size
    return None


def _entry_size(pack: mmap.mmap, at: int) -> tuple[int, int]:
    """The size in an entry's header, and where its header ends: 4 bits, then 7 a byte, least
    first.
    """
    size, shift = pack[at] & 15, 4
    while pack[at] & 128:
        at += 1
        size |= (pack[at] & 127) << shift
        shift += 7
    return size, at + 1


def _result_size(pack: mmap.mmap, at: int, kind: int) -> int:
    """What a delta says that it makes."""
    if kind == _REF_DELTA:
        at += OID_BYTES
    else:
        while pack[at] & 128:
            at += 1
        at += 1
    head = _inflated_head(pack, at)
    return _number(head, _number(head, 0)[1])[0]


def _inflated_head(pack: mmap.mmap, at: int) -> bytes:
    """The first bytes of a deflated stream. Its tables may be long, and empty blocks may stand in
    front, so it is read until some come.
    """
    inflater, head = zlib.decompressobj(), b""
    while len(head) < _SIZES_BYTES and not inflater.eof and at < len(pack):
        head += inflater.decompress(pack[at : at + _STEP_BYTES], _SIZES_BYTES - len(head))
        at += _STEP_BYTES
    return head


def _number(head: bytes, at: int) -> tuple[int, int]:
    value, shift = head[at] & 127, 7
    while head[at] & 128:
        at += 1
        value |= (head[at] & 127) << shift
        shift += 7
    return value, at + 1
