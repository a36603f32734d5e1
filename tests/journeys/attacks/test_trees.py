"""Trees and keys no honest client writes, pushed to a real Stargate: each is refused with its code
and leaves nothing.

Every transaction here is signed by a writer and right in all but its data tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.forge import Bend, Forge, Forged, assert_nothing_left, assert_refused, settled
from support.invariants import policy_of
from support.naive_store import is_low
from support.reach import pruned

from gitkv.ledger.plan import Plan, Put
from gitkv.ledger.roots import open_index, open_ledger
from gitkv.model.oid import BLOB, TREE, Oid
from gitkv.testing.world import World, run

Entry = tuple[bytes, bytes, bytes]  # mode, name, raw id
Emit = Callable[[bytes, bytes], Oid]
SECONDS_MAX = 20.0


class Target:
    """A Stargate with enough keys for several nodes, bob who may write all of them, and carol who
    may write `carol:` only.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.bob = Forge(world, world.person("bob"))
        self.carol = Forge(world, world.person("carol"))
        alice = Forge(world, world.person("alice"))
        text = run(
            ["git", "cat-file", "blob", "refs/heads/main:.kv/policy.yaml"],
            world.base_env(),
            world.gate,
        ).out
        changed = text.replace(b"      carol: {}\n", b'      carol: {prefixes: ["carol:"]}\n')
        assert changed != text and alice.push(alice.policy_change(changed)).accepted
        alice.close()
        filling = {b"carol:%04d" % n: Put(b"%d" % n) for n in range(300)} | {
            b"other:%04d" % n: Put(b"%d" % n) for n in range(300)
        }
        assert self.bob.push(self.bob.transaction(filling)).accepted
        assert policy_of(world).namespace(self.bob.ns) is not None
        self.before = settled(world)

    def close(self) -> None:
        self.bob.close()
        self.carol.close()

    def entries(self) -> list[Entry]:
        """All items of the data tree now."""
        return [
            (b"100644", name, oid)
            for name, oid in open_ledger(
                self.bob.tip().ledger.commit.tree, self.bob.load
            ).data.scan()
        ]

    def must_refuse(
        self, forge: Forge, forged: Forged, codes: tuple[int, ...], *rules: str
    ) -> None:
        answered = forge.push(pruned(forged))
        assert_refused(
            answered, next((code for code in codes if code in answered.codes), codes[0]), *rules
        )
        assert answered.seconds < SECONDS_MAX
        assert_nothing_left(self.world, self.before)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    world = World(tmp_path_factory.mktemp("world")).create(writers=("bob", "carol"))
    made = Target(world.start())
    yield made
    made.bob.push_good()  # after all those attacks
    made.close()
    world.close()


def _tree(entries: list[Entry]) -> bytes:
    return b"".join([mode + b" " + name + b"\0" + oid for mode, name, oid in entries])


def _with_data(
    forge: Forge,
    make: Callable[[Emit], Oid],
    others: Callable[[Emit], list[Entry]] = lambda emit: [],
) -> Forged:
    """A transaction whose data root is what `make` emits, and whose root tree holds `others`
    besides.
    """

    def trees(plan: Plan, emit: Emit) -> Plan:
        root = sorted(
            [(b"40000", b"data", bytes(make(emit))), *others(emit)], key=lambda entry: entry[1]
        )
        return plan._replace(ledger_tree=emit(TREE, _tree(root)))

    return forge.transaction({b"carol:key": Put(b"v")}, Bend(trees=trees))


def _one_leaf(
    extra: Callable[[Emit], list[Entry]], *, ordered: bool = True
) -> Callable[[Emit], Oid]:
    """A data tree of one leaf: twenty good entries and the extra ones."""

    def make(emit: Emit) -> Oid:
        good = [(b"100644", b"carol:%04d" % n, bytes(emit(BLOB, b"%d" % n))) for n in range(7)]
        entries = good + extra(emit)
        return emit(TREE, _tree(sorted(entries, key=_git_order) if ordered else entries))

    return make


def _git_order(entry: Entry) -> bytes:
    return entry[1] + (b"/" if entry[0].lstrip(b"0") == b"40000" else b"")


def _blob_named(name: bytes) -> Callable[[Emit], list[Entry]]:
    return lambda emit: [(b"100644", name, bytes(emit(BLOB, b"x")))]


# --- names
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b".git",
        b".GIT",
        b".Git",
        b"git~1",
        b"GIT~1",
        b".",
        b"..",
        ".g\u200cit".encode(),
        b".git ",
        b".git...",
        b"a/b",
    ],
)
def test_names_that_git_itself_fears_are_refused(target: Target, name: bytes) -> None:
    target.must_refuse(target.bob, _with_data(target.bob, _one_leaf(_blob_named(name))), (5, 4, 3))


