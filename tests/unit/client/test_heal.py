"""A clone whose files a power cut has torn says so, and is healed from what it was cloned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gitkv import GitKvError
from gitkv.client.heal import heal
from gitkv.client.repair import repair, repair_source

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
    assert heal(alice._replica, repair_source(alice._replica, "", "")) == []
