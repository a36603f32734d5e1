"""What every Host keeps: what was written down in a place is known there; packs are few again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.git.host import GitHost
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.git.ref_store import PackedRefStore
from gitkv.model.oid import Oid
from gitkv.model.refs import Namespace, Ref
from gitkv.ports import Host
from gitkv.testing.memory_gateway import MemoryHost

CONFIRMED = {Ref(b"refs/kv/main"): Oid(b"\x01" * 20)}


class Hosted(NamedTuple):
    """`crowd`: there are several packs from now on; `put_back`: a backup takes its place."""

    host: Host
    crowd: Callable[[], None]
    put_back: Callable[[], None]


def _of_git(git_dir: Path, stack: ExitStack) -> Hosted:
    (git_dir / "kv").mkdir()
    git, refs = Git(str(git_dir), env=os.environ), PackedRefStore(str(git_dir))
    objects = stack.enter_context(GitObjectStore(git))
    stack.callback(refs.close)

    def crowd() -> None:
        for number in range(4):
            line = ["git", "hash-object", "-w", "--stdin"]
            body = b"%d" % number
            oid = subprocess.run(line, cwd=git_dir, input=body, check=True, capture_output=True)
            line = ["git", "pack-objects", "-q", "objects/pack/pack"]
            subprocess.run(line, cwd=git_dir, input=oid.stdout, check=True, capture_output=True)

    def put_back() -> None:
        copy = git_dir.with_name("copy")
        shutil.copytree(git_dir, copy)
        shutil.rmtree(git_dir)
        shutil.copytree(copy, git_dir)

    return Hosted(GitHost(git, objects, refs), crowd, put_back)


def _in_memory() -> Hosted:
    host = MemoryHost("memory", [Namespace("main")])
    crowd, put_back = lambda: setattr(host, "packs", 4), lambda: setattr(host, "confirmed", None)
    return Hosted(host, crowd, put_back)


@pytest.fixture(params=["git", "memory"])
def hosted(request: pytest.FixtureRequest, bare_repo: Path) -> Iterator[Hosted]:
    with ExitStack() as stack:
        yield _of_git(bare_repo, stack) if request.param == "git" else _in_memory()


def test_what_was_written_down_is_known_in_this_place_only(hosted: Hosted) -> None:
    assert hosted.host.remembered() is None
    hosted.host.remember({})
    hosted.host.remember(CONFIRMED)
    assert hosted.host.remembered() == CONFIRMED
    hosted.put_back()
    assert hosted.host.remembered() is None


def test_packs_are_rolled_up(hosted: Hosted) -> None:
    hosted.crowd()
    before = hosted.host.pack_count()
    assert before >= 4
    hosted.host.roll_up()
    assert hosted.host.pack_count() == 1


def test_a_place_that_is_in_order_shows_nothing_to_tidy(hosted: Hosted) -> None:
    hosted.host.check_view()
    assert hosted.host.unlock() == []
    assert hosted.host.sweep_drafts() == [] and hosted.host.sweep_quarantine() == []
