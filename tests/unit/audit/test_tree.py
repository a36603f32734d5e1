"""Trees the audit must refuse: other shapes of the right content, stray entries, bombs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.naive_store import Ledger, Value, build_root, cut, is_low, tree_body

from gitkv.audit.limits import AuditRules
from gitkv.audit.step import Roots, StepFacts, audit_step
from gitkv.model.key import encode_key
from gitkv.model.oid import EMPTY_TREE, TREE, Oid

RULES = AuditRules(
    ranges=((b"", None),),
    value_bytes_max=1 << 20,
    total_bytes_max=64 << 20,
    keys_max=200_000,
    lfs_forbidden=True,
)
Entry = tuple[bytes, bytes, bytes]


def named(number: int) -> bytes:
    return bytes(encode_key(f"{number:05d}"))


class Loaded:
    """A first load of `count` keys, whose `data` map can be replaced by another tree."""

    def __init__(self, count: int = 300, names: list[bytes] | None = None) -> None:
        self.ledger = Ledger()
        self.before = self.ledger.roots
        self.facts = self.ledger.step(dict.fromkeys(names or map(named, range(count)), Value(b"v")))
        self.items = sorted(self.ledger.data_items().items())
        self.store = self.ledger.store

    def tree(self, entries: list[Entry]) -> Oid:
        return self.store.put(TREE, tree_body(entries))

    def leaf(self, items: list[tuple[bytes, bytes]]) -> tuple[bytes, Oid]:
        return items[0][0], self.tree([(b"100644", name, oid) for name, oid in items])

    def parent(self, children: list[tuple[bytes, Oid]]) -> tuple[bytes, Oid]:
        return children[0][0], self.tree([(b"40000", name + b"!", oid) for name, oid in children])

    def rules_with(self, data: Oid) -> set[tuple[int, str]]:
        return self.rules_of(self.ledger.build(data=data))

    def rules_of(self, after: Roots) -> set[tuple[int, str]]:
        found = audit_step(self.before, after, self.facts, RULES, self.store)
        return {(entry.code, entry.rule) for entry in found.reasons}


@pytest.fixture
def loaded() -> Loaded:
    return Loaded()


@pytest.fixture(scope="module")
def loaded_once() -> Loaded:
    """For whoever tries many trees and adds nothing but objects."""
    return Loaded()


def test_the_right_nodes_put_together_by_hand_pass(loaded: Loaded) -> None:
    leaves = [loaded.leaf(node) for node in cut(0, loaded.items)]
    assert len(leaves) > 1
    assert loaded.rules_with(loaded.parent(leaves)[1]) == set()


@given(st.lists(st.integers(1, 299), min_size=1, max_size=6, unique=True))
def test_any_other_cut_is_refused(loaded_once: Loaded, cuts: list[int]) -> None:
    loaded = loaded_once
    edges = [0, *sorted(cuts), 300]
    nodes = [loaded.items[low:high] for low, high in pairwise(edges)]
    assume(nodes != cut(0, loaded.items))
    assert loaded.rules_with(loaded.parent([loaded.leaf(node) for node in nodes])[1]) == {
        (8, "tree.shape")
    }


def test_cut_at_512_items_is_asked_for_and_none_after() -> None:
    high = [name for name in map(named, range(2000)) if not is_low(0, name)][:600]
    loaded = Loaded(names=high)
    items = loaded.items
    assert [len(node) for node in cut(0, items)] == [512, 88]
    for at, rules in ((512, set()), (511, {(8, "tree.shape")}), (513, {(8, "tree.shape")})):
        assert (
            loaded.rules_with(loaded.parent([loaded.leaf(items[:at]), loaded.leaf(items[at:])])[1])
            == rules
        )


def test_root_with_one_child_is_refused(loaded: Loaded) -> None:
    top = loaded.parent([loaded.leaf(node) for node in cut(0, loaded.items)])
    assert loaded.rules_with(loaded.parent([top])[1]) == {(8, "tree.shape")}


def test_interior_name_that_is_not_the_first_name_below_is_refused(loaded: Loaded) -> None:
    leaves = [loaded.leaf(node) for node in cut(0, loaded.items)]
    name, oid = leaves[1]
    before = named(int(name) - 1) + b"-"
    assert loaded.rules_with(loaded.parent([leaves[0], (before, oid), *leaves[2:]])[1]) == {
        (8, "tree.shape")
    }


def test_empty_nodes_and_empty_maps_are_refused(loaded: Loaded) -> None:
    leaves = [loaded.leaf(node) for node in cut(0, loaded.items)]
    assert loaded.rules_with(EMPTY_TREE) == {(8, "tree.shape")}
    assert loaded.rules_with(loaded.parent([*leaves, (b"x", EMPTY_TREE)])[1]) == {(8, "tree.shape")}


def test_leaves_on_different_levels_are_refused(loaded: Loaded) -> None:
    leaves = [loaded.leaf(node) for node in cut(0, loaded.items)]
    assert loaded.rules_with(loaded.parent([*leaves[:-1], loaded.parent(leaves[-1:])])[1]) == {
        (3, "tree.entry")
    }
    assert loaded.rules_with(loaded.parent([loaded.parent(leaves[:1]), *leaves[1:]])[1]) == {
        (8, "tree.shape")
    }


@pytest.mark.parametrize(
    "mode", [b"100755", b"120000", b"160000", b"40000", b"040000", b"100664", b"0100644"]
)
@pytest.mark.parametrize("at", [0, 5])
def test_modes_other_than_100644_are_refused_in_a_leaf(mode: bytes, at: int) -> None:
    loaded = Loaded(7)
    entries = [(b"100644", name, oid) for name, oid in loaded.items]
    entries[at] = (mode, *entries[at][1:])
    assert (
        loaded.rules_with(loaded.tree(entries))
        <= {(3, "tree.entry"), (8, "object.missing")}
        != set()
    )


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (b"a/b", (4, "key.name")),
        (b"a\nb", (4, "key.name")),
        (b"\x1b[2J", (4, "key.name")),
        (b"a" * 65536, (4, "key.name")),
        (b"..", (4, "key.name")),
        (b"%41", (4, "key.name")),
        (b"a%2f", (4, "key.name")),
        (b"%", (4, "key.name")),
        (b"a" * 241, (4, "key.name")),
        (b"e%CC%81", (4, "key.name")),
        (b"a%0A", (4, "key.name")),
        (b"a!", (4, "key.name")),
        (b".gitmodules", (3, "tree.entry")),
        (b".GIT", (3, "tree.entry")),
        (b".gitattributes", (3, "tree.entry")),
    ],
)
def test_names_that_no_key_has_are_refused(name: bytes, rule: tuple[int, str]) -> None:
    loaded = Loaded(7)
    entries = sorted([*loaded.items, (name, loaded.items[0][1])])
    assert loaded.rules_with(loaded.tree([(b"100644", *entry) for entry in entries])) == {rule}


def test_unsorted_or_repeated_names_are_refused() -> None:
    loaded = Loaded(7)
    entries = [(b"100644", name, oid) for name, oid in loaded.items]
    assert loaded.rules_with(loaded.tree([*entries[:2], entries[3], entries[2], *entries[4:]])) == {
        (3, "tree.entry")
    }
    assert loaded.rules_with(loaded.tree([*entries[:2], entries[1], *entries[2:]])) == {
        (3, "tree.entry")
    }


def test_name_beyond_the_next_node_is_refused(loaded: Loaded) -> None:
    nodes = cut(0, loaded.items)
    nodes[0][-1] = (nodes[1][0][0] + b"-", nodes[0][-1][1])
    assert (
        loaded.rules_with(loaded.parent([loaded.leaf(node) for node in nodes])[1])
        <= {(3, "tree.entry"), (8, "tree.shape")}
        != set()
    )


@pytest.mark.parametrize(
    "stray",
    [
        (b"40000", b"extra"),
        (b"100644", b"README"),
        (b"40000", b"chunks"),
        (b"160000", b"sub"),
        (b"120000", b"link"),
        (b"100644", b".gitmodules"),
    ],
)
@pytest.mark.parametrize("side", ["ledger_tree", "index_tree"])
def test_stray_entries_beside_the_maps_are_refused(stray: tuple[bytes, bytes], side: str) -> None:
    loaded = Loaded(7)
    body = loaded.store.tree(getattr(loaded.ledger.roots, side))
    odd = loaded.store.put(TREE, body + tree_body([(*stray, loaded.items[0][1])]))
    assert loaded.rules_of(loaded.ledger.roots._replace(**{side: odd})) == {(3, "tree.entry")}


def test_map_that_is_a_file_or_stands_twice_is_refused() -> None:
    loaded = Loaded(7)
    data = loaded.store.tree(loaded.ledger.roots.ledger_tree)
    for body in (data + data, data.replace(b"40000", b"100644"), data[:-1], b"\x00"):
        assert loaded.rules_of(
            loaded.ledger.roots._replace(ledger_tree=loaded.store.put(TREE, body))
        ) == {(3, "tree.entry")}


def test_tree_bomb_is_answered_in_a_few_reads() -> None:
    loaded = Loaded(10)
    name, oid = loaded.leaf(loaded.items)
    for _ in range(10):
        oid = loaded.tree([(b"40000", name + b"%02d!" % number, oid) for number in range(10)])
    loaded.store.reads = 0
    assert loaded.rules_with(oid) <= {(3, "tree.size"), (8, "tree.shape")} != set()
    assert loaded.store.reads < 100


def test_depth_of_thousands_is_answered_after_sixteen_levels() -> None:
    loaded = Loaded(10)
    name, oid = loaded.leaf(loaded.items)
    for _ in range(20_000):
        oid = loaded.tree([(b"40000", name + b"!", oid)])
    loaded.store.reads = 0
    assert loaded.rules_with(oid) == {(3, "tree.depth")}
    assert loaded.store.reads < 100


def test_a_lie_about_the_counts_does_not_buy_work() -> None:
    loaded = Loaded(20_000)
    loaded.facts = StepFacts(1, 1, 0)
    loaded.store.reads = 0
    assert loaded.rules_of(loaded.ledger.roots) == {(8, "attestation.counts")}
    assert loaded.store.reads < 1000


def test_more_nodes_than_the_counts_can_alter_are_not_read() -> None:
    loaded = Loaded(20_000)
    loaded.facts = StepFacts(1, 1, 0)
    loaded.items = [(named(number), loaded.items[0][1]) for number in range(90_000)]
    leaves, level = [loaded.leaf(node) for node in cut(0, loaded.items)], 1
    while len(leaves) > 1:
        leaves = [
            loaded.parent([(name, Oid(oid)) for name, oid in node])
            for node in cut(level, [(name, bytes(oid)) for name, oid in leaves])
        ]
        level += 1
    loaded.store.reads = 0
    assert loaded.rules_with(leaves[0][1]) == {(3, "tree.size")}
    assert loaded.store.reads < 1000


def test_moving_a_boundary_beside_an_unchanged_node_is_seen() -> None:
    """The node before a removed first item stays as it is: only its length says that the next cut
    is wrong.
    """
    loaded = Loaded(2000)
    before = loaded.ledger.roots
    nodes = cut(0, loaded.items)
    at = next(index for index in range(1, len(nodes) - 1) if not is_low(0, nodes[index][1][0]))
    doomed = nodes[at][0][0]
    state = {name: value for name, value in loaded.ledger.state.items() if name != doomed}
    loaded.before, loaded.facts = before, loaded.ledger.step(state)
    assert loaded.rules_of(loaded.ledger.roots) == set()
    nodes[at] = nodes[at][1:]
    leaves, level = [loaded.leaf(node) for node in nodes], 1
    while len(leaves) > 1:
        leaves = [
            loaded.parent([(name, Oid(oid)) for name, oid in node])
            for node in cut(level, [(name, bytes(oid)) for name, oid in leaves])
        ]
        level += 1
    assert loaded.rules_with(leaves[0][1]) == {(8, "tree.shape")}


def test_part_of_the_old_tree_under_a_new_root_is_not_taken_on_trust() -> None:
    loaded = Loaded(2000)
    loaded.before = loaded.ledger.roots
    keep = cut(0, loaded.items)[-1]
    loaded.facts = loaded.ledger.step({name: Value(b"v") for name, _ in keep})
    assert loaded.rules_of(loaded.ledger.roots) == set()
    assert loaded.rules_with(loaded.parent([loaded.leaf(keep)])[1]) == {(8, "tree.shape")}
    assert build_root(loaded.store, {}) == EMPTY_TREE
