"""Large values as the audit reads them (`spec/format` 8): manifests, and the trees of chunks that
they stand for. Written from the specification alone.

Whatever a manifest claims, memory is bounded by one group's list and a few chunks, and time by the
claimed size, which the caller has compared with what the policy allows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from gitkv.audit.node import MalformedError, malformed
from gitkv.audit.tree import Loader, read_blobs
from gitkv.model.chunking import Chunking
from gitkv.model.oid import Oid
from gitkv.model.verdict import INTEGRITY, POLICY

MANIFEST_BYTES_MAX = 512
_ENTRIES_MAX = 1024  # 8.4: of a tree of groups, and of a group
_TREE_BYTES_MAX = _ENTRIES_MAX * 128
_KIB = 1024
_MIN_MAX, _AVERAGE_MAX, _LARGEST_MAX = 1024 * _KIB, 4096 * _KIB, 16384 * _KIB  # 8.2

_MANIFEST = re.compile(
    rb'\{"blake3":"([0-9a-f]{64})",'
    rb'"chunking":"((?:fastcdc-([1-9][0-9]{3,7})-([1-9][0-9]{3,7})|fixed)-([1-9][0-9]{3,7}))",'
    rb'"chunks":([1-9][0-9]{0,6}),"size":([1-9][0-9]{0,14}),'
    rb'"tree":"([0-9a-f]{40})","version":1\}'
)
_GROUP = re.compile(rb"40000 ([0-9a-f]{3})-([1-9][0-9]{0,14})\x00(.{20})", re.DOTALL)
_CHUNK = re.compile(rb"100644 ([0-9a-f]{3})-([1-9][0-9]{0,7})-([0-9a-f]{64})\x00(.{20})", re.DOTALL)


class Large(NamedTuple):
    """What a manifest says. `bounds`: of a chunk's size: least, average, most; `blake3`: hex."""

    blake3: bytes
    chunking: bytes
    bounds: tuple[int, int, int]
    chunks: int
    size: int
    tree: Oid

    @property
    def store_name(self) -> bytes:
        """The value's name in the chunk store (8.5)."""
        return self.blake3 + b"." + self.chunking


def parse_manifest(body: bytes) -> Large | None:
    """None when it is not exactly the form of 8.3, or its numbers contradict each other."""
    match = _MANIFEST.fullmatch(body) if len(body) <= MANIFEST_BYTES_MAX else None
    if match is None:
        return None
    blake3, chunking, least, average, most, chunks, size, tree = match.groups()
    bounds = (int(least or most), int(average or most), int(most))
    found = Large(
        blake3, chunking, bounds, int(chunks), int(size), Oid(bytes.fromhex(tree.decode()))
    )
    return found if _is_possible(found, is_fixed=least is None) else None


def _is_possible(large: Large, *, is_fixed: bool) -> bool:
    least, average, most = large.bounds
    if any(size % _KIB for size in large.bounds) or most > _LARGEST_MAX:
        return False
    if not is_fixed and (
        not least <= average <= most or least == most or least > _MIN_MAX or average > _AVERAGE_MAX
    ):
        return False
    if large.chunks > _ENTRIES_MAX * _ENTRIES_MAX:
        return False
    return (large.chunks - 1) * least < large.size <= large.chunks * most


def judge_large(name: bytes, large: Large, load: Loader, *, contents: bool) -> set[Oid]:
    """The objects of a large value. Raises MalformedError when trees or chunks are not what 8.3 and
    8.4 make of the value; without `contents` no chunk is read.
    """
    value = _Value(name, large, load)
    if contents:
        value.judge_contents()
    else:
        for _ in value.chunks():
            pass
    return value.objects


class _Chunk(NamedTuple):
    size: int
    blake3: bytes
    oid: Oid


