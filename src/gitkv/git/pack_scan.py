"""What a pack asks of whoever unpacks it, counted while its bytes arrive and before git gets them:
inflated bytes, the size of each object, the depth of delta chains.

A few kilobytes can stand for gigabytes, or for a chain of deltas that costs its length again with
each object on it. git itself limits neither, so a pack is measured before it is unpacked. Nothing
inflated is kept. Source of the bytes: git's gitformat-pack(5). Left to others: whether the pack is
sound (`git index-pack`, which reads the same bytes later), and what follows (`quarantine.py`).
"""

from __future__ import annotations

import re
import zlib
from array import array
from bisect import bisect_left
from typing import NamedTuple

from gitkv.git.pack import PACK_HEADER_BYTES, PackIndex
from gitkv.model.oid import OID_BYTES, Oid

_BLOB, _OFS_DELTA, _REF_DELTA = 3, 6, 7
_WHOLE = (1, 2, _BLOB, 4)
_STEP_BYTES = 1 << 16  # inflated at a time
_DELTA_HEAD_BYTES = 20  # the two sizes a delta begins with, 64 bits each
_NUMBER_BITS_MAX = 64
_ENTRY_HEAD_BYTES = 10 + OID_BYTES  # a size of 64 bits, then at most the base's id
# One stored block of RFC 1951 in a zlib stream, the usual form of a small object of ours: its
# length is told, and nothing needs inflating to find its end.
_STORED = re.compile(rb"\x78\x01\x01(..)..", re.DOTALL)
_STORED_BYTES, _CHECK_BYTES = 7, 4


class PackLimits(NamedTuple):
    """What the objects of one pack may come to. `blob_bytes_max` holds for what a delta makes, too;
    `depth_max`: deltas between an object and the whole one that it is made from.
    """

    inflated_bytes_max: int
    blob_bytes_max: int
    other_bytes_max: int
    depth_max: int


class PackTooMuchError(ValueError):
    """A pack of good objects asks for more than its limits grant."""


