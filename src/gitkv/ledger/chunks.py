"""Large values as chunks: cutting them, and finding the chunks of a part (spec/format 8).

Both stream: whatever the size of the value, cutting holds two chunks and one group's list, reading
one group's list. The chunks' bytes are left to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from gitkv.ledger.ordered_tree import Emit, Load
from gitkv.model.chunk_tree import (
    GROUP_CHUNKS_MAX,
    GROUPS_MAX,
    Chunk,
    Group,
    format_group,
    format_value_tree,
    parse_group,
    parse_value_tree,
)
from gitkv.model.chunking import Chunking
from gitkv.model.manifest import Manifest
from gitkv.model.oid import BLOB, TREE
from gitkv.model.verdict import INTEGRITY, POLICY, FormError, reason

Pieces = Iterable[bytes | memoryview]


def take_value(
    pieces: Pieces, inline_bytes_max: int, chunking: Chunking, emit: Emit
) -> bytes | Manifest:
    """The value itself when it has at most `inline_bytes_max` bytes; else it is cut, as by
    `cut_value`. For what is not known to end soon.
    """
    source = iter(pieces)
    held: list[bytes | memoryview] = []
    size = 0
    for piece in source:
        held.append(piece)
        size += len(piece)
        if size > inline_bytes_max:
            return cut_value(chain(held, source), chunking, emit)
    return b"".join(held)


def cut_value(pieces: Pieces, chunking: Chunking, emit: Emit) -> Manifest:
    """Cuts a value that is not empty. Its chunks, its groups and its tree go to `emit`, each chunk
    before the group that lists it; the manifest does not.

    Raises FormError for more chunks than the format has room for.
    """
    from blake3 import blake3  # of no use to whoever reads a small value

    whole = blake3()
    groups: list[Group] = []
    group: list[Chunk] = []
    count = 0
    for view in _cut(pieces, chunking):
        body = bytes(view)  # the view is used again for the next chunk
        whole.update(body)
        if len(group) == GROUP_CHUNKS_MAX:
            groups.append(_finish(group, emit))
            group = []
            if len(groups) == GROUPS_MAX:
                raise _too_many()
        group.append(Chunk(len(body), blake3(body).digest(), emit(BLOB, body)))
        count += 1
    if not group:
        raise ValueError("a large value is not empty")
    groups.append(_finish(group, emit))
    tree = emit(TREE, format_value_tree(groups))
    size = sum([one.size for one in groups])
    return Manifest(size, whole.digest(), chunking, count, tree)


def chunks_between(
    manifest: Manifest, start: int, stop: int, load: Load
) -> Iterator[tuple[int, Chunk]]:
    """The chunks that hold the bytes from `start` up to `stop`, each with the place in the value
    where it begins. Reads the tree of the value, and the groups needed.

    Raises FormError when what the trees say is not what the manifest does.
    """
    at = 0
    groups = parse_value_tree(load(manifest.tree, TREE))
    _expect("bytes", manifest.size, sum([group.size for group in groups]))
    _expect("groups", -(-manifest.chunks // GROUP_CHUNKS_MAX), len(groups))
    left = manifest.chunks
    for group in groups:
        if at >= stop:
            return
        if at + group.size > start:
            chunks = parse_group(load(group.oid, TREE))
            _expect("chunks in a group", min(left, GROUP_CHUNKS_MAX), len(chunks))
            _expect("bytes in a group", group.size, sum([chunk.size for chunk in chunks]))
            place = at
            for chunk in chunks:
                if place < stop and place + chunk.size > start:
                    yield place, chunk
                place += chunk.size
        at += group.size
        left -= GROUP_CHUNKS_MAX


def _finish(group: list[Chunk], emit: Emit) -> Group:
    return Group(sum([chunk.size for chunk in group]), emit(TREE, format_group(group)))


def _cut(pieces: Pieces, chunking: Chunking) -> Iterator[bytes | memoryview]:
    if not chunking.is_fixed:
        from gitkv.model.fastcdc import cut_by_content

        yield from cut_by_content(pieces, chunking)
        return
    size, held = chunking.max_bytes, bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while view:
            room = size - len(held)
            held += view[:room]
            view = view[room:]
            if len(held) == size:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


def _expect(what: str, expected: int, got: int) -> None:
    if expected != got:
        raise FormError(
            reason(INTEGRITY, "manifest.mismatch", "chunk tree", f"{expected} {what}", str(got))
        )


def _too_many() -> FormError:
    limit = f"at most {GROUPS_MAX * GROUP_CHUNKS_MAX} chunks"
    hint = "larger chunks: `chunks` in .kv/policy.yaml"
    return FormError(reason(POLICY, "value.chunks", "value", limit, "more", hint))
