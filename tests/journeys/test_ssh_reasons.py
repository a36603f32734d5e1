"""Why Stargate cannot be reached: ssh's, git's and the host's own words, whether trying again makes
sense, and the likely reason. Every failure here is a real one, of a real ssh and a real Stargate.
"""

from __future__ import annotations

import json
import shlex
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gitkv.testing.world import Done, Person, World, free_port, make_key, run

WAYS = {
    "write": ("set", "k", "v"),
    "read": ("get", "k", "--read-from=stargate"),
    "wait": ("wait", "--oid", "0" * 40, "--visible-on=stargate", "--timeout", "5s"),
}


class Said(NamedTuple):
    """What a command answered in JSON."""

    code: int
    error: str
    retry: str
    hint: str


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("scene")).create().start()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def alice(scene: World) -> Person:
    return scene.person("alice").clone()


def _ssh(key: Path | str, known_hosts: Path, *more: str) -> str:
    return shlex.join(
        [
            *("ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes"),
            *("-o", "IdentityAgent=none", "-o", f"UserKnownHostsFile={known_hosts}"),
            *("-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes", *more),
        ]
    )


def _said(done: Done) -> Said:
    assert "Traceback" not in done.err
    assert done.err.count("\n") == 1, done.err
    told = json.loads(done.err)
    return Said(done.code, told["error"], told["retry"], told["hint"])


def _ask(person: Person, way: str, ssh: str, url: str = "") -> Said:
    """The answer to a command that goes to Stargate in one of three ways."""
    options = ["-c", f"remote.origin.pushurl={url}"] if url else []
    environment = dict(person.env)
    person.env["GIT_SSH_COMMAND"] = ssh
    if options:
        person.env |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "remote.origin.pushurl",
            "GIT_CONFIG_VALUE_0": url,
        }
    try:
        return _said(person.kv(*WAYS[way], "--json", check=False))
    finally:
        person.env.clear()
        person.env |= environment


