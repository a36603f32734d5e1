"""Objects by their ids, and histories without blobs, from stock git hosts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitkv.git.object_store import GitObjectStore
from gitkv.git.partial import NEVER_LAZY, ByIdError, fetch_objects
from gitkv.git.process import Git
from gitkv.model.oid import BLOB, TREE, Oid, hash_object

LARGE = b"large " * 1000


def _git(repo: Path, *args: str) -> str:
    env = os.environ | {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "A"), ("EMAIL", "a@example.invalid"))
    }
    done = subprocess.run(["git", *args], cwd=repo, env=env, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    repo = tmp_path / "host"
    subprocess.run(["git", "init", "--quiet", repo], check=True)
    for number in range(2):
        (repo / "large").write_bytes(LARGE + b"%d" % number)
        _git(repo, "add", ".")
        _git(repo, "commit", "--quiet", "-m", str(number))
    _git(repo, "config", "uploadpack.allowFilter", "true")
    return repo


def _clone(tmp_path: Path, host: Path) -> Git:
    repo = tmp_path / "clone.git"
    subprocess.run(["git", "init", "--quiet", "--bare", repo], check=True)
    subprocess.run(["git", "remote", "add", "origin", host], cwd=repo, check=True)
    return Git(str(repo), env=os.environ)


def _oid(host: Path, name: str) -> Oid:
    return Oid(bytes.fromhex(_git(host, "rev-parse", name)))


@pytest.mark.parametrize("is_named", [True, False])
def test_a_history_comes_without_blobs_and_blobs_come_by_id(
    tmp_path: Path, host: Path, is_named: bool
) -> None:
    git, head = _clone(tmp_path, host), _oid(host, "HEAD")
    remote = "origin" if is_named else f"file://{host}"
    before = (Path(git.git_dir) / "config").read_bytes()
    assert fetch_objects(git, remote, [head])
    blobs = [hash_object(BLOB, LARGE + b"%d" % number) for number in range(2)]
    with GitObjectStore(git.with_extra(NEVER_LAZY)) as objects:
        assert objects.has(_oid(host, "HEAD^{tree}"))
        assert list(objects.kinds(blobs)) == [None, None]
        fetch_objects(git, remote, blobs[:1])
    with GitObjectStore(git.with_extra(NEVER_LAZY)) as objects:
        assert list(objects.kinds(blobs)) == [BLOB, None]
        assert objects.read(blobs[0], BLOB) == LARGE + b"0"
    assert (Path(git.git_dir) / "config").read_bytes() == before, "no setting is left behind"


def test_a_host_without_filters_is_told_apart(tmp_path: Path, host: Path) -> None:
    _git(host, "config", "uploadpack.allowFilter", "false")
    git = _clone(tmp_path, host)
    assert not fetch_objects(git, "origin", [_oid(host, "HEAD")])
    with GitObjectStore(git) as objects:
        assert objects.has(hash_object(BLOB, LARGE + b"0"))


def test_a_host_of_the_old_protocol_that_gives_nothing_by_id_is_told_apart(
    tmp_path: Path, host: Path
) -> None:
    git = _clone(tmp_path, host)
    git.run("config", "protocol.version", "0")
    with pytest.raises(ByIdError):
        fetch_objects(git, "origin", [hash_object(BLOB, LARGE + b"0")])


def test_a_clone_whose_blobs_are_promised_passes_git_s_own_check(
    tmp_path: Path, host: Path
) -> None:
    git, head = _clone(tmp_path, host), _oid(host, "HEAD")
    fetch_objects(git, "origin", [head])
    git.run("config", "remote.origin.promisor", "true")
    git.run("update-ref", "refs/kv-chunks/main@e1", head.hex())
    quiet = git.with_extra(NEVER_LAZY)
    quiet.run("fsck", "--full", "--strict")
    quiet.run("gc", "--quiet", "--prune=now")
    with GitObjectStore(quiet) as objects:
        assert objects.has(_oid(host, "HEAD^{tree}"))
        assert list(objects.kinds([_oid(host, "HEAD^{tree}")])) == [TREE]
