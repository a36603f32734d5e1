"""What every History tells: parents decide, not dates or names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.errors import ToolError
from gitkv.git.ancestry import GitHistory
from gitkv.git.process import Git
from gitkv.model.commit import Identity, commit_payload
from gitkv.model.oid import BLOB, COMMIT, EMPTY_TREE, TREE, Oid
from gitkv.ports import History
from gitkv.testing.memory import MemoryObjectStore
from gitkv.testing.memory_gateway import MemoryHistory


class Past(NamedTuple):
    history: History
    add: Callable[[bytes, bytes], Oid]

    def commit(self, tree: Oid, *parents: Oid, time_s: int = 1) -> Oid:
        who = Identity("A", "a@example.com", time_s).line()
        return self.add(COMMIT, commit_payload(tree, parents, who, b"a commit\n"))


@pytest.fixture(params=["git", "memory"])
def past(request: pytest.FixtureRequest, bare_repo: Path) -> Past:
    if request.param == "memory":
        objects = MemoryObjectStore()
        return Past(MemoryHistory(objects), objects.add)

    def add(kind: bytes, body: bytes) -> Oid:
        line = ["git", "hash-object", "-w", "-t", kind.decode(), "--stdin"]
        done = subprocess.run(line, cwd=bare_repo, input=body, capture_output=True, check=True)
        return Oid(bytes.fromhex(done.stdout.decode()))

    return Past(GitHistory(Git(str(bare_repo), env=os.environ)), add)


def test_a_line_is_told_newest_first_and_by_parents(past: Past) -> None:
    first = past.commit(EMPTY_TREE, time_s=300)  # a clock that went back
    second = past.commit(EMPTY_TREE, first, time_s=200)
    third = past.commit(EMPTY_TREE, second, time_s=100)
    assert list(past.history.commits_back(third)) == [third, second, first]
    assert list(past.history.commits_back(first)) == [first]


def test_who_is_an_ancestor_of_whom(past: Past) -> None:
    first = past.commit(EMPTY_TREE)
    second, other = past.commit(EMPTY_TREE, first), past.commit(EMPTY_TREE, first, time_s=2)
    assert past.history.is_ancestor(first, second) and past.history.is_ancestor(second, second)
    assert not past.history.is_ancestor(second, first)
    assert not past.history.is_ancestor(other, second)


def test_what_is_not_here_is_an_error_and_no_answer(past: Past) -> None:
    first, absent = past.commit(EMPTY_TREE), Oid(b"\x01" * 20)
    with pytest.raises(ToolError):
        past.history.is_ancestor(absent, first)
    with pytest.raises(ToolError):
        list(past.history.commits_back(absent))


def test_everything_that_commits_reach_is_told_once(past: Past) -> None:
    old, new = past.add(BLOB, b"old"), past.add(BLOB, b"new")
    inner = past.add(TREE, b"100644 a\0" + old)
    before = past.add(TREE, b"40000 in\0" + inner)
    after = past.add(TREE, b"40000 in\0" + inner + b"100644 z\0" + new)
    first = past.commit(before)
    second = past.commit(after, first)
    told = list(past.history.reachable([second, first]))
    assert sorted(told) == sorted([first, second, before, after, inner, old, new])
