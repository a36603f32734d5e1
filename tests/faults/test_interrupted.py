"""A command that is told to end, at any system call: exit 130, no word, nothing half-done, no lock
and no child left. Before its first line, the interpreter's own start is Python's matter.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from support.trace import Ended, calls, environment, kv_command, traced

import gitkv
from gitkv.testing.world import wait_until

KEYS = 150
STARTED = re.compile(r"openat\(.*gitkv/cli/(?:__pycache__/)?start\.")
# No step of a program: ends the process, or is its own answer to the signal
_UNTOUCHED = ("exit_group", "rt_sigreturn", "execve")


@pytest.fixture
def world(tmp_path: Path, repo: Path) -> Path:
    """A folder with a store and a batch for it."""
    gitkv.init(repo)
    with gitkv.open(repo) as store:
        store["before"] = b"1"
    lines = [f'{{"op":"set","key":"k{at:03}","value":"{at}"}}\n' for at in range(KEYS)]
    (tmp_path / "batch").write_text("".join(lines))
    return tmp_path


def _mset(world: Path, copy: str, *options: str) -> Ended:
    shutil.copytree(world / "repo", world / copy)
    command = kv_command("mset", "--file", str(world / "batch"))
    return traced(command, world / f"{copy}.log", world / copy, *options)


def _points(log: Path, per_call: int) -> list[tuple[str, int]]:
    """(system call, its number among its kind), evenly spread over what a command does itself."""
    seen: Counter[str] = Counter()
    ours: dict[str, list[int]] = defaultdict(list)
    loaded = started = False
    for line in calls(log):
        name = line[: line.index("(")]
        seen[name] += 1
        loaded = loaded or STARTED.match(line) is not None
        started = started or (loaded and line.startswith("rt_sigaction(SIGINT"))
        if started and name not in _UNTOUCHED:
            ours[name].append(seen[name])
    points = []
    for name, numbers in sorted(ours.items()):
        count = min(per_call, len(numbers))
        points += [
            (name, numbers[(len(numbers) - 1) * at // max(count - 1, 1)]) for at in range(count)
        ]
    return points


def _left_behind(session: Path) -> list[str]:
    """Lock files and drafts in the repository."""
    return [
        str(path.relative_to(session))
        for path in session.rglob("*")
        if path.name.endswith(".lock") or path.name.startswith(("tmp_", ".tmp"))
    ]


def _processes_in(folder: Path) -> list[str]:
    """Processes at work in the folder: a child of a command that is gone."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(folder):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def _state(folder: Path) -> dict[str, bytes]:
    """What the store holds; it must be sound for git and for us, and a write must be possible."""
    with gitkv.open(folder) as store:
        held = dict(store.items())
        store["after"] = b"1"
        assert store.verify().reasons == ()
    subprocess.run(["git", "fsck", "--strict"], cwd=folder, check=True, capture_output=True)
    return held


def test_an_interruption_at_any_system_call_leaves_all_or_nothing(world: Path) -> None:
    assert _mset(world, "baseline").code == 0
    points = _points(world / "baseline.log", 2)
    assert len(points) > 20
    outcomes = Counter[int]()
    for number, (name, count) in enumerate(points):
        copy = f"copy{number}"
        done = _mset(world, copy, "-e", f"inject={name}:signal=SIGINT:when={count}")
        told = f"{name} {count}: {done}"
        assert done.code in (0, 130) and not done.err, told
        assert _left_behind(world / copy) == [], told
        assert _processes_in(world / copy) == [], told
        held = _state(world / copy)
        assert len(held) in (1, KEYS + 1), told
        assert len(held) == KEYS + 1 or done.code == 130, told
        outcomes[done.code] += 1
        shutil.rmtree(world / copy)
    assert outcomes[130] > 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_terminated_tidies_up_and_ends_by_that_signal(
    world: Path, number: signal.Signals
) -> None:
    assert _mset(world, "baseline").code == 0
    for at, (name, count) in enumerate(_points(world / "baseline.log", 1)[::3]):
        copy = f"copy{at}"
        done = _mset(world, copy, "-e", f"inject={name}:signal={number.name}:when={count}")
        assert done.code in (0, -number) and not done.err, f"{name} {count}: {done}"
        assert _left_behind(world / copy) == [] == _processes_in(world / copy)
        assert len(_state(world / copy)) in (1, KEYS + 1)


def test_a_signal_that_the_caller_ignores_stays_ignored(world: Path) -> None:
    ready = world / "ready"
    script = f"trap '' INT HUP; : > {ready}; exec \"$@\""
    command = ["sh", "-c", script, "sh", *kv_command("set", "k", "-")]
    process = subprocess.Popen(
        command,
        cwd=world / "repo",
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    wait_until(ready.exists, 20)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(b"value")
    assert process.returncode == 0 and re.fullmatch(rb"[0-9a-f]{40}\n", out)
