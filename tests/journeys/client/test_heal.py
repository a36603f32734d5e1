"""A clone whose files a power cut has torn says so, and is healed from what it was cloned from."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gitkv import GitKvError, IntegrityError, Store
from gitkv.client.heal import heal
from gitkv.client.init import init_store
from gitkv.client.repair import repair, repair_source
from gitkv.errors import UsageError

Damage = Callable[[Path], None]


def _loose(git_dir: Path) -> list[Path]:
    return [path for path in (git_dir / "objects").glob("??/*") if path.is_file()]


def _empty_objects(git_dir: Path) -> None:
    for path in _loose(git_dir):
        path.chmod(0o644)
        path.write_bytes(b"")


def _torn_objects(git_dir: Path) -> None:
    for path in _loose(git_dir):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-3])


def _no_objects(git_dir: Path) -> None:
    for path in [*_loose(git_dir), *(git_dir / "objects" / "pack").iterdir()]:
        path.unlink()


def _no_packs(git_dir: Path) -> None:
    for path in (git_dir / "objects" / "pack").glob("*.pack"):
        path.unlink()


def _torn_packs(git_dir: Path) -> None:
    for path in (git_dir / "objects" / "pack").glob("*.pack"):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-30])


def _empty_refs(git_dir: Path) -> None:
    for path in (git_dir / "refs").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [_empty_objects, _torn_objects, _no_objects, _no_packs, _torn_packs, _empty_refs],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_a_damaged_clone_is_healed_by_repair(team, damage: Damage) -> None:
    alice = team.clone("alice")
    alice.update({f"k{at}": b"%d" % at for at in range(200)})
    alice.set("a", b"1")  # its objects stay loose, the ones before are a pack
    team.publish()
    alice.refresh()
    git_dir = team.root / "alice" / ".git"
    alice.close()
    assert _loose(git_dir) and list((git_dir / "objects" / "pack").glob("*.pack"))
    damage(git_dir)
    try:  # where only objects are gone, and refs name nothing, the next read fetches them again
        broken = team.open("alice")
        assert dict(broken.items()) and broken.set("b", b"2") and damage is _no_objects
    except GitKvError as error:
        assert "remote repair" in error.hint, error
    healed = team.open("alice", lambda text: None)
    repair(healed._replica, repair_source(healed._replica, "", ""))
    assert healed["a"] == b"1" and healed["k7"] == b"7"
    healed["after"] = b"1"
    team.git("fsck", "--strict", cwd=git_dir)


def test_a_whole_clone_is_left_as_it_is(team) -> None:
    alice = team.clone("alice")
    alice.set("a", b"1")
    team.publish()
    alice.refresh()
    assert list(heal(alice._replica, repair_source(alice._replica, "", ""))) == []


def _with_branches(team, name: str) -> Path:
    """A clone that is also somebody's own work: branches, a tag, of which `main` was pushed."""
    alice = team.clone(name)
    work = team.root / name
    (work / "code.txt").write_text("hello\n")
    team.git("add", "code.txt", cwd=work)
    team.git("commit", "--quiet", "-m", "mine", cwd=work)
    team.git("branch", "topic", cwd=work)
    team.git("tag", "-a", "-m", "first", "v1", cwd=work)
    alice.update({f"k{at}": b"%d" % at for at in range(50)})
    alice.set("a", b"1")
    team.publish()
    alice.refresh()
    alice.close()
    return work / ".git"


def _repair(team, name: str) -> list[str]:
    said: list[str] = []
    clone = team.open(name, said.append)
    repair(clone._replica, repair_source(clone._replica, "", ""))
    clone.close()
    return said


def test_a_clone_in_which_every_object_is_empty_is_healed_past_the_persons_own_branches(
    team,
) -> None:
    git_dir = _with_branches(team, "alice")
    mine = team.tip(git_dir, "refs/heads/main")
    _empty_objects(git_dir)
    _empty_files((git_dir / "objects" / "pack").iterdir())
    with pytest.raises(IntegrityError, match=r"refs/kv/main names [0-9a-f]{40}, which is not here"):
        team.open("alice").verify()
    said = _repair(team, "alice")
    healed = team.open("alice", lambda text: None)
    assert healed["a"] == b"1" and not healed.verify().reasons
    healed["after"] = b"1"
    [told] = [line for line in said if line.startswith("refs/heads/main is not healed")]
    assert f"git update-ref refs/heads/main {mine}" in told
    record = next((git_dir / "kv" / "damaged").glob("lost-refs*"))
    assert f"{mine} refs/heads/main\n{mine} refs/heads/topic\n" in record.read_text()
    assert (git_dir / "logs" / "refs" / "heads" / "main").stat().st_size, "logs of refs stay"
    assert _repair(team, "alice") == []