def _fingerprint(key: Path) -> str:
    done = run(["ssh-keygen", "-l", "-f", str(key)], {}, key.parent)
    return done.out.decode().split(" ")[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_key_that_is_not_in_the_policy(scene: World, alice: Person, way: str) -> None:
    stranger = scene.person("stranger")
    said = _ask(alice, way, _ssh(stranger.key, scene.known_hosts))
    assert (said.code, said.retry) == (5, "never")
    assert "Permission denied (publickey)" in said.error
    assert _fingerprint(stranger.key) in said.error
    assert "is not in the policy" in said.error
    assert "IdentityFile" in said.hint


@pytest.mark.parametrize("way", WAYS)
def test_no_key_and_a_key_file_that_is_not_there(scene: World, alice: Person, way: str) -> None:
    said = _ask(alice, way, _ssh("none", scene.known_hosts))
    assert (said.code, said.retry) == (5, "never")
    assert "ssh offered no key" in said.error
    said = _ask(alice, way, _ssh("/nonexistent/key", scene.known_hosts))
    assert (said.code, said.retry) == (5, "never")
    assert "/nonexistent/key not accessible" in said.error
    assert "IdentityFile" in said.hint


@pytest.mark.parametrize("way", WAYS)
def test_a_key_file_that_others_may_read(
    scene: World, alice: Person, tmp_path: Path, way: str
) -> None:
    key = tmp_path / "key"
    key.write_bytes(alice.key.read_bytes())
    key.chmod(0o644)
    said = _ask(alice, way, _ssh(key, scene.known_hosts))
    assert (said.code, said.retry) == (5, "never")
    assert "bad permissions" in said.error


@pytest.mark.parametrize("way", WAYS)
def test_a_host_key_that_has_changed(scene: World, alice: Person, tmp_path: Path, way: str) -> None:
    make_key(tmp_path / "other", "x")
    wrong = tmp_path / "known_hosts"
    line = (tmp_path / "other.pub").read_text()
    wrong.write_text(f"[127.0.0.1]:{scene.port} {line}")
    said = _ask(alice, way, _ssh(alice.key, wrong))
    assert (said.code, said.retry) == (5, "never")
    assert "host key has changed" in said.error
    assert _fingerprint(scene.gate / "kv" / "host_key") in said.error
    assert str(wrong) in said.error
    assert "operator" in said.hint and "ssh-keygen -R" in said.hint


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("strictness", ["ask", "yes"])
def test_a_host_key_that_is_not_known(
    scene: World, alice: Person, tmp_path: Path, way: str, strictness: str
) -> None:
    ssh = _ssh(alice.key, tmp_path / "nothing", "-o", f"StrictHostKeyChecking={strictness}")
    said = _ask(alice, way, ssh)
    assert (said.code, said.retry) == (5, "never")
    assert "Host key verification failed" in said.error
    assert _fingerprint(scene.gate / "kv" / "host_key") in said.error
    assert "operator" in said.hint


@pytest.mark.parametrize("way", ["write", "read"])
def test_a_closed_port_and_an_unknown_name_may_be_tried_again(
    scene: World, alice: Person, way: str
) -> None:
    ssh = _ssh(alice.key, scene.known_hosts)
    said = _ask(alice, way, ssh, f"ssh://git@127.0.0.1:{free_port()}/gate.git")
    assert (said.code, said.retry) == (5, "later")
    assert "Connection refused" in said.error
    said = _ask(alice, way, ssh, "ssh://git@no-such-host.invalid/gate.git")
    assert (said.code, said.retry) == (5, "later")
    assert "Could not resolve hostname no-such-host.invalid" in said.error


@pytest.mark.parametrize("way", ["write", "read"])
def test_a_host_that_does_not_answer_in_time_may_be_tried_again(
    scene: World, alice: Person, way: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ssh = _ssh(alice.key, scene.known_hosts, "-o", "ConnectTimeout=1")
        port = silent.getsockname()[1]
        said = _ask(alice, way, ssh, f"ssh://git@127.0.0.1:{port}/gate.git")
    assert (said.code, said.retry) == (5, "later")
    assert "timed out" in said.error


@pytest.mark.parametrize("way", ["write", "read"])
def test_a_connection_that_is_cut_may_be_tried_again(scene: World, alice: Person, way: str) -> None:
    """After the greeting, in the middle of the handshake."""

    def cut(server: socket.socket) -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer, socket.create_connection(("127.0.0.1", scene.port)) as gate:
                peer.sendall(gate.recv(4096))
                peer.recv(64)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=cut, args=(server,), daemon=True)
        thread.start()
        ssh = _ssh(alice.key, scene.known_hosts)
        port = server.getsockname()[1]
        said = _ask(alice, way, ssh, f"ssh://git@127.0.0.1:{port}/gate.git")
        server.shutdown(socket.SHUT_RDWR)
    assert (said.code, said.retry) == (5, "later")
    assert "127.0.0.1" in said.error


@pytest.mark.parametrize("way", ["write", "read"])
def test_another_repository_than_the_one_that_is_served(
    scene: World, alice: Person, way: str
) -> None:
    ssh = _ssh(alice.key, scene.known_hosts)
    said = _ask(alice, way, ssh, scene.url.replace("gate.git", "other.git"))
    assert (said.code, said.retry) == (5, "never")
    assert "one repository only" in said.error
    assert "address" in said.hint


@pytest.mark.parametrize("way", ["write", "read"])
def test_an_ssh_that_cannot_run(scene: World, alice: Person, way: str) -> None:
    said = _ask(alice, way, "no-such-ssh -x", scene.url.replace(f":{scene.port}", ""))
    assert (said.code, said.retry) == (5, "never")
    assert "no-such-ssh" in said.error
    said = _ask(alice, way, _ssh(alice.key, scene.known_hosts, "-o", "NoSuchOption=1"))
    assert (said.code, said.retry) == (5, "never")
    assert "Bad configuration option" in said.error


def test_a_revoked_key_and_an_expired_one(scene: World, alice: Person) -> None:
    bob = scene.person("bob").clone()
    bob.git("config", "kv.maxAge", "0")
    file = alice.clone_dir / ".kv" / "policy.yaml"
    line = " ".join(bob.public_key.read_text().split(" ")[:2])
    plain = file.read_text()
    for field, words in (
        ("revoked: true", "was revoked (bob)"),
        ("not_after: 2020-01-01T00:00:00Z", "has expired (bob)"),
    ):
        row = next(row for row in plain.split("\n") if line in row)
        indent = row[: row.index("-")]
        file.write_text(plain.replace(row, f"{indent}- key: {line}\n{indent}  {field}"))
        _publish(scene, alice)
        if field.startswith("revoked"):
            said = _said(bob.kv("set", "k", "v", "--json", check=False))
            assert "yet Stargate refused it" in said.error  # the clone has the older policy
            assert "remote setup" in said.hint and "add your" not in said.hint
        bob.kv("list")  # which looks at the mirror, and so learns the new policy
        said = _said(bob.kv("set", "k", "v", "--json", check=False))
        assert (said.code, said.retry) == (5, "never")
        assert words in said.error
        assert "admin" in said.hint and "new key" in said.hint
        if field.startswith("revoked"):
            assert "(ssh, revoked)" in bob.kv("remote", "setup").out.decode()
    file.write_text(plain)
    _publish(scene, alice)


def _publish(scene: World, admin: Person) -> None:
    """The policy in the admin's work tree."""
    admin.git("commit", "--quiet", "-S", "-am", "policy")
    admin.git("push", "--quiet", "origin", "HEAD:main")
    scene.wait_for_mirror()


def test_a_refused_mirror_says_why_and_reads_go_on(scene: World, alice: Person) -> None:
    """The mirror, too, is reached by ssh: here it is Stargate itself, which serves fetches."""
    alice.kv("set", "known", "v")
    environment = dict(alice.env)
    stranger = scene.person("stranger")
    alice.env |= {
        "GIT_SSH_COMMAND": _ssh(stranger.key, scene.known_hosts),
        "GIT_CONFIG_COUNT": "3",
        "GIT_CONFIG_KEY_0": "url." + scene.url + ".insteadOf",
        "GIT_CONFIG_VALUE_0": str(scene.mirror),
        "GIT_CONFIG_KEY_1": "kv.maxAge",
        "GIT_CONFIG_VALUE_1": "0",
        "GIT_CONFIG_KEY_2": "protocol.version",
        "GIT_CONFIG_VALUE_2": "2",
    }
    try:
        done = alice.kv("get", "known", check=False)
    finally:
        alice.env.clear()
        alice.env |= environment
    assert (done.code, done.out) == (0, b"v")
    assert "Permission denied (publickey)" in done.err