@pytest.mark.parametrize("name", [b".git", b"..", b".GiT", b"git~1"])
def test_git_spellings_end_with_the_code_of_a_broken_pack(target: Target, name: bytes) -> None:
    target.must_refuse(
        target.bob, _with_data(target.bob, _one_leaf(_blob_named(name))), (5,), "pack.refused"
    )


@pytest.mark.parametrize(
    "name",
    [
        # LF, ESC, DEL, TAB, lengths
        b"a\nb", b"a\x1b[2Jb", b"a\x7f", b"a\tb", b"n" * 65536, b"n" * 241, b"%E2%82%AC" * 81,
        # One key, two spellings
        b"%41", b"%2f", b"a%", b"a%2", b"%2F%2f", b"%zz", b"%2E%2E%41", b"%25%",
        # Raw bytes that have an escape
        b"a b", b"a!b", b"a~", b"a\\b", b"a*", "é".encode(), b".hidden",
        b"%00", b"%0A", b"%1B", b"%7F", b"%C2%85",  # control characters behind escapes
        # Not UTF-8, surrogate, overlong, beyond Unicode
        b"%FF", b"%C3", b"%ED%A0%80", b"%C0%AF", b"%F4%90%80%80",
        b"e%CC%81", b"%EF%BF%BD%CC%81%E2%84%AB",  # not NFC
    ],
)  # fmt: skip
def test_names_that_are_no_keys_are_refused_with_the_code_of_a_key(
    target: Target, name: bytes
) -> None:
    target.must_refuse(
        target.bob, _with_data(target.bob, _one_leaf(_blob_named(name))), (4,), "key.name"
    )


def test_an_empty_name_is_refused_by_git_or_by_us(target: Target) -> None:
    target.must_refuse(target.bob, _with_data(target.bob, _one_leaf(_blob_named(b""))), (4, 5))


@pytest.mark.parametrize("key", ["", "x" * 241, "a\x1b[2J", "e\u0301"])
def test_a_client_refuses_such_a_key_before_it_sends_anything(target: Target, key: str) -> None:
    bob = target.bob.person
    if not bob.clone_dir.exists():
        bob.clone()
    done = bob.kv("set", key, "v", check=False)
    assert done.code == 4, done
    assert "\x1b" not in done.err
    assert_nothing_left(target.world, target.before)


# --- entries
# --------------------------------------------------------------------------------------------------


def test_duplicate_entries_are_refused(target: Target) -> None:
    twice = _one_leaf(
        lambda emit: [
            (b"100644", b"dup", bytes(emit(BLOB, b"1"))),
            (b"100644", b"dup", bytes(emit(BLOB, b"2"))),
        ]
    )
    target.must_refuse(target.bob, _with_data(target.bob, twice), (5,), "pack.refused")


def test_a_blob_and_a_tree_of_one_name_are_refused(target: Target) -> None:
    both = _one_leaf(
        lambda emit: [
            (b"100644", b"dup", bytes(emit(BLOB, b"1"))),
            (b"40000", b"dup", bytes(emit(TREE, b""))),
        ]
    )
    target.must_refuse(target.bob, _with_data(target.bob, both), (5,), "pack.refused")


def test_unsorted_entries_are_refused(target: Target) -> None:
    target.must_refuse(
        target.bob,
        _with_data(target.bob, _one_leaf(_blob_named(b"a"), ordered=False)),
        (5,),
        "pack.refused",
    )


def _odd(mode: bytes) -> Callable[[Emit], list[Entry]]:
    def extra(emit: Emit) -> list[Entry]:
        target = emit(TREE, b"") if mode.endswith(b"40000") else emit(BLOB, b"target")
        return [(mode, b"odd", bytes(target))]

    return extra


@pytest.mark.parametrize("mode", [b"100755", b"120000", b"40000"])
def test_executables_symlinks_and_folders_are_refused(target: Target, mode: bytes) -> None:
    target.must_refuse(
        target.bob, _with_data(target.bob, _one_leaf(_odd(mode))), (3,), "tree.entry"
    )


@pytest.mark.parametrize(
    "mode", [b"100664", b"0100644", b"040000", b"100600", b"777777", b"1", b"644"]
)
def test_modes_that_git_does_not_write_are_refused(target: Target, mode: bytes) -> None:
    target.must_refuse(target.bob, _with_data(target.bob, _one_leaf(_odd(mode))), (3, 5))


def test_gitlinks_are_refused(target: Target) -> None:
    link = _one_leaf(lambda emit: [(b"160000", b"sub", b"\x11" * 20)])
    target.must_refuse(target.bob, _with_data(target.bob, link), (3,), "tree.entry")


