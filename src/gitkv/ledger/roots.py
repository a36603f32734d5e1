"""The trees that commits point to: which ordered trees a ledger (spec/format 4.1), an index (5.1)
and a chunk store (8.5) hold.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.ledger.index_line import GONE_LEAVES, LIVE_LEAVES
from gitkv.ledger.node import ENTRIES, SUBTREES
from gitkv.ledger.ordered_tree import Emit, Load, OrderedTree
from gitkv.model.oid import EMPTY_TREE, TREE, Oid
from gitkv.model.verdict import POLICY, FormError, reason

_ENTRY = re.compile(rb"40000 ([a-z]+)\x00([\x00-\xff]{20})")


class Trees(NamedTuple):
    """The trees of a ledger commit, and of the index and the chunk commit that belong to it.
    `chunks_tree` is None where the chunk store is empty.
    """

    ledger_tree: Oid
    index_tree: Oid
    chunks_tree: Oid | None = None


class LedgerTrees(NamedTuple):
    """The ordered trees of one ledger commit."""

    data: OrderedTree
    manifests: OrderedTree
    meta: OrderedTree


class IndexTrees(NamedTuple):
    """The ordered trees of one index commit."""

    live: OrderedTree
    gone: OrderedTree


def open_ledger(tree: Oid, load: Load) -> LedgerTrees:
    """Raises FormError when the tree holds anything but `data`, `manifests` and `meta`."""
    names = (b"data", b"manifests", b"meta")
    roots = _parse(tree, load, names)
    return LedgerTrees(*(OrderedTree(roots.get(name), ENTRIES, load) for name in names))


def open_index(tree: Oid, load: Load) -> IndexTrees:
    """Raises FormError when the tree holds anything but `gone` and `live`."""
    roots = _parse(tree, load, (b"gone", b"live"))
    return IndexTrees(
        OrderedTree(roots.get(b"live"), LIVE_LEAVES, load),
        OrderedTree(roots.get(b"gone"), GONE_LEAVES, load),
    )


def open_chunks(tree: Oid | None, load: Load) -> OrderedTree:
    """The chunk store: `Manifest.store_name` to the tree of a value."""
    return OrderedTree(tree, SUBTREES, load)


def write_root(roots: dict[bytes, Oid | None], emit: Emit) -> Oid:
    """The id of a commit's tree with these roots, the absent ones left out; emits it unless it is
    empty.
    """
    body = b"".join(
        [b"40000 %b\0%b" % (name, root) for name, root in sorted(roots.items()) if root is not None]
    )
    return emit(TREE, body) if body else EMPTY_TREE


def _parse(tree: Oid, load: Load, allowed: tuple[bytes, ...]) -> dict[bytes, Oid]:
    if tree == EMPTY_TREE:  # need not exist as an object
        return {}
    body = load(tree, TREE)
    entries = _ENTRY.findall(body)
    names = [name for name, _ in entries]
    covered = sum([len(name) + 27 for name in names])
    if covered != len(body) or not set(names) <= set(allowed) or names != sorted(set(names)):
        raise FormError(
            reason(
                POLICY,
                "tree.entry",
                "root tree",
                "only the subtrees " + b", ".join(allowed).decode(),
                body[:100],
            )
        )
    return {name: Oid(oid) for name, oid in entries}