class PackScan:
    """Reads a pack in pieces of any size. Work and memory grow with the bytes fed, and with what is
    inflated up to the limits.

    `count`: of objects, as the pack says. `inflated_bytes`: of all objects so far, each as it is
    stored and, if that is a delta, as it will be. `held_bytes`: of the largest object
    that git has to hold whole.
    """

    def __init__(self, limits: PackLimits, count: int) -> None:
        self._limits = limits
        self.count = count
        self._left = count  # entries that have not begun yet
        self._buffer = b""
        self._buffer_at = PACK_HEADER_BYTES  # where the buffer begins in the pack
        self._entry: _Entry | None = None
        self._deltas = _Deltas()
        self.inflated_bytes = 0
        self.held_bytes = 0

    @property
    def begun(self) -> int:
        """How many objects have been met so far."""
        return self.count - self._left

    @property
    def is_whole(self) -> bool:
        """Whether all objects have been there."""
        return not self._left and self._entry is None

    @property
    def names_bases(self) -> bool:
        """Whether a delta named its base by an id: chains are then known with the index alone."""
        return self._deltas.are_named

    def feed(self, data: bytes) -> None:
        """The next bytes after the pack's header. Raises PackTooMuchError as soon as a limit is
        passed, ValueError for what is not a pack, or has an object larger than any may be.
        """
        self._buffer = self._buffer + data if self._buffer else data
        at = 0
        while self._entry is not None or self._left:
            if self._entry is None:
                after = self._skip_stored(at) or self._begin(at)
            else:
                after = self._inflate(self._entry, at)
            if after == at:
                break
            at = after
        else:
            at = len(self._buffer)  # the checksum, or what should not be there: for git to judge
        self._buffer = self._buffer[at:]
        self._buffer_at += at

    def check_depth(self, index: PackIndex) -> None:
        """Judges the chains that were not known while reading, because a delta may name its base by
        an id: `index` knows where each object starts. Raises PackTooMuchError.
        """
        self._check_depth(self._deltas.deepest(index))

    def _skip_stored(self, at: int) -> int:
        """The end of an entry that is a small whole object in one stored block; 0 for any other,
        and for one that is not all there yet.
        """
        buffer = self._buffer
        head = buffer[at : at + 2]
        if len(head) < 2 or head[0] >> 4 & 7 not in _WHOLE:
            return 0
        size, body = head[0] & 15, at + 1
        if head[0] & 128:
            if head[1] & 128:
                return 0
            size, body = size | head[1] << 4, body + 1
        block = _STORED.match(buffer, body)
        end = body + _STORED_BYTES + size + _CHECK_BYTES
        if block is None or int.from_bytes(block[1], "little") != size or end > len(buffer):
            return 0
        self._left -= 1
        self._count(size)
        return end

    def _begin(self, at: int) -> int:
        """Reads an entry's head, once all of it is there; where its data begins, else `at`."""
        head = self._buffer[at : at + _ENTRY_HEAD_BYTES]
        size_end = _number_end(head, 0)
        if size_end == 0:
            return at
        kind, size, end = head[0] >> 4 & 7, head[0] & 15 | _number(head, 1, size_end) << 4, size_end
        if kind in (_OFS_DELTA, _REF_DELTA):
            end = self._begin_delta(kind, head, size_end, self._buffer_at + at)
            if end == 0:
                return at
        elif kind not in _WHOLE:
            raise ValueError(f"expected an object or a delta, got an entry of kind {kind}")
        is_blob = kind in (_BLOB, _OFS_DELTA, _REF_DELTA)
        limits = self._limits
        self._check_size(size, limits.blob_bytes_max if is_blob else limits.other_bytes_max)
        self._count(size)
        if kind != _BLOB:
            self.held_bytes = max(self.held_bytes, size)
        self._left -= 1
        self._entry = _Entry(size, kind in (_OFS_DELTA, _REF_DELTA))
        return at + end

    def _begin_delta(self, kind: int, head: bytes, at: int, start: int) -> int:
        """Notes the delta that starts at `start` in the pack; where its data begins in `head`, 0
        when that is not there yet.
        """
        if kind == _REF_DELTA:
            end = at + OID_BYTES
            if len(head) < end:
                return 0
            self._deltas.add_named(start, head[at:end])
            return end
        end = _number_end(head, at)
        if end:
            self._check_depth(self._deltas.add(start, start - _distance(head, at, end)))
        return end

    def _inflate(self, entry: _Entry, at: int) -> int:
        """Goes on with an object's data; where the next bytes are, `at` when there are none."""
        given = self._buffer[at : at + entry.step_bytes]
        if not given:
            return at
        left = entry.inflate(given)
        sizes = entry.new_sizes()
        if sizes is not None:
            self._check_size(max(sizes), self._limits.blob_bytes_max)
            self._count(sizes[1])
            self.held_bytes = max(self.held_bytes, *sizes)
        if entry.has_ended:
            self._entry = None
        return at + len(given) - left

    def _check_size(self, size: int, size_max: int) -> None:
        if size > size_max:
            raise ValueError(f"an object inflates to {size} bytes, expected at most {size_max}")

    def _count(self, size: int) -> None:
        self.inflated_bytes += size
        if self.inflated_bytes > self._limits.inflated_bytes_max:
            raise PackTooMuchError(
                f"its objects inflate to more than {self._limits.inflated_bytes_max} bytes"
            )

    def _check_depth(self, depth: int) -> None:
        if depth > self._limits.depth_max:
            raise PackTooMuchError(
                f"expected chains of at most {self._limits.depth_max} deltas, got a longer one"
            )


