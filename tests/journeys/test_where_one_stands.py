"""whoami, status, doctor and policy, in clones that write, read only, or have something wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitkv.testing.world import Person, World, world


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        made.person("alice").clone()
        made.person("bob").clone()
        made.person("carol").clone()  # whom the policy does not know
        yield made


def _findings(person: Person, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    done = person.kv("doctor", "--json", *words, check=False)
    assert done.code == code, done
    found = [json.loads(line) for line in done.out.splitlines()]
    return {entry["check"]: entry for entry in found}


def test_whoami_tells_the_principal_and_where_it_may_write(scene: World) -> None:
    told = json.loads(scene.person("alice").kv("whoami", "--json").out)
    assert (told["principal"], told["admin"], told["may_write"]) == ("alice", True, True)
    assert (told["prefixes"], told["reads"], told["writes"]) == ([], str(scene.mirror), scene.url)
    assert told["key"].startswith("SHA256:") and told["missing"] == []
    assert b"principal  bob\n" in scene.person("bob").kv("whoami").out


def test_somebody_the_policy_does_not_know_is_told_whom_to_ask(scene: World) -> None:
    done = scene.person("carol").kv("whoami")
    assert b"may write  nothing in main" in done.out and b"(not in the policy)" in done.out
    assert "ask an admin" in done.err
    found = _findings(scene.person("carol"), code=5)
    assert {name for name, one in found.items() if one["state"] == "problem"} == {
        "signing",
        "log-in",
    }
    assert all(one["fix"] for one in found.values() if one["state"] == "problem")


def test_status_tells_what_is_proved_and_what_the_mirror_has_shown(scene: World) -> None:
    alice = scene.person("alice")
    commit = alice.kv("set", "cfg:a", "1").out.decode().strip()
    scene.wait_for_mirror()
    before = json.loads(alice.kv("status", "--json").out)
    assert (before["commit"], before["without_receipt"]) == (commit, 1)
    alice.git("config", "kv.maxAge", "0s")
    after = json.loads(alice.kv("status", "--read-from", "mirror", "--json").out)
    assert after["receipt_seq"] == after["mirror_seq"] == after["seq"]
    assert after["without_receipt"] == 0 and after["looked_s"] is not None


def test_a_healthy_clone_has_no_problem_and_offline_leaves_the_network_out(scene: World) -> None:
    found = _findings(scene.person("bob"))
    assert {one["state"] for one in found.values()} == {"ok"}
    assert "as bob" in found["signing"]["text"] and "lets you in" in found["log-in"]["text"]
    quiet = _findings(scene.person("bob"), "--offline")
    assert (quiet["mirror"]["state"], quiet["log-in"]["state"]) == ("skipped", "skipped")


@pytest.mark.parametrize(
    ("settings", "check", "fix"),
    [
        (["user.signingkey", "/nonexistent"], "signing", "user.signingkey"),
        (["user.email", " "], "identity", "git config"),
        (["remote.origin.pushurl", "ssh://git@127.0.0.1:1/x.git"], "policy", "remote setup"),
        (["remote.origin.url", "/nonexistent"], "mirror", ""),
        (["--unset-all", "remote.origin.fetch"], "refspecs", "remote setup"),
        (["core.sshCommand", "ssh -F none -o BatchMode=yes -o UserKnownHostsFile=none "
          "-o StrictHostKeyChecking=yes"], "log-in", "host"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_named_with_what_mends_it(
    scene: World, tmp_path: Path, settings: list[str], check: str, fix: str
) -> None:
    bob = scene.person("bob")
    config = bob.clone_dir / ".git" / "config"
    before = config.read_bytes()
    try:
        bob.git("config", *settings)
        found = _findings(bob, code=5)
        assert found[check]["state"] == "problem", found
        assert fix in found[check]["fix"], found[check]
        assert bob.kv("doctor", check=False).out.count(b"problem ") >= 1
    finally:
        config.write_bytes(before)


def test_a_policy_is_shown_checked_and_tried_out_offline(scene: World, tmp_path: Path) -> None:
    alice, draft = scene.person("alice"), tmp_path / "policy.yaml"
    text = alice.kv("policy", "show").out
    draft.write_bytes(text.replace(b"bob: {}", b'bob: {prefixes: ["cfg:"]}'))
    assert b"may follow the present one" in alice.kv("policy", "check", str(draft)).out
    words = ("policy", "test", "--as", "bob", "cfg:a", "flag:x")
    assert alice.kv(*words).out == b"allowed  cfg:a\nallowed  flag:x\n"
    done = alice.kv(*words, "--file", str(draft), check=False)
    assert (done.code, done.out) == (
        3,
        b"allowed  cfg:a\nrefused  flag:x  (bob may write cfg:)\n",
    )
    assert b"allowed  x\n" in scene.person("bob").kv("policy", "test", "x").out
    draft.write_bytes(text.replace(b"namespaces:", b"namespaces:\n  other: [\n"))
    done = alice.kv("policy", "check", str(draft), "--json", check=False)
    reasons = json.loads(done.err)["reasons"]
    assert done.code == 3 and reasons[0]["where"].startswith(f"{draft}:")


def test_a_draft_that_takes_the_namespace_away_may_not_follow(scene: World, tmp_path: Path) -> None:
    alice, draft = scene.person("alice"), tmp_path / "policy.yaml"
    text = alice.kv("policy", "show").out
    draft.write_bytes(text.replace(b"\n  main:\n", b"\n  other:\n"))
    done = alice.kv("policy", "check", str(draft), check=False)
    assert done.code == 3 and "policy.namespace-removed" in done.err


def test_a_dry_run_says_whether_the_policy_lets_it_and_sends_nothing(scene: World) -> None:
    alice, carol = scene.person("alice"), scene.person("carol")
    before = scene.refs(scene.gate)
    told = json.loads(alice.kv("set", "dry", "1", "--dry-run", "--json").out)
    assert (told["allowed"], told["principal"], told["reasons"]) == (True, "alice", [])
    done = carol.kv("set", "dry", "1", "--dry-run", check=False)
    assert (done.code, done.out) == (3, b"A\tdry\n") and "unknown-key" in done.err
    assert scene.refs(scene.gate) == before
