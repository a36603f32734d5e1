"""What a power cut may leave: a ref never reaches the disk before the objects it names, and a
write of a standalone store is on the disk, names included, when it is acknowledged.

The order of system calls is recorded, of every process of a command.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from support.trace import kv_command, traced

from gitkv import Store

_CALLS = "fsync,fdatasync,rename,renameat,renameat2,link,linkat"
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_FD = re.compile(r"^\d+<([^>]*)>")
_NAMES = re.compile(r"\"([^\"]*)\"")


class Event(NamedTuple):
    """`what`: "sync" of `path`, or "move" to it from `old`."""

    what: str
    path: str
    old: str = ""


def _events(log: Path, folder: Path) -> list[Event]:
    """What happened, in order: a sync counts when it has returned, a move when it begins."""
    events, waiting = [], {}
    for line in log.read_text().splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        pid, resumed, name, rest = found.groups()
        if resumed:
            if pid in waiting and "= 0" in rest:
                events.append(waiting.pop(pid))
        elif name.startswith("f"):
            held = _FD.match(rest)
            assert held is not None, line
            event = Event("sync", held[1])
            if "unfinished" in rest:
                waiting[pid] = event
            elif rest.endswith("= 0"):
                events.append(event)
        elif "= -1" not in rest:
            old, new = (str((folder / path).resolve()) for path in _NAMES.findall(rest)[-2:])
            events.append(Event("move", new, old))
    return events


def _unsynced_objects(events: list[Event], moved_ref: str) -> list[str]:
    """Objects that are not on the disk, or whose names are not, when a ref with this name moves."""
    synced: set[str] = set()
    objects: dict[str, bool] = {}  # path: whether its directory was synced after it came
    wrong = []
    for event in events:
        if event.what == "sync":
            synced.add(event.path)
            for path in objects:
                objects[path] |= os.path.dirname(path) == event.path
        elif "/objects/" in event.path:
            if event.old in synced:
                synced.add(event.path)
            objects[event.path] = False
        elif re.search(moved_ref, event.path):
            wrong += [path for path, named in objects.items() if path not in synced or not named]
    assert objects, "the command brought no object"
    return wrong


def _tracked(store: Path, words: list[str], log: Path, env: dict[str, str]) -> list[Event]:
    done = traced(kv_command(*words), log, store, "-f", "-y", "-s", "4096", "-e", _CALLS, env=env)
    assert done.code == 0, done
    ours = str(store.resolve() / ".git")  # a server's git works in a folder of its own
    return [
        event
        for event in _events(log, store)
        if event.path.startswith(ours)
        # Nobody sees what git moves within the folder that a fetch takes place in
        and not (event.what == "move" and "/objects/tmp_objdir-" in event.path)
    ]


_TRUSTED = r"/refs/kv(?:-index)?/main$"


def _refs_moved(events: list[Event], pattern: str) -> list[int]:
    return [
        at
        for at, event in enumerate(events)
        if event.what == "move" and re.search(pattern, event.path)
    ]


@pytest.mark.parametrize("keys", [1, 300])
def test_a_standalone_write_syncs_objects_then_refs_then_their_names(
    store: Store, repo: Path, tmp_path: Path, keys: int
) -> None:
    batch = "".join(f'{{"op":"set","key":"k{at}","value":"{at}"}}\n' for at in range(keys))
    (tmp_path / "batch").write_text(batch)
    words = ["mset", "--file", str(tmp_path / "batch")]
    events = _tracked(repo, words, tmp_path / "log", {})
    moved = _refs_moved(events, _TRUSTED)
    assert len(moved) == 2
    assert _unsynced_objects(events, _TRUSTED) == []
    before = {event.path for event in events[: moved[0]] if event.what == "sync"}
    after = {event.path for event in events[moved[-1] :] if event.what == "sync"}
    git_dir = repo.resolve() / ".git"
    assert {f"{git_dir}/refs/kv/main.lock", f"{git_dir}/refs/kv-index/main.lock"} <= before
    assert {f"{git_dir}/refs/kv", f"{git_dir}/refs/kv-index", f"{git_dir}/refs"} <= after


def test_the_first_transaction_of_a_store_is_on_the_disk_too(repo: Path, tmp_path: Path) -> None:
    events = _tracked(repo, ["init"], tmp_path / "log", {})
    assert _unsynced_objects(events, _TRUSTED) == []
    last = _refs_moved(events, _TRUSTED)[-1]
    assert any(event == Event("sync", f"{repo.resolve()}/.git/refs") for event in events[last:])


@pytest.mark.parametrize("keys", [1, 300])
def test_a_clone_keeps_its_own_write_objects_first(team, tmp_path: Path, keys: int) -> None:
    team.clone("alice").set("a", b"1")
    batch = "".join(f'{{"op":"set","key":"k{at}","value":"{at}"}}\n' for at in range(keys))
    (tmp_path / "batch").write_text(batch)
    words = ["mset", "--file", str(tmp_path / "batch")]
    env = {"GIT_SSH_COMMAND": str(team.ssh)}
    events = _tracked(tmp_path / "alice", words, tmp_path / "log", env)
    assert _refs_moved(events, _TRUSTED)
    assert _unsynced_objects(events, _TRUSTED) == []


@pytest.mark.parametrize("keys", [1, 300])
def test_a_clone_keeps_what_it_fetched_objects_first(team, tmp_path: Path, keys: int) -> None:
    alice, reader = team.clone("alice"), team.clone("reader")
    alice.set("a", b"1")
    team.publish()
    assert reader["a"] == b"1"
    alice.update({f"k{at}": b"%d" % at for at in range(keys)})
    team.publish()
    events = _tracked(tmp_path / "reader", ["get", "k0"], tmp_path / "log", {})
    assert _refs_moved(events, _TRUSTED)
    assert _unsynced_objects(events, _TRUSTED) == []
    first = _refs_moved(events, r"/refs/(?:remotes|kv)")[0]
    synced = {event.path for event in events[:first] if event.what == "sync"}
    for event in events[:first]:
        if "/objects/" in event.path and event.what == "move":
            assert event.path in synced or event.old in synced, event
