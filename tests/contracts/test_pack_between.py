"""What a writer lacks comes as one thin pack, and completes its repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.git.pack_between import pack_between
from gitkv.git.process import Git
from gitkv.model.oid import Oid, parse_oid


def _git(folder: Path, *args: str, stdin: bytes = b"") -> bytes:
    command = ["git", "-C", str(folder), *args]
    return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout


def _commit(folder: Path, value: str) -> Oid:
    (folder / "value").write_text(value)
    _git(folder, "add", "value")
    _git(folder, "commit", "-qm", value)
    return parse_oid(_git(folder, "rev-parse", "HEAD").strip())


@pytest.fixture
def line(tmp_path: Path) -> tuple[Path, list[Oid]]:
    folder = tmp_path / "server"
    folder.mkdir()
    _git(folder, "init", "-q")
    _git(folder, "config", "user.name", "a")
    _git(folder, "config", "user.email", "a@example.com")
    return folder, [_commit(folder, f"{number} {'x' * 4000}") for number in range(4)]


def test_the_pack_completes_a_repository_that_has_the_former_commit(
    tmp_path: Path, line: tuple[Path, list[Oid]]
) -> None:
    server, commits = line
    clone = tmp_path / "clone"
    clone.mkdir()
    _git(clone, "init", "-q")
    _git(clone, "fetch", "-q", str(server), commits[1].hex())
    pack = pack_between(
        Git(str(server / ".git"), env=os.environ), commits[:2], commits[3:], 1 << 20
    )
    _git(clone, "unpack-objects", "-q", "--strict", stdin=pack)
    _git(clone, "update-ref", "refs/heads/main", commits[3].hex())
    _git(clone, "fsck", "--strict")
    assert _git(clone, "show", "main:value").startswith(b"3 ")


def test_what_would_be_too_large_is_left_to_a_fetch(line: tuple[Path, list[Oid]]) -> None:
    server, commits = line
    git = Git(str(server / ".git"), env=os.environ)
    assert pack_between(git, [], commits, 200) == b""


def test_a_commit_that_is_not_there_is_an_error(line: tuple[Path, list[Oid]]) -> None:
    server, _ = line
    with pytest.raises(ToolError, match="pack-objects"):
        pack_between(Git(str(server / ".git"), env=os.environ), [], [Oid(b"\1" * 20)], 1 << 20)
