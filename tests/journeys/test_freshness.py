"""How new an answer must be: a reader waits for a transaction, or refuses what is too old."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv import MirrorTimeoutError, Store
from gitkv.client.init import init_store
from gitkv.testing.world import Person, World, world


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("freshness")) as made:
        made.person("alice").clone()
        yield made


@pytest.fixture(scope="module")
def reader(scene: World) -> Person:
    """A clone that would not look at the mirror for an hour."""
    bob = scene.person("bob").clone()
    bob.git("config", "kv.maxAge", "1h")
    return bob


def test_a_reader_waits_for_a_transaction_and_gives_up_with_10(
    scene: World, reader: Person
) -> None:
    alice = scene.person("alice")
    alice.kv("set", "k", "old")
    scene.wait_for_mirror()
    reader.kv("get", "k", "--at-least", "@1")
    alice.kv("set", "k", "new")
    assert reader.kv("get", "k", "--read-from", "local").out == b"old"
    assert reader.kv("get", "k", "--at-least", "@2").out == b"new"
    assert reader.kv("list", "--at-least", "@2", "--read-from", "stargate").out == b"k\n"
    late = reader.kv("get", "k", "--at-least", "@9", "--timeout", "0s", check=False)
    assert (late.code, late.out) == (10, b"")
    assert "main is at @2 after 0 s, expected @9 or later" in late.err
    local = ("--read-from", "local", "--at-least", "@9", "--timeout", "0s")
    assert reader.kv("get", "--prefix", "k", *local, check=False).code == 10
    assert reader.kv("get", "k", "--at-least", "9", check=False).code == 129


def test_an_answer_older_than_allowed_is_refused_while_the_mirror_is_away(
    scene: World, reader: Person
) -> None:
    with Store.open(reader.clone_dir, env=reader.env) as store:
        store.require(staleness_max_s=0)
        host = store._replica.host
        store._replica.host = host._replace(now_s=lambda: host.now_s() + 100)
        away = scene.mirror.with_name("away.git")
        os.rename(scene.mirror, away)
        try:
            store.require(staleness_max_s=200)
            with pytest.raises(MirrorTimeoutError, match="s old, expected at most 30 s: "):
                store.require(staleness_max_s=30)
        finally:
            os.rename(away, scene.mirror)
        with pytest.raises(MirrorTimeoutError, match="expected at most 30 s"):
            store.require(staleness_max_s=30, read_from="local")
        store.require(staleness_max_s=30)


def test_a_standalone_store_is_its_own_authority(repo: Path) -> None:
    init_store(repo)
    with Store.open(repo) as store:
        store["k"] = b"1"
        store.require(at_least=1, staleness_max_s=0)
        with pytest.raises(MirrorTimeoutError, match="at @1 after 0 s, expected @2 or later"):
            store.require(at_least=2, timeout_s=0)
