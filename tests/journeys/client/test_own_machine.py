"""What goes wrong on the reader's own machine is not blamed on the mirror, and what a kill or a
power cut left behind does not keep a clone or a store locked.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import gitkv
from gitkv import BusyError, MachineError, Store


def _behind(team, warnings: list[str]) -> tuple[Store, Path]:
    """A reader who has not yet seen a transaction of 300 keys that the mirror shows."""
    alice = team.clone("alice")
    alice.set("a", b"1")
    team.publish()
    with team.clone("reader") as reader:
        assert reader["a"] == b"1"
    alice.update({"a": b"2"} | {f"k{at}": b"x" for at in range(300)})
    team.publish()
    reader = team.open("reader", warnings.append)
    reader._replica.host = reader._replica.host._replace(sleep=lambda seconds: None)
    return reader, team.root / "reader" / ".git"


def test_a_clone_that_cannot_be_written_says_so_and_answers_with_its_age(team) -> None:
    warnings: list[str] = []
    reader, git_dir = _behind(team, warnings)
    packs = git_dir / "objects" / "pack"
    for pack in packs.glob("*.pack"):
        kept = pack.rename(team.root / pack.name)
        pack.with_suffix(".idx").unlink()
        team.git("unpack-objects", "-q", cwd=git_dir, input=kept.read_bytes())
    packs.rename(git_dir / "objects" / "no-pack")
    packs.write_text("no directory")
    assert reader["a"] == b"1"
    assert len(warnings) == 1 and warnings[0].startswith("this clone cannot be brought up to date")
    assert "mirror cannot be reached" not in warnings[0] and "old" in warnings[0]
    packs.unlink()
    (git_dir / "objects" / "no-pack").rename(packs)
    assert reader["a"] == b"2"


def test_a_lock_in_the_clone_is_called_a_lock(team) -> None:
    warnings: list[str] = []
    reader, git_dir = _behind(team, warnings)
    lock = git_dir / "refs" / "kv" / "main.lock"
    lock.touch()
    assert reader["a"] == b"1"
    assert len(warnings) == 1 and warnings[0].startswith("this clone cannot be brought up to date")
    assert "main.lock" in warnings[0]
    lock.unlink()
    assert reader["a"] == b"2"


def test_an_accepted_write_that_the_clone_could_not_keep_is_not_forgotten_by_the_next_read(
    team,
) -> None:
    team.clone("alice", "1h").set("a", b"1")
    warnings: list[str] = []
    alice = team.open("alice", warnings.append)
    assert alice["a"] == b"1"
    alice._replica.host = alice._replica.host._replace(sleep=lambda seconds: None)
    lock = team.root / "alice" / ".git" / "refs" / "kv" / "main.lock"
    lock.touch()
    assert alice.set("a", b"2").changed
    assert "was accepted, but this clone does not have it yet" in warnings.pop()
    team.publish()
    assert alice["a"] == b"1" and "cannot be brought up to date" in warnings.pop()
    lock.unlink()
    assert alice["a"] == b"2" and not warnings


@pytest.mark.parametrize("name", ["refs/kv/main.lock", "refs/kv-index/main.lock"])
def test_a_lock_that_nobody_can_hold_any_more_is_removed(
    store: Store, repo: Path, name: str
) -> None:
    lock = repo / ".git" / name
    lock.touch()
    os.utime(lock, (1_000_000_000, 1_000_000_000))  # long before this machine's start
    store["a"] = b"1"
    assert store["a"] == b"1" and not lock.exists()


def test_a_fresh_lock_is_left_to_its_holder(store: Store, repo: Path) -> None:
    store._replica.host = store._replica.host._replace(sleep=lambda seconds: None)
    lock = repo / ".git" / "refs" / "kv" / "main.lock"
    lock.touch()
    with pytest.raises(BusyError, match=r"main\.lock"):
        store["a"] = b"1"
    assert lock.exists()


def test_a_store_whose_disk_takes_no_objects_says_that(store: Store, repo: Path) -> None:
    packs = repo / ".git" / "objects" / "pack"
    packs.rmdir()
    packs.write_text("no directory")
    with pytest.raises(MachineError, match="could not write to this repository"):
        store.update({f"k{at}": b"%d" % at for at in range(300)})
    assert gitkv.MachineError.retry == "later" and list(store) == []
