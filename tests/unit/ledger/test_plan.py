"""A plan says which trees follow from the wanted values: what changes nothing drops out, and
versions are counted (spec/format 5.4).
"""

from __future__ import annotations

from support.ledger_in_memory import LedgerInMemory

from gitkv.ledger.index_line import LiveLine, parse_gone, parse_live
from gitkv.ledger.plan import Put
from gitkv.ledger.roots import open_index, open_ledger
from gitkv.model.oid import BLOB, EMPTY_TREE, hash_object


def _live(ledger: LedgerInMemory, name: bytes) -> LiveLine | None:
    line = open_index(ledger.tip.trees[1], ledger.store.read).live.get(name)
    return None if line is None else parse_live(line)


def _gone(ledger: LedgerInMemory, name: bytes) -> int | None:
    line = open_index(ledger.tip.trees[1], ledger.store.read).gone.get(name)
    return None if line is None else parse_gone(line)


def test_a_key_is_created_changed_deleted_and_created_again() -> None:
    ledger = LedgerInMemory()
    ledger.write({b"k": Put(b"1")})
    assert _live(ledger, b"k") == LiveLine(b"k", 1, 1, hash_object(BLOB, b"1"), 1, 1)
    ledger.write({b"k": Put(b"22", "text/plain", 9)})
    assert _live(ledger, b"k") == LiveLine(
        b"k", 1, 2, hash_object(BLOB, b"22"), 2, 2, "text/plain", 9
    )
    ledger.write({b"k": None})
    assert (_live(ledger, b"k"), _gone(ledger, b"k")) == (None, 3)
    ledger.write({b"k": Put(b"1")})
    assert (_live(ledger, b"k"), _gone(ledger, b"k")) == (
        LiveLine(b"k", 4, 4, hash_object(BLOB, b"1"), 1, 1),
        None,
    )


def test_sets_of_the_same_value_and_deletions_of_absent_keys_drop_out() -> None:
    ledger = LedgerInMemory()
    ledger.write({b"a": Put(b"1", "t"), b"b": Put(b"2")})
    plan = ledger.plan({b"a": Put(b"1", "t"), b"b": Put(b"2"), b"absent": None})
    assert plan == (*ledger.tip.trees, 0, 0)
    plan = ledger.plan({b"a": Put(b"1", "t"), b"b": None, b"absent": None, b"c": Put(b"")})
    assert (plan.keys_set, plan.keys_del) == (1, 1)


def test_a_change_of_metadata_alone_counts_as_a_set_and_sends_no_value() -> None:
    ledger = LedgerInMemory()
    ledger.write({b"k": Put(b"value")})
    step = ledger.write({b"k": Put(b"value", "text/plain")})
    assert step is not None and (step.plan.keys_set, step.plan.keys_del) == (1, 0)
    assert hash_object(BLOB, b"value") not in step.emitted
    assert hash_object(BLOB, b'{"ctype":"text/plain"}') in step.emitted
    step = ledger.write({b"k": Put(b"value")})
    assert step is not None and b"meta" not in ledger.store.read(step.plan.ledger_tree, b"tree")


def test_deleting_the_last_key_leaves_the_empty_tree_and_an_index_of_what_is_gone() -> None:
    ledger = LedgerInMemory()
    ledger.write({b"k": Put(b"1", "t", 5)})
    step = ledger.write({b"k": None})
    assert step is not None and step.plan.ledger_tree == EMPTY_TREE
    trees = open_index(step.plan.index_tree, ledger.store.read)
    assert trees.live.root is None and [name for name, _ in trees.gone.scan()] == [b"k"]


def test_the_order_of_the_changes_does_not_matter() -> None:
    changes = {b"%d" % n: Put(b"%d" % n) for n in range(200)}
    ledger = LedgerInMemory()
    assert ledger.plan(changes) == ledger.plan(dict(reversed(list(changes.items()))))


def test_a_value_of_two_keys_is_one_blob() -> None:
    ledger = LedgerInMemory()
    ledger.write({b"a": Put(b"same"), b"b": Put(b"same")})
    data = open_ledger(ledger.tip.trees[0], ledger.store.read).data
    assert data.get(b"a") == data.get(b"b") == hash_object(BLOB, b"same")
