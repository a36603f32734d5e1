"""The audit of large values: what honest writers make passes, and every lie about it is found."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from support.large_values import FIXED, SMALL, cut, noise
from support.ledger_in_memory import LedgerInMemory, Step

from gitkv.audit.history import UNLIMITED
from gitkv.audit.large import parse_manifest
from gitkv.audit.limits import CHUNKS_LISTED, CHUNKS_UNREAD, AuditRules
from gitkv.ledger.chunks import cut_value
from gitkv.ledger.node import ENTRIES
from gitkv.ledger.ordered_tree import OrderedTree
from gitkv.ledger.plan import Plan, Put
from gitkv.ledger.roots import open_chunks, open_ledger, write_root
from gitkv.model.chunk_tree import (
    Chunk,
    Group,
    format_group,
    format_value_tree,
    parse_group,
    parse_value_tree,
)
from gitkv.model.chunking import DEFAULT_CHUNKING
from gitkv.model.manifest import Manifest, format_manifest
from gitkv.model.oid import BLOB, TREE, Oid

POLICY = UNLIMITED._replace(
    value_bytes_max=4096, total_bytes_max=1 << 20, chunking=SMALL.text.encode()
)


class Bench:
    """A ledger with an inline value and a large one."""

    def __init__(self) -> None:
        self.ledger = LedgerInMemory()
        self.store = self.ledger.store
        self.old = cut(self.store.add, seed=1)
        self.ledger.write({b"old": Put(self.old), b"small": Put(b"1")})

    def rules(self, step: Step | None, rules: AuditRules = POLICY) -> set[str]:
        assert step is not None
        return {entry.rule for entry in self.ledger.audit(step, rules).reasons}

    def set(self, manifest: Manifest, rules: AuditRules = POLICY) -> set[str]:
        """What is said of a transaction that sets a large value so."""
        return self.rules(self.ledger.write({b"big": Put(manifest)}), rules)

    def bent(self, bend: Callable[[Plan], Plan], manifest: Manifest | None = None) -> set[str]:
        """What is said of one whose plan was changed."""
        plan = self.ledger.plan({b"big": Put(manifest or cut(self.store.add))})
        return self.rules(self.ledger.append(bend(plan)))

    def with_groups(self, manifest: Manifest, groups: list[list[Chunk]]) -> Manifest:
        """The manifest, leading to these chunks."""
        listed = [
            Group(sum(chunk.size for chunk in group), self.store.add(TREE, format_group(group)))
            for group in groups
        ]
        return manifest._replace(tree=self.store.add(TREE, format_value_tree(listed)))

    def chunks(self, manifest: Manifest) -> list[Chunk]:
        [group] = parse_value_tree(self.store.read(manifest.tree, TREE))
        return parse_group(self.store.read(group.oid, TREE))


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("chunking", [SMALL, FIXED])
def test_an_honest_large_value_passes_with_all_its_objects(bench: Bench, chunking) -> None:  # type: ignore[no-untyped-def]
    before = {oid for oid, _, _ in bench.store.all()}
    rules = POLICY._replace(chunking=chunking.text.encode())
    manifest = cut(bench.store.add, 1_100_000, chunking=chunking)
    step = bench.ledger.write({b"big": Put(manifest, "application/x-tensor", 0)})
    assert step is not None
    found = bench.ledger.audit(step, rules._replace(total_bytes_max=2 << 20))
    assert (found.reasons, found.large) == ([], 1)
    new = {oid for oid, kind, _ in bench.store.all() if kind != b"commit"} - before
    assert new == found.objects
    assert bench.ledger.audit_all() == []


def test_the_same_bytes_again_add_a_manifest_and_no_chunk(bench: Bench) -> None:
    step = bench.ledger.write({b"copy": Put(bench.old)})
    assert step is not None
    found = bench.ledger.audit(step, POLICY)
    assert (found.reasons, found.large) == ([], 0)
    assert step.after.trees.chunks_tree == step.before.trees.chunks_tree
    assert step.after.chunks_oid == step.before.chunks_oid
    assert bench.old.tree not in found.objects


def test_values_grow_and_shrink_and_go(bench: Bench) -> None:
    for value in (cut(bench.store.add, seed=2), b"inline", cut(bench.store.add, seed=3), b"x"):
        assert bench.rules(bench.ledger.write({b"k": Put(value)})) == set()
    assert bench.rules(bench.ledger.write({b"old": Put(bench.old, "text/plain", 0)})) == set()
    assert bench.rules(bench.ledger.write({b"old": None, b"k": None})) == set()
    assert bench.rules(bench.ledger.write({b"old": Put(bench.old)})) == set()
    ledger = open_ledger(bench.ledger.tip.trees.ledger_tree, bench.store.read)
    assert [name for name, _ in ledger.manifests.scan()] == [b"old"]
    assert bench.ledger.audit_all() == []


def test_a_value_that_looks_like_a_manifest_is_a_value(bench: Bench) -> None:
    text = format_manifest(bench.old)
    assert bench.rules(bench.ledger.write({b"old": Put(text)})) == set()
    assert bench.rules(bench.ledger.write({b"old": Put(bench.old)})) == set()
    assert bench.ledger.audit_all() == []


LIES: dict[str, Callable[[Manifest], Manifest]] = {
    "a byte more": lambda one: one._replace(size=one.size + 1),
    "a byte less": lambda one: one._replace(size=one.size - 1),
    "another digest": lambda one: one._replace(blake3=bytes(32)),
    "a chunk more": lambda one: one._replace(chunks=one.chunks + 1),
    "a chunk less": lambda one: one._replace(chunks=one.chunks - 1),
    "cut otherwise": lambda one: one._replace(chunking=SMALL._replace(average_bytes=8192)),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_refused(bench: Bench, lie: str) -> None:
    found = bench.set(LIES[lie](cut(bench.store.add)), POLICY._replace(chunking=b""))
    assert found == {"chunks.mismatch"}


def test_a_manifest_of_impossible_numbers_is_refused(bench: Bench) -> None:
    honest = cut(bench.store.add)
    for bad in (honest._replace(chunks=10_000), honest._replace(size=1 << 40, chunks=1)):
        assert parse_manifest(format_manifest(bad)) is None
        assert bench.set(bad, UNLIMITED) == {"manifest.form"}


def _other_chunk(chunks: list[Chunk], bench: Bench) -> list[Chunk]:
    body = noise(chunks[2].size, 99)
    return [*chunks[:2], chunks[2]._replace(oid=bench.store.add(BLOB, body)), *chunks[3:]]


def _merged(chunks: list[Chunk], bench: Bench) -> list[Chunk]:
    """Two chunks as one: not where FastCDC cuts."""
    from blake3 import blake3

    body = b"".join(bench.store.read(chunk.oid, BLOB) for chunk in chunks[:2])
    return [Chunk(len(body), blake3(body).digest(), bench.store.add(BLOB, body)), *chunks[2:]]


BENT: dict[str, Callable[[list[Chunk], Bench], list[Chunk]]] = {
    "two in another order": lambda chunks, _: [chunks[1], chunks[0], *chunks[2:]],
    "one twice": lambda chunks, _: [chunks[0], chunks[0], *chunks[2:]],
    "one left out": lambda chunks, _: chunks[:3] + chunks[4:],
    "one more": lambda chunks, _: [*chunks, chunks[0]],
    "another blob": _other_chunk,
    "another digest": lambda chunks, _: [chunks[0]._replace(blake3=bytes(32)), *chunks[1:]],
    "another size": lambda chunks, _: [chunks[0]._replace(size=2000), *chunks[1:]],
    "sizes that make up for each other": lambda chunks, _: [
        chunks[0]._replace(size=chunks[0].size + 1),
        chunks[1]._replace(size=chunks[1].size - 1),
        *chunks[2:],
    ],
}


@pytest.mark.parametrize("bend", BENT)
def test_chunks_other_than_the_value_s_are_refused(bench: Bench, bend: str) -> None:
    honest = cut(bench.store.add)
    bad = bench.with_groups(honest, [BENT[bend](bench.chunks(honest), bench)])
    assert bench.set(bad) == {"chunks.mismatch"}


def test_another_cutting_of_the_right_bytes_is_refused(bench: Bench) -> None:
    honest = cut(bench.store.add)
    chunks = _merged(bench.chunks(honest), bench)
    bad = bench.with_groups(honest._replace(chunks=len(chunks)), [chunks])
    assert bench.set(bad) == {"chunks.mismatch"}


def test_groups_that_are_not_full_are_refused(bench: Bench) -> None:
    honest = cut(bench.store.add)
    chunks = bench.chunks(honest)
    assert bench.set(bench.with_groups(honest, [chunks[:3], chunks[3:]])) == {"chunks.mismatch"}


def test_the_tree_of_another_value_is_refused(bench: Bench) -> None:
    honest = cut(bench.store.add)
    assert bench.set(honest._replace(tree=bench.old.tree)) == {"chunks.mismatch"}


def test_another_tree_for_a_value_that_is_known_is_refused(bench: Bench) -> None:
    """Whoever comes second cannot replace the chunks of the first."""
    plan = bench.ledger.plan({b"big": Put(cut(bench.store.add))})
    body = format_manifest(bench.old._replace(tree=cut(bench.store.add, seed=5).tree))
    ledger = open_ledger(plan.ledger_tree, bench.store.read)
    oid = bench.store.add(BLOB, body)
    manifests = ledger.manifests.apply([(b"big", oid)], bench.store.add)
    roots = {b"data": ledger.data.root, b"manifests": manifests, b"meta": ledger.meta.root}
    bad = plan._replace(ledger_tree=write_root(roots, bench.store.add))
    found = bench.rules(bench.ledger.append(bad))
    assert found <= {"index.mismatch", "chunks.store"} != set()


def test_a_lost_chunk_is_told_with_its_key(bench: Bench) -> None:
    honest = cut(bench.store.add)
    bench.store.drop(bench.chunks(honest)[4].oid)
    step = bench.ledger.write({b"big": Put(honest)})
    assert step is not None
    [found] = bench.ledger.audit(step, POLICY).reasons
    assert (found.code, found.rule) == (8, "object.missing")


@pytest.mark.parametrize("level", ["value", "group"])
def test_a_lost_tree_is_told_with_its_key(bench: Bench, level: str) -> None:
    honest = cut(bench.store.add)
    [group] = parse_value_tree(bench.store.read(honest.tree, TREE))
    bench.store.drop(honest.tree if level == "value" else group.oid)
    step = bench.ledger.write({b"big": Put(honest)})
    assert step is not None
    [found] = bench.ledger.audit(step, POLICY).reasons
    assert (found.rule, found.where) == ("chunks.missing", "key big")


def _stray(plan: Plan, bench: Bench) -> Plan:
    other = cut(bench.store.add, seed=8)
    store = open_chunks(plan.chunks_tree, bench.store.read)
    return plan._replace(chunks_tree=store.apply([(other.store_name, other.tree)], bench.store.add))


def _without(name: bytes) -> Callable[[Plan, Bench], Plan]:
    def bend(plan: Plan, bench: Bench) -> Plan:
        store = open_chunks(plan.chunks_tree, bench.store.read)
        return plan._replace(chunks_tree=store.apply([(name, None)], bench.store.add))

    return bend


STORES: dict[str, Callable[[Plan, Bench], Plan]] = {
    "as before": lambda plan, bench: plan._replace(chunks_tree=bench.ledger.tip.trees.chunks_tree),
    "none": lambda plan, _: plan._replace(chunks_tree=None),
    "with a value that nobody set": _stray,
    "without an older value": lambda plan, bench: _without(bench.old.store_name)(plan, bench),
    "another kind of tree": lambda plan, _: plan._replace(chunks_tree=plan.ledger_tree),
}


@pytest.mark.parametrize("store", STORES)
def test_a_chunk_store_with_more_or_less_is_refused(bench: Bench, store: str) -> None:
    found = bench.bent(lambda plan: STORES[store](plan, bench))
    assert found <= {"chunks.store", "tree.entry", "key.name", "tree.shape"} != set()


def test_a_chunk_store_that_moves_without_a_large_value_is_refused(bench: Bench) -> None:
    plan = bench.ledger.plan({b"small": Put(b"2")})
    assert bench.rules(bench.ledger.append(_stray(plan, bench))) == {"chunks.store"}


@pytest.mark.parametrize("key", [b"small", b"fresh"])
def test_a_key_in_both_maps_is_refused(bench: Bench, key: bytes) -> None:
    """A manifest for a key that has, or gets, a value as well."""
    plan = bench.ledger.plan({key: Put(b"3")})
    ledger = open_ledger(plan.ledger_tree, bench.store.read)
    oid = bench.store.add(BLOB, format_manifest(bench.old))
    manifests = ledger.manifests.apply([(key, oid)], bench.store.add)
    roots = {b"data": ledger.data.root, b"manifests": manifests, b"meta": ledger.meta.root}
    bad = plan._replace(ledger_tree=write_root(roots, bench.store.add))
    assert bench.rules(bench.ledger.append(bad)) == {"manifest.doubled"}


def test_a_value_for_a_key_that_keeps_its_manifest_is_refused(bench: Bench) -> None:
    plan = bench.ledger.plan({b"small": Put(b"3")})
    ledger = open_ledger(plan.ledger_tree, bench.store.read)
    data = ledger.data.apply([(b"old", bench.store.add(BLOB, b"x"))], bench.store.add)
    roots = {b"data": data, b"manifests": ledger.manifests.root, b"meta": ledger.meta.root}
    bad = plan._replace(ledger_tree=write_root(roots, bench.store.add), keys_set=2)
    assert bench.rules(bench.ledger.append(bad)) == {"manifest.doubled"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"x" * 513, b"x" * (4 << 20), b'{"version":1}', b"{" * 500],
    ids=["empty", "an empty object", "a byte too long", "4 MiB", "one member", "nested"],
)
def test_what_is_no_manifest_is_refused(bench: Bench, body: bytes) -> None:
    plan = bench.ledger.plan({b"big": Put(cut(bench.store.add))})
    data = open_ledger(plan.ledger_tree, bench.store.read)
    manifests = OrderedTree(data.manifests.root, ENTRIES, bench.store.read)
    root = manifests.apply([(b"big", bench.store.add(BLOB, body))], bench.store.add)
    roots = {b"data": data.data.root, b"manifests": root, b"meta": data.meta.root}
    bad = plan._replace(ledger_tree=write_root(roots, bench.store.add))
    assert bench.rules(bench.ledger.append(bad)) == {"manifest.form"}


def test_limits_of_the_policy_hold_for_large_values(bench: Bench) -> None:
    small = cut_value([noise(4096)], SMALL, bench.store.add)
    assert bench.set(small) == {"value.inline"}
    assert bench.set(cut(bench.store.add, chunking=FIXED)) == {"value.chunking"}
    assert bench.set(cut(bench.store.add, (1 << 20) + 1)) == {"value.total"}
    found = bench.rules(bench.ledger.write({b"inline": Put(noise(4097))}))
    assert found == {"value.size"}


def test_the_sum_counts_large_values_and_small_ones(bench: Bench) -> None:
    rules = POLICY._replace(total_bytes_max=60_003)
    step = bench.ledger.write({b"big": Put(cut(bench.store.add)), b"tiny": Put(b"1234")})
    assert bench.rules(step, rules) == {"value.total"}


def test_a_bomb_of_one_chunk_a_million_times_is_refused_by_its_size(bench: Bench) -> None:
    """A few kilobytes that stand for a gigabyte: the claim decides, before a chunk is read."""
    zeros = bench.store.add(BLOB, bytes(16384))
    full = [Chunk(16384, bytes(32), zeros)] * 1024
    group = Group(16384 * 1024, bench.store.add(TREE, format_group(full)))
    tree = bench.store.add(TREE, format_value_tree([group] * 1024))
    bomb = Manifest(16384 * 1024 * 1024, bytes(32), SMALL, 1024 * 1024, tree)
    bench.store.drop(zeros)
    assert bench.set(bomb) == {"value.total"}


def test_trees_that_are_too_large_are_refused(bench: Bench) -> None:
    listed = format_group(bench.chunks(cut(bench.store.add))) * 200
    for seed, body in ((20, b"x" * (1 << 20)), (21, listed)):
        tree = bench.store.add(TREE, body)
        bad = cut(bench.store.add, seed=seed)._replace(tree=tree)
        assert bench.set(bad) <= {"chunks.size", "chunks.mismatch"} != set()


def test_without_contents_no_chunk_is_read_and_lists_are_judged(bench: Bench) -> None:
    honest = cut(bench.store.add)
    for chunk in bench.chunks(honest):
        bench.store.drop(chunk.oid)
    listed = POLICY._replace(chunks=CHUNKS_LISTED)
    assert bench.set(honest, listed) == set()
    lie = cut(bench.store.add, seed=11)
    assert bench.set(lie._replace(size=lie.size + 1), listed) == {"chunks.mismatch"}


def test_unread_the_chunk_store_may_be_elsewhere(bench: Bench) -> None:
    honest = cut(bench.store.add)
    plan = bench.ledger.plan({b"big": Put(honest)})
    assert plan.chunks_tree is not None
    step = bench.ledger.append(plan)
    for oid in [plan.chunks_tree, honest.tree]:
        bench.store.drop(oid)
    assert bench.rules(step, POLICY._replace(chunks=CHUNKS_UNREAD)) == set()
    assert bench.rules(step) == {"object.missing"}


def test_the_audit_holds_a_few_chunks_however_large_the_value(bench: Bench) -> None:
    manifest = cut(bench.store.add, 40 << 20, chunking=DEFAULT_CHUNKING)
    step = bench.ledger.write({b"big": Put(manifest)})
    bench.rules(step, UNLIMITED)  # what is imported is not the value's
    tracemalloc.start()
    assert bench.rules(step, UNLIMITED) == set()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


def test_two_keys_with_the_same_value_and_different_trees_are_refused(bench: Bench) -> None:
    one, other = cut(bench.store.add), cut(bench.store.add, seed=8)
    plan = bench.ledger.plan({b"a": Put(one)})
    ledger = open_ledger(plan.ledger_tree, bench.store.read)
    oid: Oid = bench.store.add(BLOB, format_manifest(one._replace(tree=other.tree)))
    manifests = ledger.manifests.apply([(b"b", oid)], bench.store.add)
    roots = {b"data": ledger.data.root, b"manifests": manifests, b"meta": ledger.meta.root}
    bad = plan._replace(ledger_tree=write_root(roots, bench.store.add), keys_set=2)
    found = bench.rules(bench.ledger.append(bad))
    assert found <= {"index.mismatch", "chunks.store"} != set()
