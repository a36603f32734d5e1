"""A moment as a revision: the state that was accepted by then, by whose clock counts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from conftest import GitRunner

from gitkv import Store, UsageError
from gitkv.client.init import init_store
from gitkv.git.ancestry import newest_until
from gitkv.git.process import Git
from gitkv.model.oid import Oid, parse_oid
from gitkv.testing.world import world

DAY_S = 86400


def test_a_standalone_store_goes_by_the_times_of_its_commits(repo: Path) -> None:
    init_store(repo)
    with Store.open(repo) as store:
        host = store._replica.host
        start_s = host.now_s()

        def on_day(number: int) -> None:
            store._replica.host = host._replace(now_s=lambda: start_s + number * DAY_S)

        for number in range(1, 5):
            on_day(number)
            store["k"] = b"day %d" % number
        assert store.value("k", at="1 day ago").value == b"day 3"
        assert store.value("k", at=f"{2 * DAY_S - 1}s ago").value == b"day 2"
        assert [entry.mod for entry in store.list(at="2 days ago")] == [2]
        assert [revision.seq for revision in store.history("k", at="2 days ago")] == [2, 1]
        assert [entry.seq for entry in store.log(at="3 days ago")] == [1, 0]
        assert [change.key for change in store.diff("2 days ago", "1 day ago")] == ["k"]
        with pytest.raises(UsageError, match="no transaction at or before"):
            store.value("k", at="4 weeks ago")


def test_a_clock_set_back_hides_nothing_newer_than_the_newest_not_after_the_moment(
    repo: Path, git: GitRunner
) -> None:
    tree = git("mktree", cwd=repo).decode().strip()
    made: list[Oid] = []
    for seconds in (1000, 2000, 1500, 3000):  # git walks back: the first that is not after counts
        who = f"A <a@example.invalid> {1_700_000_000 + seconds} +0000"
        parent = f"parent {made[-1].hex()}\n" if made else ""
        body = f"tree {tree}\n{parent}author {who}\ncommitter {who}\n\nx\n"
        stored = git("hash-object", "-t", "commit", "-w", "--stdin", cwd=repo, input=body.encode())
        made.append(parse_oid(stored.strip()))
    walker = Git(repo / ".git", env=os.environ)
    found = [
        newest_until(walker, made[-1], 1_700_000_000 + seconds)
        for seconds in (999, 1000, 1499, 1500, 2500, 3000)
    ]
    assert found == [None, made[0], made[0], made[2], made[2], made[3]]


def test_a_clone_goes_by_the_gateways_receipts(tmp_path: Path) -> None:
    with world(tmp_path) as scene:
        alice = scene.person("alice").clone()
        deadline_s = time.monotonic() + 30
        times: list[int] = []
        while len(set(times)) < 2:  # the gateway's clock has moved by a second
            assert time.monotonic() < deadline_s
            alice.kv("set", "k", f"{len(times)}")
            scene.wait_for_mirror()
            newest = scene.person("alice").git(
                *("log", "--format=%ct", "-1", "refs/kv-watchlog/main@e1"), cwd=scene.mirror
            )
            times.append(int(newest.out))
        alice.git("config", "kv.maxAge", "0")
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(times[0]))
        last = max(at for at, seconds in enumerate(times) if seconds == times[0])
        assert alice.kv("get", "k", "--at", moment).out == b"%d" % last
        assert alice.kv("log", "--at", moment).out.startswith(b"@%d " % (last + 1))
        early = alice.kv("get", "k", "--at", "2020-01-01", check=False)
        assert early.code == 129 and "no transaction at or before 2020-01-01" in early.err
