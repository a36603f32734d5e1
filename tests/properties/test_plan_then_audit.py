"""What the writer plans, the independent audit accepts, whatever the history; and the ordered tree
behaves like a dictionary.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support import naive_store
from support.large_values import FIXED, SMALL, noise
from support.ledger_in_memory import LedgerInMemory
from support.names import names, runs

from gitkv.audit.history import UNLIMITED
from gitkv.ledger.chunks import chunks_between, take_value
from gitkv.ledger.compose import read_tip
from gitkv.ledger.node import ENTRIES
from gitkv.ledger.ordered_tree import OrderedTree
from gitkv.ledger.plan import Put
from gitkv.ledger.roots import open_ledger
from gitkv.ledger.tree_diff import differences
from gitkv.ledger.view import prefix_end
from gitkv.model.chunking import Chunking
from gitkv.model.manifest import parse_manifest
from gitkv.model.oid import BLOB, Oid, hash_object
from gitkv.testing.memory import MemoryObjectStore

Contents = dict[bytes, bytes]
Edits = dict[bytes, bytes | None]

_puts = st.builds(
    Put,
    st.binary(max_size=40),
    st.sampled_from(["", "", "text/plain", 'a"\\b']),
    st.sampled_from([0, 0, 1, 253402300799]),
)


@st.composite
def changes(draw: st.DrawFn) -> dict[bytes, Put | None]:
    """A transaction: single keys, and now and then a run of neighbours set or deleted as one."""
    found: dict[bytes, Put | None] = {}
    if draw(st.integers(0, 3)) == 0:
        put = draw(st.none() | _puts)
        found |= dict.fromkeys(draw(runs), put)
    found |= draw(st.dictionaries(names, st.none() | _puts, max_size=15))
    return found


@given(st.lists(changes(), min_size=1, max_size=6))
def test_every_planned_transaction_passes_the_audit_and_sends_exactly_what_it_adds(
    history: list[dict[bytes, Put | None]],
) -> None:
    ledger = LedgerInMemory()
    for transaction in history:
        step = ledger.write(transaction)
        if step is None:
            continue
        found = ledger.audit(step)
        assert found.reasons == []
        assert set(step.emitted) <= found.objects, (
            "a stray object: the gateway would refuse the pack"
        )
        assert len(found.changes) == step.plan.keys_set + step.plan.keys_del
    assert ledger.audit_all() == []


_sizes = st.sampled_from([1, 1023, 1024, 1025, 5000, 20_000, 40_000])
_large = st.builds(lambda size, seed: noise(size, seed), _sizes, st.integers(0, 3))


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([b"a", b"b", b"c", b"d"]),
            st.none()
            | _puts
            | st.builds(Put, _large, st.sampled_from(["", "text/plain"]), st.just(0)),
            min_size=1,
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([SMALL, FIXED]),
)
def test_large_and_small_values_together_pass_the_audit_with_all_they_bring(
    history: list[dict[bytes, Put | None]], chunking: Chunking
) -> None:
    ledger, state = LedgerInMemory(), dict[bytes, bytes]()
    rules = UNLIMITED._replace(value_bytes_max=1024, chunking=chunking.text.encode())
    for transaction in history:
        before = {oid for oid, _, _ in ledger.store.all()}
        taken = {
            name: None
            if put is None
            else put._replace(value=take_value([put.value], 1024, chunking, ledger.store.add))
            for name, put in transaction.items()
        }
        step = ledger.write(taken)
        for name, put in transaction.items():
            state.pop(name, None)
            if put is not None:
                assert isinstance(put.value, bytes)
                state[name] = put.value
        if step is None:
            continue
        found = ledger.audit(step, rules)
        assert found.reasons == []
        new = {oid for oid, kind, _ in ledger.store.all() if kind != b"commit"} - before
        assert new <= found.objects
        assert (step.after.chunks_oid == step.before.chunks_oid) == (found.large == 0)
        assert read_tip(step.after.heads, ledger.store.read) == step.after
    assert ledger.audit_all() == []
    trees = open_ledger(ledger.tip.trees.ledger_tree, ledger.store.read)
    read = dict(trees.data.scan())
    values = {name: ledger.store.read(Oid(oid), BLOB) for name, oid in read.items()}
    for name, oid in trees.manifests.scan():
        manifest = parse_manifest(ledger.store.read(Oid(oid), BLOB))
        chunks = chunks_between(manifest, 0, manifest.size, ledger.store.read)
        values[name] = b"".join([ledger.store.read(chunk.oid, BLOB) for _, chunk in chunks])
    assert values == state


@given(st.lists(changes(), min_size=1, max_size=5))
def test_equal_contents_have_equal_roots_by_whatever_route(
    history: list[dict[bytes, Put | None]],
) -> None:
    ledger, state = LedgerInMemory(), dict[bytes, Put]()
    for transaction in history:
        ledger.write(transaction)
        state |= {name: put for name, put in transaction.items() if put is not None}
        state = {name: put for name, put in state.items() if transaction.get(name, put) is not None}
    direct = LedgerInMemory()
    direct.write(state)
    assert direct.tip.ledger.commit.tree == ledger.tip.ledger.commit.tree
    obvious = naive_store.Ledger()
    obvious.step({name: naive_store.Value(put.value, _meta(put)) for name, put in state.items()})
    assert obvious.roots.ledger_tree == ledger.tip.ledger.commit.tree
    assert obvious.roots.index_tree == direct.tip.ledger.attestation.index_tree or not state


def _meta(put: Put) -> bytes | None:
    fields = (
        [b'"ctype":"%b"' % put.ctype.replace("\\", "\\\\").replace('"', '\\"').encode()]
        if put.ctype
        else []
    ) + ([b'"expires":%d' % put.expires] if put.expires else [])
    return b"{%b}" % b",".join(fields) if fields else None


# --- the ordered tree against a dictionary
# -----------------------------------------------------------------------------------------

_payloads = st.integers(0, 5).map(lambda n: bytes(hash_object(BLOB, b"%d" % n)))


@st.composite
def edits(draw: st.DrawFn) -> Edits:
    found: Edits = {}
    for _ in range(draw(st.integers(0, 2))):
        found |= dict.fromkeys(draw(runs), draw(st.none() | _payloads))
    found |= draw(st.dictionaries(names, st.none() | _payloads, max_size=25))
    return found


def _applied(contents: Contents, wanted: Edits) -> Contents:
    after = {**contents, **wanted}
    return {name: payload for name, payload in after.items() if payload is not None}


class Forest:
    """One object store, and trees that grow in it."""

    def __init__(self) -> None:
        self.store = MemoryObjectStore()

    def open(self, root: Oid | None) -> OrderedTree:
        return OrderedTree(root, ENTRIES, self.store.read)

    def apply(self, root: Oid | None, wanted: Edits) -> Oid | None:
        return self.open(root).apply(sorted(wanted.items()), self.store.add)


@given(st.lists(edits(), min_size=1, max_size=4), st.lists(names, max_size=8))
def test_the_tree_is_a_dictionary(history: list[Edits], asked: list[bytes]) -> None:
    forest, root, contents = Forest(), None, Contents()
    for wanted in history:
        root, contents = forest.apply(root, wanted), _applied(contents, wanted)
        tree = forest.open(root)
        assert dict(tree.scan()) == contents
        assert [name for name, _ in tree.scan()] == sorted(contents)
        assert all(tree.get(name) == contents.get(name) for name in [*asked, *wanted])
        some = sorted({*asked, *wanted})
        assert list(tree.get_many(some)) == [contents.get(name) for name in some]
        for start in asked:
            for stop in (None, prefix_end(start), *asked):
                expected = [
                    name
                    for name in sorted(contents)
                    if name >= start and (stop is None or name < stop)
                ]
                assert [name for name, _ in forest.open(root).scan(start, stop)] == expected


@given(edits(), edits(), st.lists(names, min_size=2, max_size=6, unique=True))
def test_a_diff_is_the_difference_of_two_dictionaries(
    first: Edits, then: Edits, bounds: list[bytes]
) -> None:
    forest = Forest()
    old, new = _applied({}, first), _applied(_applied({}, first), then)
    old_root = forest.apply(None, first)
    new_root = forest.apply(old_root, then)
    expected = [
        (name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    assert [
        tuple(found) for found in differences(forest.open(old_root), forest.open(new_root))
    ] == expected
    ordered = sorted(bounds)
    spans = list(zip(ordered[::2], ordered[1::2], strict=False))
    outside = [
        entry for entry in expected if not any(low <= entry[0] < high for low, high in spans)
    ]
    assert [
        tuple(found)
        for found in differences(forest.open(old_root), forest.open(new_root), left_out=spans)
    ] == outside


@given(edits(), edits())
def test_a_rewrite_emits_only_nodes_of_the_new_tree(first: Edits, then: Edits) -> None:
    forest = Forest()
    root = forest.apply(None, first)
    emitted: list[Oid] = []

    def emit(kind: bytes, body: bytes) -> Oid:
        emitted.append(forest.store.add(kind, body))
        return emitted[-1]

    after = forest.open(root).apply(sorted(then.items()), emit)
    assert set(emitted) <= _nodes(forest, after)
    assert len(emitted) == len(set(emitted))


def _nodes(forest: Forest, root: Oid | None) -> set[Oid]:
    if root is None:
        return set()
    tree = forest.open(root)
    found, level = {root}, [root]
    for height in range(tree.height, 0, -1):
        level = [Oid(payload) for oid in level for _, payload in tree.items(oid, height)]
        found |= set(level)
    return found
