"""Cutting values and finding their parts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest

from gitkv.ledger.chunks import chunks_between, cut_value, take_value
from gitkv.model.chunk_tree import Chunk, format_group, format_value_tree, parse_group
from gitkv.model.chunking import DEFAULT_CHUNKING, Chunking
from gitkv.model.manifest import Manifest
from gitkv.model.oid import BLOB, Oid, hash_object
from gitkv.model.verdict import FormError
from gitkv.testing.memory import MemoryObjectStore

SMALL = Chunking(1024, 4096, 16384)


def noise(size: int, seed: int = 7) -> bytes:
    return Random(seed).randbytes(size)


def test_a_value_that_ends_at_the_limit_stays_one_piece() -> None:
    store = MemoryObjectStore()
    assert take_value([b"ab", b"", b"cd"], 4, SMALL, store.add) == b"abcd"
    assert take_value([], 4, SMALL, store.add) == b""
    taken = take_value([b"ab", b"cd", b"e"], 4, SMALL, store.add)
    assert taken == cut_value([b"abcde"], SMALL, store.add)


def test_an_insertion_at_the_front_leaves_nearly_all_chunks() -> None:
    before, after = MemoryObjectStore(), MemoryObjectStore()
    value = noise(400_000)
    cut_value([value], SMALL, before.add)
    manifest = cut_value([b"x" + value], SMALL, after.add)
    found = [chunk.oid for _, chunk in chunks_between(manifest, 0, manifest.size, after.read)]
    assert len([oid for oid in found if not before.has(oid)]) <= 2 < len(found)


@pytest.mark.parametrize("chunking", [SMALL, Chunking(1024, 1024, 1024)])
def test_every_part_is_found_in_the_chunks_that_overlap_it(chunking: Chunking) -> None:
    store, value = MemoryObjectStore(), noise(1_200_000)
    manifest = cut_value([value], chunking, store.add)
    for start, stop in [(0, 1), (0, len(value)), (5000, 5001), (1_100_000, 1_200_000), (9, 9)]:
        found = list(chunks_between(manifest, start, stop, store.read))
        part = b"".join([store.read(chunk.oid, BLOB) for _, chunk in found])
        first = found[0][0] if found else start
        assert part[start - first : stop - first] == value[start:stop]
        assert all(at < stop and at + chunk.size > start for at, chunk in found)
    assert list(chunks_between(manifest, len(value), len(value) + 5, store.read)) == []


def test_a_part_reads_the_groups_it_needs_only() -> None:
    store, asked = MemoryObjectStore(), list[Oid]()
    manifest = cut_value([noise(3_000_000)], Chunking(1024, 1024, 1024), store.add)

    def read(oid: Oid, kind: bytes) -> bytes:
        asked.append(oid)
        return store.read(oid, kind)

    list(chunks_between(manifest, 2_500_000, 2_500_001, read))
    assert len(asked) == 2


def test_cutting_holds_a_few_chunks_however_large_the_value() -> None:
    piece, kept = noise(1 << 20), list[int]()

    def pieces() -> Iterator[bytes]:
        for _ in range(48):
            yield piece

    def emit(kind: bytes, body: bytes) -> Oid:
        kept.append(len(body))
        return Oid(bytes(20))

    cut_value([piece], DEFAULT_CHUNKING, emit)  # what is imported is not the value's
    tracemalloc.start()
    manifest = cut_value(pieces(), DEFAULT_CHUNKING, emit)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert manifest.size == 48 << 20
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda manifest: manifest._replace(size=manifest.size + 1), "manifest.mismatch"),
        (lambda manifest: manifest._replace(chunks=manifest.chunks + 1), "manifest.mismatch"),
    ],
)
def test_a_manifest_that_lies_about_its_tree_is_found_out(change, rule: str) -> None:  # type: ignore[no-untyped-def]
    store = MemoryObjectStore()
    manifest: Manifest = change(cut_value([noise(100_000)], SMALL, store.add))
    with pytest.raises(FormError) as caught:
        list(chunks_between(manifest, 0, manifest.size, store.read))
    assert caught.value.reason.rule == rule


def _chunks(count: int) -> list[Chunk]:
    return [Chunk(5, bytes([at % 256]) * 32, hash_object(BLOB, b"%d" % at)) for at in range(count)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        format_group(_chunks(3))[:-1],
        format_group(_chunks(3))[110:],
        format_group(_chunks(3)) * 2,
        format_group(_chunks(3)).replace(b"100644", b"100755"),
        format_group(_chunks(3)).replace(b"-5-", b"-05-"),
        format_group(_chunks(3)).replace(b"000-", b"00A-"),
        format_value_tree([]) + b"40000 000-5\0" + bytes(20),
        format_group(_chunks(1024)) + format_group(_chunks(1025))[-20:],
        b"x" * (1 << 20),
    ],
)
def test_what_is_no_group_is_refused(body: bytes) -> None:
    with pytest.raises(FormError):
        parse_group(body)


def test_a_group_holds_up_to_1024_chunks() -> None:
    assert parse_group(format_group(_chunks(1024))) == _chunks(1024)
    with pytest.raises(FormError):
        parse_group(format_group(_chunks(1024)) + b"100644 400-5-" + b"0" * 64 + b"\0" + bytes(20))
