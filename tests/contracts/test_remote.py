"""What every Remote keeps: refs move there all or none and never back, and what is not told is not
believed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.errors import UnavailableError
from gitkv.git.process import Git
from gitkv.git.remote import GitRemote
from gitkv.model.commit import Identity, commit_payload
from gitkv.model.oid import COMMIT, EMPTY_TREE, Oid
from gitkv.model.refs import Ref
from gitkv.ports import PUSHED, REJECTED, UP_TO_DATE, Remote
from gitkv.testing.memory import MemoryObjectStore
from gitkv.testing.memory_gateway import MemoryHistory, MemoryRemote

A, B = Ref(b"refs/kv/main"), Ref(b"refs/kv-index/main")


class Mirrored(NamedTuple):
    """`cut`: it cannot be reached from now on."""

    remote: Remote
    add: Callable[[bytes, bytes], Oid]
    cut: Callable[[], None]

    def commit(self, *parents: Oid) -> Oid:
        who = Identity("A", "a@example.com", 1).line()
        message = b"commit %d\n" % len(parents)
        return self.add(COMMIT, commit_payload(EMPTY_TREE, parents, who, message))


@pytest.fixture(params=["git", "memory"])
def mirrored(request: pytest.FixtureRequest, bare_repo: Path, tmp_path: Path) -> Mirrored:
    if request.param == "memory":
        objects = MemoryObjectStore()
        remote = MemoryRemote(MemoryHistory(objects))
        return Mirrored(remote, objects.add, lambda: setattr(remote, "is_up", False))
    mirror = tmp_path / "their.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(mirror)], check=True)

    def add(kind: bytes, body: bytes) -> Oid:
        line = ["git", "hash-object", "-w", "-t", kind.decode(), "--stdin"]
        done = subprocess.run(line, cwd=bare_repo, input=body, capture_output=True, check=True)
        return Oid(bytes.fromhex(done.stdout.decode()))

    git = Git(str(bare_repo), env=os.environ)
    return Mirrored(GitRemote(git, str(mirror)), add, lambda: shutil.rmtree(mirror))


def test_refs_move_there_and_are_listed(mirrored: Mirrored) -> None:
    first = mirrored.commit()
    second = mirrored.commit(first)
    assert mirrored.remote.refs() == {}
    told = mirrored.remote.push({A: first, B: first})
    assert {status.state for status in told.values()} == {PUSHED} and set(told) == {A, B}
    told = mirrored.remote.push({A: second, B: first})
    assert (told[A].state, told[B].state) == (PUSHED, UP_TO_DATE)
    assert mirrored.remote.refs() == {A: second, B: first}


def test_a_ref_that_would_go_back_moves_none(mirrored: Mirrored) -> None:
    first = mirrored.commit()
    second = mirrored.commit(first)
    mirrored.remote.push({A: second, B: first})
    told = mirrored.remote.push({A: first, B: second})
    assert told[A].state == REJECTED and "atomic" not in told[A].reason
    assert told[B].state not in (PUSHED, UP_TO_DATE)
    assert mirrored.remote.refs() == {A: second, B: first}


def test_what_cannot_be_reached_is_unavailable(mirrored: Mirrored) -> None:
    first = mirrored.commit()
    mirrored.cut()
    with pytest.raises(UnavailableError):
        mirrored.remote.refs(timeout_s=10.0)
    with pytest.raises(UnavailableError):
        mirrored.remote.push({A: first}, timeout_s=10.0)
