"""The ordered tree: where it cuts, what a change costs, and what it refuses to read. Random
histories are in `properties/`.
"""

from __future__ import annotations

import pytest
from support import naive_store
from support.names import flat_names, low_names

from gitkv.ledger.index_line import GONE_LEAVES, format_gone
from gitkv.ledger.node import (
    ENTRIES,
    ITEMS_MAX,
    ITEMS_MIN,
    LEVELS_MAX,
    decode_entries,
    encode_inner,
    starts_node,
)
from gitkv.ledger.ordered_tree import OrderedTree
from gitkv.model.oid import BLOB, TREE, Oid, hash_object
from gitkv.model.verdict import FormError
from gitkv.testing.memory import MemoryObjectStore

OID = hash_object(BLOB, b"v")


class Grown:
    """A tree of entries and the number of objects read and written."""

    def __init__(self, names: list[bytes]) -> None:
        self.store = MemoryObjectStore()
        self.read = self.written = 0
        self.root: Oid | None = None
        self.apply({name: bytes(OID) for name in names})

    def load(self, oid: Oid, kind: bytes) -> bytes:
        self.read += 1
        return self.store.read(oid, kind)

    def emit(self, kind: bytes, body: bytes) -> Oid:
        self.written += 1
        return self.store.add(kind, body)

    def tree(self) -> OrderedTree:
        return OrderedTree(self.root, ENTRIES, self.load)

    def apply(self, edits: dict[bytes, bytes | None]) -> None:
        self.read = self.written = 0
        self.root = self.tree().apply(sorted(edits.items()), self.emit)


def numbered(count: int) -> list[bytes]:
    return [b"cfg:%06d" % n for n in range(count)]


def test_a_node_starts_behind_eight_items_at_a_low_hash_and_behind_512_in_any_case() -> None:
    low, flat = low_names()[0], flat_names()[0]
    assert [starts_node(0, low, count) for count in (0, ITEMS_MIN - 1, ITEMS_MIN, ITEMS_MAX)] == [
        False,
        False,
        True,
        True,
    ]
    assert [starts_node(0, flat, count) for count in (ITEMS_MIN, ITEMS_MAX - 1, ITEMS_MAX)] == [
        False,
        False,
        True,
    ]


def test_the_level_is_part_of_the_hash() -> None:
    """Else a low name would be low all the way up, and a tree of such names as deep as a list."""
    both = [name for name in low_names()[40:] if starts_node(1, name, ITEMS_MIN)]
    assert len(both) < len(low_names()) / 8


@pytest.mark.parametrize("count", [1, 8, 9, 64, 513, 3000])
def test_the_shape_is_that_of_the_specification(count: int) -> None:
    for names in (numbered(count), list(low_names())[:count], list(flat_names())[:count]):
        obvious = naive_store.build_map(
            naive_store.ObjectsInMemory(), {name: bytes(OID) for name in sorted(names)}, lines=False
        )
        assert Grown(names).root == obvious


def test_the_last_key_leaves_no_tree_and_a_map_of_lines_has_at_least_one_level() -> None:
    grown = Grown(numbered(100))
    grown.apply(dict.fromkeys(numbered(100)))
    assert grown.root is None and grown.written == 0
    store = MemoryObjectStore()
    root = OrderedTree(None, GONE_LEAVES, store.read).apply(
        [(b"a", format_gone(b"a", 3))], store.add
    )
    assert root is not None and OrderedTree(root, GONE_LEAVES, store.read).height == 1


def test_new_nodes_beside_an_old_root_keep_it() -> None:
    """A tree of one leaf that gets a second one behind it: the old root stands on, unchanged, as
    the first of two.
    """
    names = sorted(low_names())
    for end in (9, 16):
        grown = Grown(names[:8])
        grown.apply({name: bytes(OID) for name in names[8:end]})
        assert [name for name, _ in grown.tree().scan()] == names[:end]


def test_edits_that_change_nothing_keep_the_root_and_write_nothing() -> None:
    grown = Grown(numbered(2000))
    root = grown.root
    grown.apply({b"cfg:000007": bytes(OID), b"absent": None})
    assert (grown.root, grown.written) == (root, 0)


def test_one_key_of_many_thousands_costs_a_path() -> None:
    grown = Grown(numbered(20_000))
    grown.apply({b"cfg:010000": bytes(hash_object(BLOB, b"new"))})
    assert grown.written <= 4 and grown.read <= 12
    grown.read = 0
    assert grown.tree().get(b"cfg:010000") == hash_object(BLOB, b"new")
    assert grown.read <= 8
    grown.read = 0
    assert len(list(grown.tree().scan(b"cfg:0100", b"cfg:0101"))) == 100
    assert grown.read <= 14


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"100644 a\0" + OID + b"x",
        b"100755 a\0" + OID,
        b"100644 a!\0" + OID,
        b"100644 b\0" + OID + b"100644 a\0" + OID,
        b"100644 a\0" + OID + b"100644 a\0" + OID,
        b"100644 a\0" + OID + b"40000 b\0" + OID,
    ],
)
def test_a_malformed_leaf_is_refused(body: bytes) -> None:
    with pytest.raises(FormError):
        decode_entries(body)


def test_a_tree_deeper_than_the_limit_is_refused_before_it_is_walked() -> None:
    store = MemoryObjectStore()
    oid = store.add(TREE, b"100644 a\0" + OID)
    for _ in range(LEVELS_MAX + 5):
        oid = store.add(TREE, encode_inner([(b"a", oid)], points_to_pages=False))
    with pytest.raises(FormError, match="levels"):
        OrderedTree(oid, ENTRIES, store.read).get(b"a")


def test_ids_with_every_byte_in_them_are_read_back() -> None:
    """LF, NUL and spaces inside a raw id must not end an entry."""
    store = MemoryObjectStore()
    contents = {b"k%03d" % n: bytes([n, 10, 0, 32, 33, 47, n]) + bytes(13) for n in range(256)}
    root = OrderedTree(None, ENTRIES, store.read).apply(sorted(contents.items()), store.add)
    assert dict(OrderedTree(root, ENTRIES, store.read).scan()) == contents