def test_a_branch_that_was_pushed_comes_back(team) -> None:
    git_dir = _with_branches(team, "alice")
    mine = team.tip(git_dir, "refs/heads/topic")
    team.git("push", "--quiet", team.mirror, "refs/heads/topic", cwd=git_dir)
    _no_objects(git_dir)
    _repair(team, "alice")
    assert team.tip(git_dir, "refs/heads/topic") == mine
    team.git("fsck", "--strict", cwd=git_dir)


def test_a_detached_head_without_its_commit_stops_no_repair(team) -> None:
    git_dir = _with_branches(team, "alice")
    team.git("checkout", "--quiet", "--detach", cwd=git_dir.parent)
    _empty_objects(git_dir)
    said = _repair(team, "alice")
    assert any(line.startswith("HEAD is not healed") for line in said), said
    assert team.open("alice")["a"] == b"1"


def test_a_repair_that_reached_nobody_is_gone_on_with(team) -> None:
    git_dir = _with_branches(team, "alice")
    _no_objects(git_dir)
    away = team.server.rename(team.root / "away.git")
    with pytest.raises(GitKvError):
        _repair(team, "alice")
    away.rename(team.server)
    assert any("fetched again" in line for line in _repair(team, "alice"))
    assert team.open("alice")["a"] == b"1"


def _files(git_dir: Path) -> list[Path]:
    found = [*(git_dir / "objects").rglob("*"), *(git_dir / "refs").rglob("*")]
    return sorted(path for path in [*found, git_dir / "packed-refs"] if path.is_file())


def _empty_files(paths) -> None:
    for path in paths:
        path.chmod(0o644)
        path.write_bytes(b"")


def _spoil(git_dir: Path, seed: int) -> None:
    chance = random.Random(seed)
    share = (0.1, 0.3, 0.6, 1)[seed % 4]
    for path in _files(git_dir):
        if chance.random() >= share:
            continue
        path.chmod(0o644)
        match chance.choice(["empty", "torn", "gone"]):
            case "empty":
                path.write_bytes(b"")
            case "torn":
                os.truncate(path, path.stat().st_size * 2 // 3)
            case "gone":
                path.unlink()


def _is_told(act: Callable[[], object]) -> bool:
    """Whether it failed, and if so in a documented class and with a way out."""
    try:
        act()
    except GitKvError as error:
        assert error.hint and error.exit_code in (5, 8), (error, error.hint)
        return True
    return False


def _words_of(act: Callable[[], object]) -> str:
    try:
        act()
    except GitKvError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_damaged_is_told_and_healed(team, seed: int) -> None:
    git_dir = _with_branches(team, "alice")
    if seed % 2:
        team.git("repack", "--quiet", "-ad", "--write-bitmap-index", cwd=git_dir)
        team.git("pack-refs", "--all", cwd=git_dir)
        team.git("commit-graph", "write", "--reachable", cwd=git_dir)
        team.git("multi-pack-index", "write", cwd=git_dir)
    _spoil(git_dir, seed)
    clone = team.open("alice", lambda text: None)
    for act in (lambda: clone["a"], clone.verify, lambda: clone.set("b", b"2")):
        _is_told(act)
    clone.close()
    _repair(team, "alice")
    healed = team.open("alice", lambda text: None)
    assert healed["a"] == b"1" and healed["k7"] == b"7"
    healed["after"] = b"1"
    assert not healed.verify().reasons
    assert _repair(team, "alice") == []


def test_a_damaged_standalone_store_never_says_that_there_is_none(repo: Path, git) -> None:
    init_store(repo)
    with Store.open(repo) as store:
        store.update({f"k{at}": b"%d" % at for at in range(50)})
        store["a"] = b"1"
    git_dir, good = repo / ".git", repo.parent / "good"
    shutil.copytree(git_dir, good)
    for seed in range(8):
        shutil.rmtree(git_dir)
        shutil.copytree(good, git_dir)
        _spoil(git_dir, seed)
        with Store.open(repo) as store:
            for act in (lambda: dict(store.items()), store.verify, lambda: store.set("b", b"2")):
                _is_told(act)
                assert "no ledger" not in _words_of(act)
        assert "no ledger" not in _words_of(lambda: init_store(repo))
        with pytest.raises(UsageError, match="standalone"), Store.open(repo) as store:
            repair_source(store._replica, "", "")


def test_a_store_whose_refs_are_gone_is_not_begun_anew(repo: Path) -> None:
    init_store(repo)
    for path in (repo / ".git" / "refs" / "kv", repo / ".git" / "refs" / "kv-index"):
        shutil.rmtree(path)
    for act in (lambda: init_store(repo), lambda: Store.open(repo).get("a")):
        with pytest.raises(IntegrityError, match="refs/kv/main is gone"):
            act()


@pytest.mark.parametrize("text", [b"", b"ref: re", None])
def test_a_damaged_head_is_named(repo: Path, text: bytes | None) -> None:
    head = repo / ".git" / "HEAD"
    head.unlink()
    if text is not None:
        head.write_bytes(text)
    with pytest.raises(IntegrityError, match=r"\.git/HEAD is damaged"):
        Store.open(repo)
