"""A team's day: two developers with their own keys and clones, one Stargate over SSH, one mirror.
Everything through the command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitkv.testing.world import Person, World, wait_until

KILLABLE = str(Path(__file__).resolve().parents[1] / "support" / "killable_daemon.py")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("team")).create().start()
    for name in ("alice", "bob"):
        world.person(name).clone()
    world.person("alice").kv("set", "cfg:region", "eu-west-1", "-m", "first region")
    yield world
    world.close()


@pytest.fixture
def alice(team: World) -> Person:
    return team.person("alice")


@pytest.fixture
def bob(team: World) -> Person:
    return team.person("bob")


def test_what_one_sets_the_other_gets_from_the_mirror_once_it_is_visible(
    alice: Person, bob: Person
) -> None:
    oid = alice.kv("set", "cfg:zone", "eu-west-1a").out.decode().strip()
    bob.kv("wait", "--oid", oid, "--timeout", "20s")
    assert bob.kv("get", "cfg:zone", "--read-from=local").out == b"eu-west-1a"


def test_the_authority_answers_at_once_while_the_mirror_is_out_of_reach(
    team: World, alice: Person, bob: Person
) -> None:
    away = team.mirror.with_suffix(".away")
    team.mirror.rename(away)
    try:
        alice.kv("set", "cfg:now", "yes")
        assert bob.kv("get", "cfg:now", "--read-from=stargate").out == b"yes"
        late = alice.kv(
            "wait",
            "--oid",
            alice.git("rev-parse", "refs/kv/main").out.decode().strip(),
            "--timeout",
            "1s",
            check=False,
        )
        assert late.code == 10, late.err
    finally:
        away.rename(team.mirror)
    team.wait_for_mirror()


@pytest.mark.parametrize("value", [b"", b"\0\xff\n\r\n", b"-n --option", bytes(range(256)) * 3000])
def test_any_bytes_come_back_as_they_were(alice: Person, bob: Person, value: bytes) -> None:
    alice.kv("set", "bytes", "-", stdin=value)
    assert bob.kv("get", "bytes", "--read-from=stargate").out == value


def test_ten_thousand_keys_land_as_one_transaction_and_list_in_order(
    alice: Person, bob: Person
) -> None:
    batch = b"".join(
        json.dumps({"op": "set", "key": f"bulk:{n:05}", "value": str(n)}).encode() + b"\n"
        for n in range(10_000)
    )
    seq_before = json.loads(alice.kv("log", "-n", "1", "--json").out)["seq"]
    alice.kv("mset", "-", stdin=batch)
    [logged] = [json.loads(line) for line in alice.kv("log", "-n", "1", "--json").out.splitlines()]
    assert (logged["seq"], logged["keys_set"]) == (seq_before + 1, 10_000)
    bob.kv("get", "bulk:00000", "--read-from=stargate")
    listed = bob.kv("list", "--prefix", "bulk:0012", "--read-from=local").out.decode().split()
    assert listed == [f"bulk:0012{n}" for n in range(10)]


def test_history_names_versions_deletion_and_the_person_behind_each(
    alice: Person, bob: Person
) -> None:
    alice.kv("set", "story", "one")
    bob.kv("set", "story", "two")
    alice.kv("del", "story")
    bob.kv("set", "story", "three")
    told = [json.loads(line) for line in bob.kv("history", "story", "--json").out.splitlines()]
    assert [(entry["op"], entry["principal"]) for entry in told] == [
        ("set", "bob"),
        ("delete", "alice"),
        ("set", "bob"),
        ("set", "alice"),
    ]


def test_concurrent_writers_all_land_once_each(team: World, alice: Person, bob: Person) -> None:
    before = team.refs(team.gate)["refs/kv/main"]

    def write(word: tuple[Person, int]) -> int:
        person, number = word
        clone = person.home / f"clone{number}"
        person.git("clone", "--quiet", str(team.mirror), str(clone), cwd=person.home)
        person.kv("remote", "setup", cwd=clone)
        return person.kv("set", f"race:{person.name}:{number}", str(number), cwd=clone).code

    with ThreadPoolExecutor(6) as pool:
        assert (
            list(
                pool.map(
                    write, [(person, number) for number in range(3) for person in (alice, bob)]
                )
            )
            == [0] * 6
        )
    count = alice.git("-C", str(team.gate), "rev-list", "--count", f"{before}..refs/kv/main").out
    assert int(count) == 6
    alice.kv("get", "race:bob:2", "--read-from=stargate")
    assert len(alice.kv("list", "--prefix", "race:", "--read-from=local").out.split()) == 6


def test_commands_at_once_in_one_clone_all_land(team: World, alice: Person) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda n: alice.kv("set", f"same-clone:{n}", str(n), check=False), range(8))
        )
    assert [one.code for one in done] == [0] * 8, [one.err for one in done]
    assert len(alice.kv("list", "--prefix", "same-clone:", "--read-from=stargate").out.split()) == 8


def test_an_expectation_that_fails_ends_with_2_and_names_expected_and_actual(
    alice: Person, bob: Person
) -> None:
    alice.kv("set", "cas", "one")
    etag = json.loads(alice.kv("get", "cas", "--json").out)["etag"]
    bob.kv("set", "cas", "two")
    late = alice.kv("set", "cas", "three", "--if-match", etag, check=False)
    actual = json.loads(bob.kv("get", "cas", "--json").out)["etag"]
    assert late.code == 2
    assert etag in late.err
    assert actual in late.err
    assert bob.kv("get", "cas", "--read-from=stargate").out == b"two"


def test_a_refusal_shows_every_reason_and_changes_nothing_here_or_there(
    team: World, alice: Person
) -> None:
    before = team.refs(team.gate)["refs/kv/main"], alice.git("rev-parse", "refs/kv/main").out
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize {}\n"
    batch = b"".join(
        json.dumps({"op": "set", "key": key, "value": pointer.format(size)}).encode() + b"\n"
        for size, key in enumerate(("lfs:one", "lfs:two"), 1)
    )
    refused = alice.kv("mset", "-", stdin=batch, check=False)
    assert refused.code == 3
    assert refused.err.count("value.lfs") == 2
    assert "lfs:one" in refused.err
    assert "lfs:two" in refused.err
    assert (
        team.refs(team.gate)["refs/kv/main"],
        alice.git("rev-parse", "refs/kv/main").out,
    ) == before


def test_a_stranger_reads_and_is_told_what_writing_takes(team: World) -> None:
    mallory = team.person("mallory")
    mallory.git("clone", "--quiet", str(team.mirror), str(mallory.clone_dir), cwd=mallory.home)
    told = mallory.kv("remote", "setup").out.decode()
    assert "none of your keys may write here" in told and "ask an admin" in told
    assert mallory.kv("get", "cfg:region").out == b"eu-west-1"
    refused = mallory.kv("set", "a", "1", check=False)
    assert refused.code == 3
    assert "none of your keys may write here" in refused.err and "hint: ask an admin" in refused.err
    mallory.git("config", "remote.origin.pushurl", team.url)
    assert mallory.kv("set", "a", "1", check=False).code in (3, 5)  # Stargate refuses the log-in


def test_remote_setup_says_what_is_missing(alice: Person, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    alice.git("init", "--quiet", str(plain), cwd=tmp_path)
    assert "remote" in alice.kv("remote", "setup", cwd=plain, check=False).err
    bare, clone = tmp_path / "bare.git", tmp_path / "clone"
    alice.git("-C", str(plain), "commit", "--quiet", "--allow-empty", "-m", "no policy here")
    alice.git("clone", "--quiet", "--bare", str(plain), str(bare), cwd=tmp_path)
    alice.git("clone", "--quiet", str(bare), str(clone), cwd=tmp_path)
    told = alice.kv("remote", "setup", cwd=clone, check=False)
    assert told.code == 3
    assert ".kv/policy.yaml" in told.err


def test_a_rewound_mirror_is_reported_and_not_adopted(
    team: World, alice: Person, bob: Person
) -> None:
    alice.kv("set", "cfg:later", "than the clone of anybody")
    team.wait_for_mirror()
    bob.git("config", "kv.maxAge", "0")
    bob.kv("get", "cfg:region")
    trusted = bob.git("rev-parse", "refs/kv/main").out.decode().strip()
    shown = team.refs(team.mirror)
    for ref in ("refs/kv/main", "refs/kv-index/main"):
        alice.git("-C", str(team.mirror), "update-ref", ref, shown[ref] + "~1")
    try:
        told = bob.kv("get", "cfg:region", check=False)
        assert told.code == 8, told.err
        assert trusted in told.err
        assert bob.git("rev-parse", "refs/kv/main").out.decode().strip() == trusted
    finally:
        for ref in ("refs/kv/main", "refs/kv-index/main"):
            alice.git("-C", str(team.mirror), "update-ref", ref, shown[ref])
        bob.git("config", "--unset", "kv.maxAge")


def test_offline_the_local_value_is_given_with_a_warning_that_says_how_old(
    team: World, bob: Person
) -> None:
    bob.git("config", "kv.maxAge", "0")
    bob.kv("get", "cfg:region")
    away = team.mirror.with_suffix(".away")
    team.mirror.rename(away)
    try:
        told = bob.kv("get", "cfg:region")
        assert told.out == b"eu-west-1"
        assert "warning" in told.err
    finally:
        away.rename(team.mirror)
        bob.git("config", "--unset", "kv.maxAge")


def test_a_lost_answer_is_resolved_and_the_transaction_stands_once(tmp_path: Path) -> None:
    world = World(tmp_path).create()
    alice = world.person("alice")
    try:
        world.start()
        alice.clone()
        world.stop()
        world.start(command=[KILLABLE, "kill:refs-moved:1", "--"])
        line = [sys.executable, "-m", "gitkv", "set", "once", "only"]
        writer = subprocess.Popen(
            line, cwd=alice.clone_dir, env=alice.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert world.daemon is not None
        assert world.daemon.wait(30) == -9  # committed, and nobody was told
        world.daemon = None
        world.start()
        out, err = writer.communicate(timeout=60)
        assert writer.returncode == 0, err.decode()
        assert out.decode().strip() == world.refs(world.gate)["refs/kv/main"]
        assert (
            alice.git("-C", str(world.gate), "rev-list", "--count", "refs/kv/main").out.strip()
            == b"2"
        )
    finally:
        world.close()


def test_sigterm_drains_and_exits_cleanly_and_the_log_is_json_when_asked(tmp_path: Path) -> None:
    world = World(tmp_path).create()
    try:
        world.start("--log-format", "json")
        world.person("alice").clone().kv("set", "a", "1")
        assert world.stop() == 0
        events = [json.loads(line) for line in world.log.read_text().splitlines()]
        assert [event["event"] for event in events if event["event"].startswith("push")] == [
            "push.accepted"
        ]
        assert events[-1]["event"] == "stopped"
        assert world.refs(world.mirror)["refs/kv/main"] == world.refs(world.gate)["refs/kv/main"]
    finally:
        world.close()


def test_a_policy_change_by_an_admin_takes_effect_at_the_next_push(
    team: World, alice: Person, bob: Person
) -> None:
    alice.git("pull", "--quiet", "origin", "main")
    policy = alice.clone_dir / ".kv" / "policy.yaml"
    original = policy.read_text()
    policy.write_text(original.replace("bob: {}", 'bob: {prefixes: ["cfg:"]}'))
    alice.git("commit", "--quiet", "-S", "-am", "bob: cfg only")
    alice.git("push", "--quiet", "origin", "HEAD:main")
    refused = bob.kv("set", "other:a", "1", check=False)
    assert refused.code == 3
    assert "other:a" in refused.err
    assert "cfg:" in refused.err
    bob.kv("set", "cfg:b", "1")
    policy.write_text(original)
    alice.git("commit", "--quiet", "-S", "-am", "bob: everything again")
    alice.git("push", "--quiet", "origin", "HEAD:main")
    bob.kv("set", "other:a", "1")


def test_the_python_sdk_writes_one_commit_for_one_transaction(team: World, alice: Person) -> None:
    import gitkv

    with gitkv.open(alice.clone_dir, env=alice.env) as store:
        seq = store.value("cfg:region", read_from="stargate").seq
        with store.transaction("two at once") as tx:
            tx["sdk:a"] = b"1"
            tx["sdk:b"] = b"2"
        assert store["sdk:a"] + store["sdk:b"] == b"12"
        assert store.value("sdk:b").seq == seq + 1
        with pytest.raises(gitkv.KeyNotFoundError):
            store["sdk:none"]
    wait_until(
        lambda: team.refs(team.mirror)["refs/kv/main"] == team.refs(team.gate)["refs/kv/main"], 20
    )
    assert os.path.isdir(alice.clone_dir / ".git" / "kv")
