"""The trees that commits point to: which ordered trees a ledger (spec/format 4.1) and an index
(5.1) hold.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.ledger.index_line import GONE_LEAVES, LIVE_LEAVES
from gitkv.ledger.node import ENTRIES
from gitkv.ledger.ordered_tree import Emit, Load, OrderedTree
from gitkv.model.oid import EMPTY_TREE, TREE, Oid
from gitkv.model.verdict import POLICY, FormError, reason

_ENTRY = re.compile(rb"40000 ([a-z]+)\x00([\x00-\xff]{20})")


class LedgerTrees(NamedTuple):
    """The ordered trees of one ledger commit."""

    data: OrderedTree
    meta: OrderedTree


class IndexTrees(NamedTuple):
    """The ordered trees of one index commit."""

    live: OrderedTree
    gone: OrderedTree


def open_ledger(tree: Oid, load: Load) -> LedgerTrees:
    """Raises FormError when the tree holds anything but `data` and `meta`."""
    roots = _parse(tree, load, (b"data", b"meta"))
    return LedgerTrees(
        OrderedTree(roots.get(b"data"), ENTRIES, load),
        OrderedTree(roots.get(b"meta"), ENTRIES, load),
    )


def open_index(tree: Oid, load: Load) -> IndexTrees:
    """Raises FormError when the tree holds anything but `gone` and `live`."""
    roots = _parse(tree, load, (b"gone", b"live"))
    return IndexTrees(
        OrderedTree(roots.get(b"live"), LIVE_LEAVES, load),
        OrderedTree(roots.get(b"gone"), GONE_LEAVES, load),
    )


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