@pytest.mark.parametrize("name", [b".gitmodules", b".gitattributes", b".gitignore", b".mailmap"])
@pytest.mark.parametrize("place", ["data", "root"])
def test_files_that_git_acts_upon_are_refused(target: Target, name: bytes, place: str) -> None:
    if place == "data":
        forged = _with_data(target.bob, _one_leaf(_blob_named(name)))
    else:
        forged = _with_data(target.bob, _one_leaf(lambda emit: []), _blob_named(name))
    target.must_refuse(target.bob, forged, (4,) if (name, place) == (b".mailmap", "data") else (3,))


@pytest.mark.parametrize("mode", [b"40000", b"100644"])
@pytest.mark.parametrize("name", [b"extra", b"chunks", b"DATA", b"live", b"data2"])
def test_stray_paths_beside_data_and_meta_are_refused(
    target: Target, name: bytes, mode: bytes
) -> None:
    def others(emit: Emit) -> list[Entry]:
        inner = emit(BLOB, b"x")
        return [
            (mode, name, bytes(emit(TREE, b"100644 a\0" + inner) if mode == b"40000" else inner))
        ]

    target.must_refuse(
        target.bob, _with_data(target.bob, _one_leaf(lambda emit: []), others), (3,), "tree.entry"
    )


def test_an_empty_map_that_is_not_left_out_is_refused(target: Target) -> None:
    target.must_refuse(
        target.bob, _with_data(target.bob, lambda emit: emit(TREE, b"")), (8,), "tree.shape"
    )


def test_a_blob_where_a_tree_belongs_is_refused_and_so_is_the_reverse(target: Target) -> None:
    target.must_refuse(
        target.bob,
        _with_data(target.bob, lambda emit: emit(BLOB, b"no tree")),
        (5,),
        "pack.refused",
    )
    swapped = _one_leaf(lambda emit: [(b"100644", b"odd", bytes(emit(TREE, b"")))])
    target.must_refuse(target.bob, _with_data(target.bob, swapped), (5, 8))


def test_a_value_that_nobody_has_is_refused(target: Target) -> None:
    missing = _one_leaf(lambda emit: [(b"100644", b"lost", b"\x22" * 20)])
    target.must_refuse(target.bob, _with_data(target.bob, missing), (5, 8))


# --- bombs
# --------------------------------------------------------------------------------------------------


def _bomb(emit: Emit) -> Oid:
    """10^10 paths in eleven objects."""
    oid = emit(TREE, _tree([(b"100644", b"f%d" % n, bytes(emit(BLOB, b"f"))) for n in range(10)]))
    for _ in range(9):
        oid = emit(TREE, _tree([(b"40000", b"d%d!" % n, bytes(oid)) for n in range(10)]))
    return oid


def _deep(emit: Emit) -> Oid:
    oid = emit(TREE, b"100644 leaf\0" + emit(BLOB, b"x"))
    for _ in range(20_000):
        oid = emit(TREE, b"40000 leaf!\0" + oid)
    return oid


def _wide(emit: Emit) -> Oid:
    blob = bytes(emit(BLOB, b"x"))
    return emit(TREE, _tree([(b"100644", b"%06d" % n, blob) for n in range(60_000)]))


@pytest.mark.parametrize("who", ["bob", "carol"])
@pytest.mark.parametrize("bomb", [_bomb, _deep, _wide])
def test_bombs_are_refused_in_bounded_time_whoever_sends_them(
    target: Target, bomb: Callable[[Emit], Oid], who: str
) -> None:
    forge = target.bob if who == "bob" else target.carol
    codes = (3,) if who == "bob" else (3, 8)
    target.must_refuse(forge, _with_data(forge, bomb), codes)


def test_a_bomb_in_the_index_is_refused(target: Target) -> None:
    def trees(plan: Plan, emit: Emit) -> Plan:
        return plan._replace(index_tree=emit(TREE, b"40000 live\0" + _bomb(emit)))

    target.must_refuse(
        target.bob, target.bob.transaction({b"carol:key": Put(b"v")}, Bend(trees=trees)), (3, 8)
    )


# --- shape
# --------------------------------------------------------------------------------------------------


def _nodes_of(entries: list[Entry], sizes: list[int]) -> Callable[[Emit], Oid]:
    """A data tree of two levels, cut as told."""

    def make(emit: Emit) -> Oid:
        top: list[Entry] = []
        rest = entries
        for size in sizes:
            node, rest = rest[:size], rest[size:]
            top.append((b"40000", node[0][1] + b"!", bytes(emit(TREE, _tree(node)))))
        assert not rest
        return emit(TREE, _tree(top))

    return make


def _canonical_sizes(entries: list[Entry]) -> list[int]:
    sizes = [0]
    for _, name, _ in entries:
        if sizes[-1] >= 512 or (sizes[-1] >= 8 and is_low(0, name)):
            sizes.append(0)
        sizes[-1] += 1
    return sizes


