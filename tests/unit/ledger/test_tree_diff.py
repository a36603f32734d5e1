"""Comparing two trees costs their difference, and ranges left out are not even opened."""

from __future__ import annotations

import pytest

from gitkv.ledger.node import ENTRIES
from gitkv.ledger.ordered_tree import OrderedTree
from gitkv.ledger.tree_diff import Difference, WorkLimitError, differences
from gitkv.model.oid import BLOB, TREE, Oid, hash_object
from gitkv.model.verdict import FormError
from gitkv.testing.memory import MemoryObjectStore

ONE, TWO = bytes(hash_object(BLOB, b"1")), bytes(hash_object(BLOB, b"2"))


class Trees:
    def __init__(self) -> None:
        self.store = MemoryObjectStore()
        self.read = 0

    def load(self, oid: Oid, kind: bytes) -> bytes:
        self.read += 1
        return self.store.read(oid, kind)

    def open(self, root: Oid | None) -> OrderedTree:
        return OrderedTree(root, ENTRIES, self.load)

    def grow(self, root: Oid | None, edits: dict[bytes, bytes | None]) -> Oid | None:
        found = self.open(root).apply(sorted(edits.items()), self.store.add)
        self.read = 0
        return found


@pytest.fixture(scope="module")
def trees() -> Trees:
    return Trees()


@pytest.fixture(scope="module")
def base(trees: Trees) -> Oid | None:
    return trees.grow(
        None, {b"%s:%04d" % (area, n): ONE for area in (b"a", b"m", b"z") for n in range(3000)}
    )


def test_equal_trees_are_not_opened(trees: Trees, base: Oid) -> None:
    trees.read = 0
    assert list(differences(trees.open(base), trees.open(base))) == []
    assert trees.read <= 10


def test_one_difference_among_nine_thousand_keys_costs_a_path(trees: Trees, base: Oid) -> None:
    changed = trees.grow(base, {b"m:1500": TWO})
    assert list(differences(trees.open(base), trees.open(changed))) == [
        Difference(b"m:1500", ONE, TWO)
    ]
    assert trees.read <= 16


def test_set_deleted_and_changed_are_told_in_order_of_names(trees: Trees, base: Oid) -> None:
    changed = trees.grow(base, {b"a:0000": None, b"m:1500": TWO, b"z:9999": TWO})
    expected = [
        Difference(b"a:0000", ONE, None),
        Difference(b"m:1500", ONE, TWO),
        Difference(b"z:9999", None, TWO),
    ]
    assert list(differences(trees.open(base), trees.open(changed))) == expected


def test_trees_of_different_height_are_compared(trees: Trees, base: Oid) -> None:
    small = trees.grow(None, {b"m:1500": ONE})
    assert len(list(differences(trees.open(base), trees.open(small)))) == 8999
    assert len(list(differences(trees.open(None), trees.open(small)))) == 1


def test_what_is_left_out_is_neither_told_nor_opened(trees: Trees, base: Oid) -> None:
    changed = trees.grow(base, {b"m:%04d" % n: TWO for n in range(3000)} | {b"z:0001": TWO})
    found = list(differences(trees.open(base), trees.open(changed), left_out=[(b"m", b"n")]))
    assert found == [Difference(b"z:0001", ONE, TWO)]
    assert trees.read <= 60
    assert list(differences(trees.open(base), trees.open(changed), left_out=[(b"m", None)])) == []


def test_more_work_than_allowed_is_given_up(trees: Trees, base: Oid) -> None:
    other = trees.grow(
        None, {b"%s:%04d" % (area, n): TWO for area in (b"a", b"m", b"z") for n in range(3000)}
    )
    with pytest.raises(WorkLimitError):
        list(differences(trees.open(base), trees.open(other), nodes_max=20))


def test_a_malformed_node_on_the_way_is_refused(trees: Trees, base: Oid) -> None:
    broken = trees.store.add(
        TREE, b"40000 a:0000!\0" + trees.store.add(TREE, b"100644 b\0" + ONE + b"100644 a\0" + ONE)
    )
    with pytest.raises(FormError):
        list(differences(trees.open(base), trees.open(broken)))
