"""What every RefStore must do, over every adapter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitkv.errors import ConflictError
from gitkv.git.process import Git
from gitkv.git.ref_store import GitRefStore, PackedRefStore
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.ports import RefStore
from gitkv.testing.memory import MemoryRefStore

LEDGER = Ref(b"refs/kv/main")
INDEX = Ref(b"refs/kv-index/main")


@pytest.fixture
def commits(bare_repo: Path) -> list[Oid]:
    """Three real commits: git refuses refs to objects that are not there."""
    git = Git(str(bare_repo), env=os.environ)
    tree = git.run("hash-object", "-t", "tree", "-w", "--stdin").stdout.decode().strip()
    return [
        Oid(bytes.fromhex(git.run("commit-tree", "-m", f"commit {number}", tree).stdout.decode()))
        for number in range(3)
    ]


@pytest.fixture(params=["memory", "packed", "git"])
def store(request: pytest.FixtureRequest, bare_repo: Path) -> RefStore:
    if request.param == "memory":
        return MemoryRefStore()
    return (
        PackedRefStore(str(bare_repo))
        if request.param == "packed"
        else GitRefStore(Git(str(bare_repo), env=os.environ))
    )


def test_an_empty_store_has_no_refs(store: RefStore) -> None:
    assert store.read(LEDGER) is None
    assert store.read_all() == {}


def test_several_refs_appear_move_and_vanish_as_one(store: RefStore, commits: list[Oid]) -> None:
    store.move([RefUpdate(INDEX, ZERO_OID, commits[0]), RefUpdate(LEDGER, ZERO_OID, commits[1])])
    assert store.read_all() == {LEDGER: commits[1], INDEX: commits[0]}
    store.move([RefUpdate(LEDGER, commits[1], commits[2]), RefUpdate(INDEX, commits[0], ZERO_OID)])
    assert store.read_all() == {LEDGER: commits[2]}
    assert store.read(INDEX) is None


def test_stale_tip_is_refused_with_both_oids_and_nothing_moves(
    store: RefStore, commits: list[Oid]
) -> None:
    store.move([RefUpdate(LEDGER, ZERO_OID, commits[0])])
    with pytest.raises(ConflictError) as caught:
        store.move(
            [RefUpdate(INDEX, ZERO_OID, commits[0]), RefUpdate(LEDGER, commits[1], commits[2])]
        )
    assert (caught.value.expected, caught.value.actual) == (commits[1].hex(), commits[0].hex())
    assert store.read_all() == {LEDGER: commits[0]}


def test_a_ref_that_must_not_exist_yet_conflicts_when_it_does(
    store: RefStore, commits: list[Oid]
) -> None:
    store.move([RefUpdate(LEDGER, ZERO_OID, commits[0])])
    with pytest.raises(ConflictError):
        store.move([RefUpdate(LEDGER, ZERO_OID, commits[1])])
    with pytest.raises(ConflictError):
        store.move([RefUpdate(INDEX, commits[0], commits[1])])
    assert store.read_all() == {LEDGER: commits[0]}


def test_a_prefix_selects_by_bytes_not_by_folders(store: RefStore, commits: list[Oid]) -> None:
    refs = [
        Ref(b"refs/kv/main"),
        Ref(b"refs/kv/maintenance"),
        Ref(b"refs/kv-index/main"),
        Ref(b"refs/heads/main"),
    ]
    store.move([RefUpdate(ref, ZERO_OID, commits[0]) for ref in refs])
    assert set(store.read_all(b"refs/kv/")) == set(refs[:2])
    assert set(store.read_all(b"refs/kv/main")) == set(refs[:2])
    assert set(store.read_all(b"refs/kv/maint")) == {refs[1]}
    assert set(store.read_all(b"refs/kv")) == set(refs[:3])
    assert store.read(Ref(b"refs/kv/mai")) is None


def test_a_ref_below_a_ref_is_refused(store: RefStore, commits: list[Oid]) -> None:
    store.move([RefUpdate(LEDGER, ZERO_OID, commits[0])])
    with pytest.raises(ConflictError):
        store.move([RefUpdate(Ref(LEDGER + b"/x"), ZERO_OID, commits[0])])
    with pytest.raises(ConflictError):
        store.move([RefUpdate(Ref(b"refs/kv"), ZERO_OID, commits[0])])


@pytest.mark.parametrize("name", [b"refs/kv/a\nrefs/kv/b", b"refs/kv/a b", b"HEAD", b"kv/main"])
def test_a_name_that_could_forge_a_line_never_reaches_the_file(
    store: RefStore, commits: list[Oid], name: bytes
) -> None:
    with pytest.raises(ValueError):
        store.move([RefUpdate(Ref(name), ZERO_OID, commits[0])])
    assert store.read_all() == {}


def test_the_same_ref_twice_in_one_move_is_refused(store: RefStore, commits: list[Oid]) -> None:
    with pytest.raises((ValueError, ConflictError)):
        store.move(
            [RefUpdate(LEDGER, ZERO_OID, commits[0]), RefUpdate(LEDGER, ZERO_OID, commits[1])]
        )
    assert store.read_all() == {}
