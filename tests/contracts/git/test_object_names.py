"""Names that the cat-file child looks up, and packs that are stored while the caller goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.git.ancestry import is_ancestor
from gitkv.git.local_pack import UNPACK_OBJECTS_MAX, PackStoring, store_pack
from gitkv.git.object_store import GitObjectStore
from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.model.oid import BLOB, EMPTY_TREE, TREE, ZERO_OID, Oid, hash_object


@pytest.fixture
def git(bare_repo: Path) -> Git:
    return Git(str(bare_repo), env=os.environ)


def _pack(git: Git, count: int):
    writer = PackWriter(git.git_dir)
    return [writer.add(BLOB, b"%d" % number) for number in range(count)], writer.finish()


@pytest.mark.parametrize("count", [1, UNPACK_OBJECTS_MAX, UNPACK_OBJECTS_MAX + 1, 5000])
def test_a_stored_pack_can_be_read_and_only_a_large_one_stays_a_pack(git: Git, count: int) -> None:
    oids, pack = _pack(git, count)
    store_pack(git, pack)
    packs = [
        name
        for name in os.listdir(os.path.join(git.git_dir, "objects", "pack"))
        if name.endswith(".pack")
    ]
    assert len(packs) == (count > UNPACK_OBJECTS_MAX)
    with GitObjectStore(git) as store:
        assert [store.read(oid, BLOB) for oid in oids[:3]] == [b"0", b"1", b"2"][:count]


def test_a_pack_that_git_refuses_is_an_error_with_gits_words(git: Git) -> None:
    _, pack = _pack(git, 3)
    pack.trailer = bytes(20)
    with (
        PackStoring(git, pack) as storing,
        pytest.raises(ToolError, match="could not store"),
    ):
        storing.finish()


def test_names_are_resolved_in_order_and_what_is_missing_is_none(git: Git) -> None:
    git.run("hash-object", "-t", "tree", "-w", "--stdin")
    commit = (
        git.run(
            "-c", "user.name=a", "-c", "user.email=b@c", "commit-tree", "-m", "x", EMPTY_TREE.hex()
        )
        .stdout.decode()
        .strip()
    )
    git.run("update-ref", "refs/kv/main", commit)
    oid = Oid(bytes.fromhex(commit))
    with GitObjectStore(git) as store:
        assert store.resolve(
            ["refs/kv/main", "refs/kv/none", commit[:9], "refs/kv/main:file", "refs/kv/main:"]
        ) == [
            oid,
            None,
            oid,
            None,
            EMPTY_TREE,
        ]
        assert store.resolve(["no such name", "refs/kv/main"]) == [None, oid]
        assert store.resolve([]) == []
        with pytest.raises(ValueError, match="line break"):
            store.resolve(["refs/kv/main\nrefs/kv/main"])


def test_an_ambiguous_abbreviation_is_no_object_and_does_not_disturb_the_next_answer(
    git: Git,
) -> None:
    seen: dict[str, bytes] = {}
    bodies: list[bytes] = []
    for number in range(100_000):
        body = b"%d" % number
        short = hash_object(BLOB, body).hex()[:7]
        if short in seen:
            bodies = [seen[short], body]
            break
        seen[short] = body
    for body in bodies:
        git.run("hash-object", "-w", "--stdin", stdin=body)
    whole = hash_object(BLOB, bodies[0])
    with GitObjectStore(git) as store:
        assert store.resolve([whole.hex()[:7], whole.hex()]) == [None, whole]


def test_ancestry_of_something_that_is_not_here_is_an_error_and_not_a_no(git: Git) -> None:
    git.run("hash-object", "-t", TREE.decode(), "-w", "--stdin")
    with pytest.raises(ToolError):
        is_ancestor(git, ZERO_OID, EMPTY_TREE)