class _Value:
    """One large value as it is read, from the first chunk to the last."""

    def __init__(self, name: bytes, large: Large, load: Loader) -> None:
        self._where = "key " + name.decode()
        self._large = large
        self._load = load
        self.objects: set[Oid] = {large.tree}

    def judge_contents(self) -> None:
        """Hashes each chunk and the whole, and cuts the whole again."""
        from blake3 import blake3  # of no use to whoever audits small values

        whole, sizes = blake3(), deque[int]()

        def bodies() -> Iterator[bytes]:
            for chunk, body in self._bodies():
                if len(body) != chunk.size:
                    expected = f"chunk {chunk.oid.hex()} of {chunk.size} bytes"
                    raise self._wrong(expected, str(len(body)))
                if blake3(body).hexdigest().encode() != chunk.blake3:
                    raise self._wrong("a chunk with the BLAKE3 in its name", chunk.oid.hex())
                whole.update(body)
                sizes.append(chunk.size)
                yield body

        least, average, most = self._large.bounds
        if least == most:
            for _ in bodies():
                pass
        else:
            from gitkv.model.fastcdc import cut_by_content

            for view in cut_by_content(bodies(), Chunking(least, average, most)):
                listed = sizes.popleft() if sizes else 0
                if len(view) != listed:
                    expected = f"a cut after {len(view)} bytes, where FastCDC makes it"
                    raise self._wrong(expected, f"one after {listed}")
        if whole.hexdigest().encode() != self._large.blake3:
            raise self._wrong(f"BLAKE3 {self._large.blake3.decode()}", whole.hexdigest())

    def _bodies(self) -> Iterator[tuple[_Chunk, bytes]]:
        for group in self.groups():
            bodies = read_blobs(self._load, [chunk.oid for chunk in group])
            yield from zip(group, bodies, strict=True)

    def chunks(self) -> Iterator[_Chunk]:
        """The chunks; all but their contents are judged."""
        for group in self.groups():
            yield from group

    def groups(self) -> Iterator[list[_Chunk]]:
        """The chunks of each group, with numbers, sizes and sums judged."""
        large = self._large
        entries = self._entries(large.tree, _GROUP, 31)
        groups = [(int(size), Oid(oid)) for _, size, oid in entries]
        needed = -(-large.chunks // _ENTRIES_MAX)
        if len(groups) != needed:
            raise self._wrong(f"{needed} groups of chunks", str(len(groups)))
        total = sum([size for size, _ in groups])
        if total != large.size:
            raise self._wrong(f"groups of {large.size} bytes", str(total))
        left = large.chunks
        for size, oid in groups:
            self.objects.add(oid)
            here = [
                _Chunk(int(entry[1]), entry[2], Oid(entry[3]))
                for entry in self._entries(oid, _CHUNK, 97)
            ]
            if len(here) != min(left, _ENTRIES_MAX):
                raise self._wrong(f"{min(left, _ENTRIES_MAX)} chunks in a group", str(len(here)))
            left -= len(here)
            total = sum([chunk.size for chunk in here])
            if total != size:
                raise self._wrong(f"chunks of {size} bytes in a group", str(total))
            self._judge_sizes(here, is_last=left == 0)
            self.objects.update([chunk.oid for chunk in here])
            yield here

    def _judge_sizes(self, group: list[_Chunk], *, is_last: bool) -> None:
        least, _, most = self._large.bounds
        last = len(group) - 1 if is_last else len(group)
        for at, chunk in enumerate(group):
            if chunk.size > most or (chunk.size < least and at != last):
                raise self._wrong(f"chunks of {least} to {most} bytes", str(chunk.size))

    def _entries(self, oid: Oid, form: re.Pattern[bytes], around: int) -> list[tuple[bytes, ...]]:
        """The entries of a tree; `around`: bytes of one but for number and size."""
        try:
            body = self._load.tree(oid)
        except LookupError as lost:
            raise malformed(
                INTEGRITY, "chunks.missing", self._where, f"tree {oid.hex()}", str(lost) or "none"
            ) from None
        if len(body) > _TREE_BYTES_MAX:
            limit = f"trees of at most {_TREE_BYTES_MAX} bytes"
            raise malformed(POLICY, "chunks.size", self._where, limit, str(len(body)))
        found: list[tuple[bytes, ...]] = form.findall(body)
        covered = sum([len(entry[1]) for entry in found]) + around * len(found)
        numbers = [int(entry[0], 16) for entry in found]
        if (
            covered != len(body)
            or numbers != list(range(len(found)))
            or not 0 < len(found) <= _ENTRIES_MAX
        ):
            raise self._wrong("a tree of 8.4, numbered from 0", body[:60])
        return found

    def _wrong(self, expected: str, got: str | bytes) -> MalformedError:
        return malformed(INTEGRITY, "chunks.mismatch", self._where, expected, got)
