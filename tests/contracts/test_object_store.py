"""What every ObjectStore must do, over every adapter."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.errors import IntegrityError
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.model.oid import BLOB, COMMIT, TREE, Oid, hash_object
from gitkv.ports import ObjectStore
from gitkv.testing.memory import MemoryObjectStore

ABSENT = hash_object(BLOB, b"nobody ever stored this")


class Filled(NamedTuple):
    store: ObjectStore
    add: Callable[[bytes, bytes], Oid]


@pytest.fixture(params=["memory", "git"])
def filled(request: pytest.FixtureRequest, bare_repo: Path) -> Iterator[Filled]:
    if request.param == "memory":
        memory = MemoryObjectStore()
        yield Filled(memory, memory.add)
        return

    def add(kind: bytes, body: bytes) -> Oid:
        command = [
            "git",
            f"--git-dir={bare_repo}",
            "hash-object",
            "-w",
            "-t",
            kind.decode(),
            "--stdin",
        ]
        return Oid(
            bytes.fromhex(
                subprocess.run(command, input=body, capture_output=True, check=True).stdout.decode()
            )
        )

    with GitObjectStore(Git(str(bare_repo), env=os.environ)) as store:
        yield Filled(store, add)


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"a\nb\x00c\xff", b"blob 3\n" * 3, os.urandom(300_000)], ids=len
)
def test_a_body_comes_back_byte_for_byte(filled: Filled, body: bytes) -> None:
    oid = filled.add(BLOB, body)
    assert filled.store.read(oid, BLOB) == body
    assert list(filled.store.sizes([oid])) == [len(body)]


def test_a_tree_is_read_as_a_tree_again_and_again(filled: Filled) -> None:
    tree = filled.add(TREE, b"100644 name\x00" + filled.add(BLOB, b"x"))
    assert filled.store.read(tree, TREE) == filled.store.read(tree, TREE)
    with pytest.raises(IntegrityError, match="expected a commit, got a tree"):
        filled.store.read(tree, COMMIT)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_a_body_comes_in_pieces_that_are_never_large(filled: Filled, size: int) -> None:
    body = os.urandom(size)
    pieces = list(filled.store.read_pieces(filled.add(BLOB, body), BLOB))
    assert b"".join(pieces) == body
    assert all(len(piece) <= 1 << 20 for piece in pieces)


def test_pieces_of_what_is_missing_or_of_another_kind_are_refused_at_once(filled: Filled) -> None:
    tree = filled.add(TREE, b"")
    for oid, told in ((ABSENT, ABSENT.hex()), (tree, "expected a blob, got a tree")):
        with pytest.raises(IntegrityError, match=told):
            next(filled.store.read_pieces(oid, BLOB))


def test_the_store_answers_while_pieces_are_read_and_after_they_were_left(filled: Filled) -> None:
    large, small = filled.add(BLOB, os.urandom(3_000_000)), filled.add(BLOB, b"small")
    pieces = filled.store.read_pieces(large, BLOB)
    assert len(next(pieces)) == 1 << 20
    assert filled.store.read(small, BLOB) == b"small"
    pieces.close()
    assert filled.store.read(small, BLOB) == b"small"


def test_a_missing_object_is_an_integrity_error_and_the_store_still_works(filled: Filled) -> None:
    here = filled.add(BLOB, b"here")
    with pytest.raises(IntegrityError, match=ABSENT.hex()):
        filled.store.read(ABSENT, BLOB)
    with pytest.raises(IntegrityError, match=ABSENT.hex()):
        list(filled.store.sizes([here, ABSENT, here]))
    assert filled.store.read(here, BLOB) == b"here"


def test_an_object_of_another_kind_is_an_integrity_error(filled: Filled) -> None:
    blob = filled.add(BLOB, b"not a tree")
    with pytest.raises(IntegrityError, match="expected a tree, got a blob"):
        filled.store.read(blob, TREE)
    with pytest.raises(IntegrityError):
        list(filled.store.read_many([blob], COMMIT))


def test_many_come_in_the_order_asked_with_repeats(filled: Filled) -> None:
    oids = [filled.add(BLOB, b"%d" % number) for number in range(40)]
    asked = [*reversed(oids), oids[3], oids[3]]
    assert list(filled.store.read_many(iter(asked), BLOB)) == [
        b"%d" % n for n in reversed(range(40))
    ] + [b"3", b"3"]
    assert list(filled.store.sizes(iter(asked))) == [
        len(b"%d" % n) for n in reversed(range(40))
    ] + [1, 1]


def test_reading_between_two_steps_of_read_many_mixes_nothing_up(filled: Filled) -> None:
    oids = [filled.add(BLOB, b"value %d" % number) for number in range(70)]
    for number, body in enumerate(filled.store.read_many(oids, BLOB)):
        assert body == b"value %d" % number
        assert filled.store.read(oids[69 - number], BLOB) == b"value %d" % (69 - number)


def test_an_abandoned_read_many_leaves_the_store_in_step(filled: Filled) -> None:
    oids = [filled.add(BLOB, b"value %d" % number) for number in range(70)]
    assert next(iter(filled.store.read_many(oids, BLOB))) == b"value 0"
    assert filled.store.read(oids[5], BLOB) == b"value 5"


def test_a_missing_object_among_many_is_found(filled: Filled) -> None:
    here = filled.add(BLOB, b"here")
    with pytest.raises(IntegrityError, match=ABSENT.hex()):
        list(filled.store.read_many([here, ABSENT, here], BLOB))
    assert filled.store.has(here)
    assert not filled.store.has(ABSENT)


def test_an_abbreviated_id_is_expanded_when_it_is_the_only_one(filled: Filled) -> None:
    oid = filled.add(BLOB, b"one of a kind")
    assert filled.store.expand(oid.hex()[:12]) == oid
    assert filled.store.expand("0123456789ab") is None
