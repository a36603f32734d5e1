"""An older state that is put back never serves a fork: what the mirror knows, or what this
directory remembers, holds its writes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.gateway import Gateway

from gitkv.errors import UnavailableError
from gitkv.git.process import Git


def _mirrored(gateway: Gateway) -> None:
    assert gateway.watch.push_once().state in ("pushed", "current")


@pytest.fixture
def served(gateway: Gateway) -> Gateway:
    """One that has served, with its state on the mirror."""
    gateway.restart()
    assert gateway.push().verdict.accepted
    _mirrored(gateway)
    return gateway


class Backup:
    """A copy of the repository as a file-level backup makes it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._copy = gateway, gateway.root / "backup"
        shutil.copytree(gateway.git_dir, self._copy, symlinks=True)

    def restore(self) -> None:
        shutil.rmtree(self._gateway.git_dir)
        shutil.copytree(self._copy, self._gateway.git_dir, symlinks=True)

    def restore_refs(self) -> None:
        """Only what is below version control: the gateway's own folder stays."""
        shutil.copy(self._copy / "packed-refs", self._gateway.git_dir / "packed-refs")


def _assert_held(gateway: Gateway, word: str) -> None:
    before = gateway.refs()
    with pytest.raises(UnavailableError, match=word) as caught:
        gateway.push()
    assert caught.value.retry == "later" and caught.value.exit_code == 5
    assert gateway.refs() == before
    [told] = gateway.names("writes.held")[-1:]
    assert word in str(told["why"]) and "backup.md" in str(told["hint"])


def _hide(mirror: Path) -> Path:
    return mirror.rename(mirror.with_name("away.git"))


def test_an_older_state_takes_no_write_while_the_mirror_is_ahead(served: Gateway) -> None:
    backup = Backup(served)
    assert served.push().verdict.accepted
    _mirrored(served)
    newest = served.refs(served.mirror)
    backup.restore()
    served.restart()
    _assert_held(served, "refs/kv/main")
    assert served.watch.push_once().state == "current"
    assert served.watch.look_once().state == "diverged"
    assert served.refs(served.mirror) == newest


def test_it_serves_again_once_it_was_brought_up_to_the_mirror(served: Gateway) -> None:
    backup = Backup(served)
    assert served.push().verdict.accepted
    _mirrored(served)
    newest = served.refs()
    backup.restore()
    served.restart()
    git = served.git
    names = ("refs/heads/main", "refs/kv/*", "refs/kv-index/*", "refs/kv-watchlog/*")
    git.run("fetch", "--quiet", str(served.mirror), *(f"{name}:{name}" for name in names))
    git.run("update-ref", "refs/kv-audited/main", "refs/kv-watchlog/main@e1")
    git.run("pack-refs", "--all", "--prune")
    served.restart()
    assert served.stargate.gate.tip is not None and served.push().verdict.accepted
    assert served.refs()["refs/heads/main"] == newest["refs/heads/main"]
    _mirrored(served)


def test_a_restored_directory_takes_no_write_while_the_mirror_is_away(served: Gateway) -> None:
    """Even when it is the newest state: nobody can tell."""
    backup = Backup(served)
    backup.restore()
    away = _hide(served.mirror)
    served.restart()
    _assert_held(served, "cannot be reached")
    away.rename(served.mirror)
    assert served.watch.look_once().state == "current"
    assert served.push().verdict.accepted


def test_the_same_directory_writes_on_while_the_mirror_is_away(served: Gateway) -> None:
    _hide(served.mirror)
    served.restart()
    assert served.push().verdict.accepted
    assert served.names("mirror.unseen")
    served.restart()
    assert served.push().verdict.accepted, "accepted since, and not on the mirror yet"


def test_older_refs_in_the_same_directory_take_no_write_while_the_mirror_is_away(
    served: Gateway,
) -> None:
    backup = Backup(served)
    assert served.push().verdict.accepted
    _mirrored(served)
    backup.restore_refs()
    _hide(served.mirror)
    served.restart()
    _assert_held(served, "cannot be reached")


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"place":[1,2],"refs":{}}'])
def test_a_record_that_is_lost_or_torn_proves_nothing(
    served: Gateway, content: bytes | None
) -> None:
    path = served.git_dir / "kv" / "confirmed.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    _hide(served.mirror)
    served.restart()
    _assert_held(served, "cannot be reached")


def test_a_mirror_that_was_never_ours_holds_writes_at_start_and_names_the_ref(
    served: Gateway,
) -> None:
    tree = served.git.run("rev-parse", "refs/kv/main^{tree}").stdout.decode().strip()
    git = Git(str(served.mirror), env=served.env)
    foreign = git.run("commit-tree", tree, "-m", "not ours").stdout.decode().strip()
    git.run("update-ref", "refs/kv-index/main", foreign)
    served.restart()
    _assert_held(served, "refs/kv-index/main")


def test_an_empty_mirror_in_place_of_a_lost_one_is_filled(served: Gateway) -> None:
    before = served.refs(served.mirror)
    shutil.rmtree(served.mirror)
    served.git.run("init", "--quiet", "--bare", "--end-of-options", str(served.mirror))
    served.restart()
    assert served.push().verdict.accepted
    _mirrored(served)
    assert served.refs(served.mirror).keys() == before.keys()