class _Entry:
    """An object whose data is being inflated, to find its end. `is_delta`: its first bytes tell how
    large the object is that it makes.
    """

    def __init__(self, size: int, is_delta: bool) -> None:
        self._size = size
        self._made = 0
        self._inflater = zlib.decompressobj()
        self._head: bytes | None = b"" if is_delta else None  # None: nobody waits for it
        self.has_ended = False
        # Of compressed bytes to look at next: a slice is a copy, so not far more than there are
        self.step_bytes = min(_STEP_BYTES, size + 64)

    def inflate(self, data: bytes) -> int:
        """Takes the next bytes; how many of them are left, being another entry's. Raises
        ValueError.
        """
        inflater = self._inflater
        while data and not inflater.eof:
            try:
                made = inflater.decompress(data, _STEP_BYTES)
            except zlib.error as error:
                raise ValueError(f"an object is not a zlib stream: {error}") from None
            self._made += len(made)
            if self._made > self._size:
                raise ValueError(f"an object is larger than the {self._size} bytes it claims")
            if self._head is not None and len(self._head) < _DELTA_HEAD_BYTES:
                self._head += made[:_DELTA_HEAD_BYTES]
            data = inflater.unconsumed_tail
        self.has_ended = inflater.eof
        return len(inflater.unused_data)

    def new_sizes(self) -> tuple[int, int] | None:
        """The sizes of a delta's base and of what it makes, once, as soon as they are known."""
        if self._head is None or not (self.has_ended or len(self._head) >= _DELTA_HEAD_BYTES):
            return None
        first = _number_end(self._head, 0)
        second = _number_end(self._head, first) if first else 0
        if not second:
            raise ValueError("a delta ends before the sizes it begins with")
        sizes = _number(self._head, 0, first), _number(self._head, first, second)
        self._head = None
        return sizes


class _Deltas:
    """The deltas of a pack in the order of their places, as columns: an object for each would cost
    more than git.
    """

    def __init__(self) -> None:
        self._starts = array("Q")
        self._bases = array("q")  # place of the base among the deltas, -1 if it is a whole object
        self._depths = array("L")  # as far as known: a base named by its id counts as whole
        self._named = array("q")  # places whose base is named by its id
        self._ids = bytearray()  # the ids

    def add(self, start: int, base_start: int) -> int:
        """The depth of a delta on the object that starts at `base_start`."""
        base = self._place(base_start)
        depth = 1 + (self._depths[base] if base >= 0 else 0)
        self._append(start, base, depth)
        return depth

    def add_named(self, start: int, base: bytes) -> None:
        self._named.append(len(self._starts))
        self._ids += base
        self._append(start, -1, 1)

    @property
    def are_named(self) -> bool:
        """Whether any names its base by an id."""
        return bool(self._named)

    def deepest(self, index: PackIndex) -> int:
        """The length of the longest chain, in one step for each delta."""
        for at, place in enumerate(self._named):
            base = Oid(bytes(self._ids[at * OID_BYTES : (at + 1) * OID_BYTES]))
            found = bisect_left(index.oids, base)
            if found < len(index.oids) and index.oids[found] == base:
                self._bases[place] = self._place(index.offsets[found])
        if not self._named:
            return max(self._depths, default=0)
        depths = array("L", bytes(self._depths.itemsize * len(self._depths)))
        for first in range(len(depths)):
            chain, place = list[int](), first
            while place >= 0 and not depths[place] and len(chain) <= len(depths):
                chain.append(place)
                place = self._bases[place]
            depth = depths[place] if place >= 0 else 0
            for place in reversed(chain):
                depth += 1
                depths[place] = depth
        return max(depths)

    def _append(self, start: int, base: int, depth: int) -> None:
        self._starts.append(start)
        self._bases.append(base)
        self._depths.append(depth)

    def _place(self, start: int) -> int:
        place = bisect_left(self._starts, start)
        return place if place < len(self._starts) and self._starts[place] == start else -1


def _number_end(data: bytes, at: int) -> int:
    """Where a number of 7 bits a byte ends; 0 when it goes on. Raises ValueError for one that is
    longer than 64 bits.
    """
    for end in range(at, len(data)):
        if not data[end] & 128:
            return end + 1
        if (end - at) * 7 > _NUMBER_BITS_MAX:
            raise ValueError("a number in it has more than 64 bits")
    return 0


def _number(data: bytes, at: int, end: int) -> int:
    """A size: the least bits first."""
    value = 0
    for place in range(end - 1, at - 1, -1):
        value = value << 7 | data[place] & 127
    return value


def _distance(data: bytes, at: int, end: int) -> int:
    """How far in front of a delta its base starts: the most bits first, each further byte counting
    from one.
    """
    value = data[at] & 127
    for place in range(at + 1, end):
        value = value + 1 << 7 | data[place] & 127
    return value
