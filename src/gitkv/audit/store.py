"""The chunk store after a transaction: what it had, the large values that were set, and nothing
else (`spec/format` 8.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gitkv.audit.large import MANIFEST_BYTES_MAX, Large, judge_large, parse_manifest
from gitkv.audit.node import MalformedError, Root, malformed
from gitkv.audit.tree import Loader, TreeWalk, read_blobs
from gitkv.model.oid import Oid
from gitkv.model.verdict import INTEGRITY


class StoreAudit(NamedTuple):
    """`objects`: what the store has now and lacked before: its nodes, the trees and chunks of
    values; `added`: how many values that are.
    """

    objects: set[Oid]
    added: int


def read_manifests(oids: Mapping[bytes, Oid], load: Loader) -> dict[bytes, Large]:
    """What the manifests say, by name of the key. Raises MalformedError for what is none."""
    found: dict[bytes, Large] = {}
    asked = list(oids.values())
    try:
        sizes = load.sizes(asked) if asked else []
    except LookupError as lost:
        expected = "every manifest"
        raise malformed(
            INTEGRITY, "object.missing", "manifests", expected, str(lost) or "nothing"
        ) from None
    for name, size in zip(oids, sizes, strict=True):
        if size > MANIFEST_BYTES_MAX:
            raise _no_manifest(name, f"{size} bytes")
    for name, body in zip(oids, read_blobs(load, asked), strict=True):
        large = parse_manifest(body)
        if large is None:
            raise _no_manifest(name, body)
        found[name] = large
    return found


def judge_store(
    walk: TreeWalk,
    stores: tuple[Root, Root],
    set_: Mapping[bytes, Large],
    load: Loader,
    *,
    contents: bool,
) -> StoreAudit:
    """Judges the store before (trusted) and after a transaction that sets these large values, by
    name of the key. Raises MalformedError for the first breach.

    A value that the store had is known to be right, and is not read again.
    """
    before, after = stores
    if after.oid is None and before.oid is not None:
        raise malformed(INTEGRITY, "chunks.store", "chunk store", before.oid.hex(), "none")
    needed: dict[bytes, tuple[bytes, Large]] = {}
    for name, large in set_.items():
        other = needed.setdefault(large.store_name, (name, large))[1]
        if other != large:
            raise _other_tree(name, other.tree, large.tree)
    diff = walk.diff(before, after)
    stray = sorted(diff.changed - needed.keys())
    if stray:
        expected = "what it had, and the values set"
        raise malformed(INTEGRITY, "chunks.store", "chunk store", expected, stray[0])
    known = walk.find(before, [name for name in needed if name not in diff.changed])
    objects, added = set(diff.fresh), 0
    for store_name, (name, large) in needed.items():
        is_new = store_name in diff.changed and store_name not in diff.old
        tree = (diff.new if store_name in diff.changed else known).get(store_name)
        if tree != large.tree or (store_name in diff.changed and not is_new):
            raise _other_tree(name, large.tree, None if tree is None else Oid(tree))
        if is_new:
            objects |= judge_large(name, large, load, contents=contents)
            added += 1
    return StoreAudit(objects, added)


def _no_manifest(name: bytes, got: str | bytes) -> MalformedError:
    expected = "a manifest (spec/format 8.3)"
    return malformed(INTEGRITY, "manifest.form", "key " + name.decode(), expected, got)


def _other_tree(name: bytes, expected: Oid, got: Oid | None) -> MalformedError:
    where = f"the chunk store, for key {name.decode()}"
    shown = "none" if got is None else f"tree {got.hex()}"
    return malformed(INTEGRITY, "chunks.store", where, f"tree {expected.hex()}", shown)