def _set_one(entries: list[Entry], emit: Emit) -> list[Entry]:
    return [
        (mode, name, bytes(emit(BLOB, b"v")) if name == b"carol:0001" else oid)
        for mode, name, oid in entries
    ]


@pytest.mark.parametrize(
    "split",
    ["one cut too many", "one cut missing", "shifted", "one leaf for all", "a level too many"],
)
def test_a_node_split_of_ones_own_is_refused(target: Target, split: str) -> None:
    entries = target.entries()
    sizes = _canonical_sizes(entries)
    assert len(sizes) > 3
    wrong = {
        "one cut too many": [sizes[0] - 9, 9, *sizes[1:]]
        if sizes[0] > 17
        else [*sizes[:-1], sizes[-1] - 1, 1],
        "one cut missing": [sizes[0] + sizes[1], *sizes[2:]],
        "shifted": [sizes[0] - 1, sizes[1] + 1, *sizes[2:]],
        "one leaf for all": [len(entries)],
        "a level too many": sizes,
    }[split]

    def make(emit: Emit) -> Oid:
        oid = _nodes_of(_set_one(entries, emit), wrong)(emit)
        return (
            emit(TREE, b"40000 " + entries[0][1] + b"!\0" + oid)
            if split == "a level too many"
            else oid
        )

    def trees(plan: Plan, emit: Emit) -> Plan:
        return plan._replace(ledger_tree=emit(TREE, b"40000 data\0" + make(emit)))

    forged = target.bob.transaction({b"carol:0001": Put(b"v")}, Bend(trees=trees))
    target.must_refuse(target.bob, forged, (8,), "tree.shape")


def test_an_inner_name_that_is_not_the_first_below_it_is_refused(target: Target) -> None:
    entries = target.entries()
    sizes = _canonical_sizes(entries)

    def trees(plan: Plan, emit: Emit) -> Plan:
        below = _set_one(entries, emit)
        top, rest = [], below
        for size in sizes:
            node, rest = rest[:size], rest[size:]
            name = node[0][1] if len(top) != 1 else below[sizes[0] - 1][1] + b"+"
            top.append((b"40000", name + b"!", bytes(emit(TREE, _tree(node)))))
        return plan._replace(ledger_tree=emit(TREE, b"40000 data\0" + emit(TREE, _tree(top))))

    forged = target.bob.transaction({b"carol:0001": Put(b"v")}, Bend(trees=trees))
    target.must_refuse(target.bob, forged, (8,), "tree.shape")


def test_an_index_cut_in_a_way_of_its_own_is_refused(target: Target) -> None:
    def trees(plan: Plan, emit: Emit) -> Plan:
        target.bob.transaction(
            {b"carol:0001": Put(b"v")}
        )  # the forge remembers the honest index, which is this plan's
        items = list(open_index(plan.index_tree, target.bob.load).live.scan())
        names, lines = [name for name, _ in items], [line for _, line in items]
        half = len(lines) // 2
        top = b"".join(
            b"100644 " + names[at] + b"!\0" + emit(BLOB, b"".join(part))
            for at, part in ((0, lines[:half]), (half, lines[half:]))
        )
        return plan._replace(index_tree=emit(TREE, b"40000 live\0" + emit(TREE, top)))

    forged = target.bob.transaction({b"carol:0001": Put(b"v")}, Bend(trees=trees))
    target.must_refuse(target.bob, forged, (8,))


def test_a_writer_of_a_prefix_who_rewrites_nodes_outside_of_it_is_refused(target: Target) -> None:
    """Same names and values, other cuts: nothing changed outside the prefix, and yet every id
    did.
    """
    entries = target.entries()
    sizes = _canonical_sizes(entries)
    wrong = [*sizes[:-2], sizes[-2] + sizes[-1]]

    def trees(plan: Plan, emit: Emit) -> Plan:
        return plan._replace(
            ledger_tree=emit(
                TREE, b"40000 data\0" + _nodes_of(_set_one(entries, emit), wrong)(emit)
            )
        )

    forged = target.carol.transaction({b"carol:0001": Put(b"v")}, Bend(trees=trees))
    target.must_refuse(target.carol, forged, (8,), "tree.shape")


def test_good_transactions_of_both_writers_are_taken(target: Target) -> None:
    """Or everything above proves nothing."""
    with Forge(target.world, target.world.person("carol")) as carol:
        assert carol.push(carol.transaction({b"carol:0002": Put(b"new")})).accepted
        assert_refused(
            carol.push(carol.transaction({b"other:0002": Put(b"new")})), 3, "prefix.not-owned"
        )
    target.before = settled(target.world)
