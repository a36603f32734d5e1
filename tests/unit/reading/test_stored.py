"""Large values on their way out: every byte proved, the missing brought at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from random import Random

import pytest

from gitkv.errors import IntegrityError
from gitkv.ledger.chunks import chunks_between, cut_value
from gitkv.model.chunking import Chunking
from gitkv.model.manifest import Manifest
from gitkv.model.oid import BLOB, Oid
from gitkv.reading.stored import StoredContent
from gitkv.testing.memory import MemoryObjectStore

SMALL = Chunking(1024, 4096, 16384)
VALUE = Random(1).randbytes(300_000)


def _stored(value: bytes = VALUE) -> tuple[MemoryObjectStore, Manifest, list[Oid]]:
    store = MemoryObjectStore()
    manifest = cut_value([value], SMALL, store.add)
    chunks = [chunk.oid for _, chunk in chunks_between(manifest, 0, len(value), store.read)]
    return store, manifest, chunks


@pytest.mark.parametrize(
    ("start", "stop"), [(0, None), (0, 1), (5, 70_000), (299_999, 300_000), (7, 10**12), (50, 50)]
)
def test_any_part_comes_back_byte_for_byte(start: int, stop: int | None) -> None:
    store, manifest, _ = _stored()
    assert b"".join(StoredContent("k", manifest, store).pieces(start, stop)) == VALUE[start:stop]


def test_a_missing_chunk_is_named_with_its_key_before_any_byte_is_given() -> None:
    store, manifest, chunks = _stored()
    store.drop(chunks[3])
    pieces = StoredContent("models/m", manifest, store).pieces()
    with pytest.raises(IntegrityError, match=f"value of models/m: chunk {chunks[3].hex()}"):
        next(pieces)


def test_a_wrong_chunk_is_named_and_the_last_bytes_are_never_given() -> None:
    store, manifest, chunks = _stored()
    for at, wrong in ((3, b"short"), (-1, None)):
        right = store.read(chunks[at], BLOB)
        store.replace(chunks[at], BLOB, wrong or bytes(len(right)))
        given = b""
        with pytest.raises(IntegrityError, match=f"value of k: chunk {chunks[at].hex()}"):
            for piece in StoredContent("k", manifest, store).pieces():
                given += piece
        assert len(given) < len(VALUE)
        assert VALUE.startswith(given)
        store.replace(chunks[at], BLOB, right)


def test_chunks_that_are_right_in_themselves_but_not_this_value_are_refused() -> None:
    store, manifest, _ = _stored()
    other = cut_value([VALUE[:-1] + b"!"], SMALL, store.add)
    lie = manifest._replace(tree=other.tree)
    given = b""
    with pytest.raises(IntegrityError, match="value of k: expected BLAKE3"):
        for piece in StoredContent("k", lie, store).pieces():
            given += piece
    assert len(given) < len(VALUE), "what get reports as success was hashed"


def test_trees_that_contradict_the_manifest_are_refused() -> None:
    store, manifest, _ = _stored()
    with pytest.raises(IntegrityError, match="value of k"):
        next(StoredContent("k", manifest._replace(size=manifest.size + 1), store).pieces())
    store.drop(manifest.tree)
    with pytest.raises(IntegrityError, match="value of k"):
        next(StoredContent("k", manifest, store).pieces())


def test_what_is_missing_is_brought_in_one_go_and_only_what_the_part_needs() -> None:
    store, manifest, chunks = _stored()
    taken = {oid: store.read(oid, BLOB) for oid in chunks}
    for oid in chunks[:5]:
        store.drop(oid)
    asked: list[Sequence[Oid]] = []

    def bring(oids: Sequence[Oid]) -> None:
        asked.append(oids)
        for oid in oids:
            store.add(BLOB, taken[oid])

    content = StoredContent("k", manifest, store, bring)
    assert list(content.missing()) == chunks[:5]
    assert b"".join(content.pieces(0, 1)) == VALUE[:1]
    assert b"".join(content.pieces()) == VALUE
    assert [list(oids) for oids in asked] == [chunks[:1], chunks[1:5]]


def test_a_value_is_never_held_as_a_whole() -> None:
    class OneChunk(MemoryObjectStore):
        """All chunks are the same: the store itself stays small."""

    store = OneChunk()
    size = 16 << 20
    piece = bytes(1 << 20)
    manifest = cut_value([piece] * 16, Chunking(1 << 16, 1 << 16, 1 << 16), store.add)
    assert manifest.size == size
    tracemalloc.start()
    try:
        assert sum(map(len, StoredContent("k", manifest, store).pieces())) == size
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
