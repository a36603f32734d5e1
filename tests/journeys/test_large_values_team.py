"""Large values in a team: through Stargate to the mirror, and to clones that ask for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gitkv.testing.world import Person, World

MEBI = 1 << 20
VALUE = Random(5).randbytes(3 * MEBI + 5)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("team")).create().start()
    for name in ("alice", "bob"):
        world.person(name).clone()
    yield world
    world.close()


@pytest.fixture
def alice(team: World) -> Person:
    return team.person("alice")


@pytest.fixture
def bob(team: World) -> Person:
    return team.person("bob")


def _room(repository: Path) -> int:
    """Bytes of the objects on the disk."""
    return sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())


def _objects(person: Person) -> int:
    return _room(person.clone_dir / ".git" / "objects")


def _fresh(team: World, name: str) -> Person:
    """A clone made over a protocol: from a path git would link all objects there are."""
    person = team.person(name)
    person.git("clone", "-q", f"file://{team.mirror}", str(person.clone_dir), cwd=person.home)
    person.kv("remote", "setup")
    return person


def test_a_large_value_goes_through_stargate_and_comes_back_bit_for_bit(
    team: World, alice: Person, bob: Person
) -> None:
    (alice.clone_dir / "weights").write_bytes(VALUE)
    alice.kv("set", "models/one", "--file", "weights", "--ctype", "a/b")
    team.wait_for_mirror()
    assert bob.kv("get", "models/one", "--read-from=stargate").out == VALUE
    bob.kv("get", "models/one", "-o", "out")
    assert (bob.clone_dir / "out").read_bytes() == VALUE
    alice.kv("verify")
    alice.git("fsck", "--full", "--strict")
    bob.git("fsck", "--full", "--strict")


def test_who_never_asks_for_it_never_gets_a_chunk(team: World, alice: Person) -> None:
    alice.kv("set", "models/two", "-", stdin=VALUE[1:])
    alice.kv("set", "small", "x")
    team.wait_for_mirror()
    carol = _fresh(team, "carol")
    assert carol.kv("get", "small").out == b"x"
    assert str(len(VALUE) - 1) in carol.kv("list", "-l", "--prefix", "models/two").out.decode()
    before = _objects(carol)
    asked = carol.kv("get", "models/two", "--read-from=local", check=False)
    assert (asked.code, asked.out) == (5, b"")
    assert "not in this clone" in asked.err and "git kv fetch" in asked.err
    assert _objects(carol) == before, "local reading touches no network"
    assert before < 500_000
    assert carol.kv("get", "models/two", "--range", "5:1005").out == VALUE[6:1006]
    assert _objects(carol) - before < 1_500_000, "of a part only its chunks come"
    assert carol.kv("get", "models/two").out == VALUE[1:]
    assert carol.kv("get", "models/two", "--read-from=local").out == VALUE[1:]
    assert "not looked at: the chunks that" in carol.kv("verify").out.decode()
    carol.git("gc", "--quiet", "--prune=now")
    carol.git("fsck", "--full", "--strict")
    assert carol.kv("get", "models/two").out == VALUE[1:]


def test_a_clone_that_wants_all_chunks_has_them_and_verifies_them(
    team: World, alice: Person
) -> None:
    alice.kv("set", "models/all", "-", stdin=VALUE[9:])
    team.wait_for_mirror()
    frank = team.person("frank")
    frank.git("clone", "-q", f"file://{team.mirror}", str(frank.clone_dir), cwd=frank.home)
    frank.kv("remote", "setup", "--all-chunks")
    alice.kv("set", "models/later", "-", stdin=VALUE[10:])
    team.wait_for_mirror()
    frank.git("config", "kv.maxAge", "0s")
    assert frank.kv("get", "small", check=False).code in (0, 1), (
        "a refresh brings the new ones, too"
    )
    assert frank.kv("get", "models/all", "--read-from=local").out == VALUE[9:]
    assert frank.kv("get", "models/later", "--read-from=local").out == VALUE[10:]
    assert "not looked at" not in frank.kv("verify").out.decode()


def test_chunks_brought_ahead_are_read_without_a_network(team: World, alice: Person) -> None:
    alice.kv("set", "offline/a", "-", stdin=VALUE[2:])
    alice.kv("set", "offline/b", "-", stdin=VALUE[::-1])
    team.wait_for_mirror()
    dave = _fresh(team, "dave")
    told = dave.kv("fetch", "--prefix", "offline/").out.decode()
    assert told.startswith("2 large values are here; ")
    assert dave.kv("fetch", "--prefix", "offline/").out == (
        b"2 large values are here; 0 chunks were fetched\n"
    )
    away = team.mirror.with_suffix(".away")
    team.mirror.rename(away)
    try:
        assert dave.kv("get", "offline/a", "--read-from=local").out == VALUE[2:]
        assert dave.kv("get", "offline/b", "--read-from=local").out == VALUE[::-1]
        failed = dave.kv("get", "models/one", check=False)
        assert (failed.code, failed.out) == (5, b"")
    finally:
        away.rename(team.mirror)


def test_what_the_mirror_lacks_comes_from_stargate(team: World, alice: Person, bob: Person) -> None:
    away = team.mirror.with_suffix(".away")
    team.mirror.rename(away)
    try:
        alice.kv("set", "models/late", "-", stdin=VALUE[3:])
        assert bob.kv("get", "models/late", "--read-from=stargate").out == VALUE[3:]
    finally:
        away.rename(team.mirror)


def test_a_second_put_of_the_same_bytes_sends_and_stores_no_chunk(
    team: World, alice: Person, bob: Person
) -> None:
    alice.kv("set", "dedup/a", "-", stdin=VALUE[4:])
    team.wait_for_mirror()
    before, own = _room(team.gate / "objects"), _objects(bob)
    bob.kv("set", "dedup/b", "-", stdin=VALUE[4:])
    assert _room(team.gate / "objects") - before < 100_000
    assert _objects(bob) - own < 100_000, "only trees of the chunk store came"
    etags = [
        alice.kv("stat", key, "--json", "--read-from=stargate").out.split(b'"etag":')[1][:42]
        for key in ("dedup/a", "dedup/b")
    ]
    assert etags[0] == etags[1]


def test_a_host_without_filters_is_named_and_serves_all_the_same(
    team: World, alice: Person
) -> None:
    alice.kv("set", "plain", "-", stdin=VALUE[5:])
    team.wait_for_mirror()
    alice.git("config", "uploadpack.allowFilter", "false", cwd=team.mirror)
    try:
        erin = _fresh(team, "erin")
        read = erin.kv("get", "plain")
        assert read.out == VALUE[5:]
        assert "the mirror origin does not leave chunks out" in read.err
    finally:
        alice.git("config", "uploadpack.allowFilter", "true", cwd=team.mirror)


def test_large_and_small_keys_land_in_one_transaction(
    team: World, alice: Person, bob: Person
) -> None:
    (alice.clone_dir / "big").write_bytes(VALUE[6:])
    batch = (
        b'{"op":"set","key":"mix/big","file":"big"}\n{"op":"set","key":"mix/small","value":"s"}\n'
    )
    alice.kv("mset", "-", stdin=batch)
    assert bob.kv("get", "mix/big", "--read-from=stargate").out == VALUE[6:]
    assert bob.kv("get", "mix/small").out == b"s"


def test_concurrent_writers_of_large_values_both_land(
    team: World, alice: Person, bob: Person
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    values = {"race/a": VALUE[7:], "race/b": os.urandom(2 * MEBI)}
    with ThreadPoolExecutor(2) as pool:
        done = [
            pool.submit(who.kv, "set", key, "-", stdin=values[key])
            for who, key in ((alice, "race/a"), (bob, "race/b"))
        ]
        for one in done:
            one.result()
    for key, value in values.items():
        assert alice.kv("get", key, "--read-from=stargate").out == value


def test_a_large_batch_that_reaches_no_stargate_says_so_and_changes_nothing(
    team: World, alice: Person
) -> None:
    (alice.clone_dir / "big").write_bytes(VALUE[11:])
    unreachable = alice.git("config", "remote.origin.pushurl").out.decode().strip()
    alice.git("config", "remote.origin.pushurl", "ssh://git@127.0.0.1:1/gone.git")
    try:
        failed = alice.kv(
            "mset", "-", stdin=b'{"op":"set","key":"never","file":"big"}\n', check=False
        )
        assert failed.code == 5 and "Connection refused" in failed.err
    finally:
        alice.git("config", "remote.origin.pushurl", unreachable)
    assert alice.kv("get", "never", check=False).code == 1
