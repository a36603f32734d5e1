"""A watcher gets every transaction once and in order, whatever comes between."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from gitkv import Store, UsageError
from gitkv.client.init import init_store
from gitkv.testing.world import world


@pytest.fixture
def store(repo: Path) -> Iterator[Store]:
    init_store(repo)
    with Store.open(repo) as opened:
        yield opened


def test_what_has_happened_is_replayed_and_then_followed(store: Store, repo: Path) -> None:
    store["a"] = b"1"
    store.update({"b": b"2", "c": b"3"})
    slept: list[float] = []

    def write_instead(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            with Store.open(repo) as other:
                other.delete(["a"])
                other["d"] = b"4"

    store._replica.host = store._replica.host._replace(sleep=write_instead)
    found = store.watch("@0")
    told = [next(found) for _ in range(4)]
    assert [happened.entry.seq for happened in told] == [1, 2, 3, 4]
    keys = [[(change.op, change.key) for change in happened.changes] for happened in told]
    assert keys == [
        [("add", "a")],
        [("add", "b"), ("add", "c")],
        [("delete", "a")],
        [("add", "d")],
    ]
    assert slept == [0.1, 0.2, 0.4]


def test_a_watcher_begins_anywhere_and_sees_only_its_prefix(store: Store) -> None:
    store["x:1"] = b"1"
    commit = store.set("y:1", b"1").commit
    store.update({"x:2": b"2", "y:2": b"2"})
    store.set("x:1", b"same")
    assert [happened.entry.seq for happened in islice(store.watch(commit), 2)] == [3, 4]
    [first, second] = list(islice(store.watch("@1", prefix="x:"), 2))
    assert [change.key for change in first.changes] == ["x:2"]
    assert (second.entry.seq, [change.op for change in second.changes]) == (4, ["change"])
    with pytest.raises(UsageError, match="not a revision"):
        store.watch("nonsense")


def test_a_number_that_is_not_there_yet_is_waited_for(store: Store, repo: Path) -> None:
    store["a"] = b"1"

    def write_instead(seconds: float) -> None:
        with Store.open(repo) as other:
            other["n"] = os.urandom(4)

    store._replica.host = store._replica.host._replace(sleep=write_instead)
    assert next(store.watch("@3")).entry.seq == 4


def test_a_clone_follows_through_restarts_of_stargate_and_a_mirror_that_is_away(
    tmp_path: Path,
) -> None:
    with world(tmp_path) as scene:
        alice, bob = scene.person("alice").clone(), scene.person("bob").clone()
        alice.kv("set", "k", "1")
        lines = bob.kv("watch", "--since", "@0", "-n", "1", "--json").out.splitlines()
        [told] = [json.loads(line) for line in lines]
        assert (told["seq"], told["principal"]) == (1, "alice")
        assert [(change["op"], change["key"]) for change in told["changes"]] == [("add", "k")]

        warned: list[str] = []
        with Store.open(bob.clone_dir, env=bob.env, warn=warned.append) as store:
            found = store.watch("@1")
            alice.kv("set", "k", "2")
            assert next(found).entry.seq == 2
            scene.kill()
            scene.start()
            alice.kv("set", "k", "3")
            scene.wait_for_mirror()
            away = scene.mirror.with_name("away.git")
            os.rename(scene.mirror, away)
            host = store._replica.host

            def back_after_a_while(seconds: float) -> None:
                if away.exists():
                    os.rename(away, scene.mirror)

            store._replica.host = host._replace(sleep=back_after_a_while)
            assert next(found).entry.seq == 3
            assert len(warned) == 1 and "no news for now" in warned[0]
        text = bob.kv("watch", "--since", "@1", "-n", "2", "--read-from", "stargate").out
        assert text == b"@2\tM\tk\n@3\tM\tk\n"
