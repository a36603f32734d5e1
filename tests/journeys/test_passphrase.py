"""A key with a passphrase, at a terminal: one command asks once, whatever it signs and however
often ssh connects.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv.testing.world import Person, World

PASSPHRASE = "open sesame"
_PROMPT = re.compile(rb"[Pp]assphrase[^\n]*: ?")
_SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Person, Person]]:
    """Alice, whose only key is locked and who has no agent, and bob."""
    world = World(tmp_path_factory.mktemp("w")).create().start()
    try:
        alice, bob = (world.person(name).clone() for name in ("alice", "bob"))
        words = ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", str(alice.key)]
        subprocess.run(words, check=True)
        alice.git(
            "config",
            "--global",
            "core.sshCommand",
            alice.ssh.replace(" -o IdentityAgent=none", "").replace(" -o BatchMode=yes", ""),
        )
        tmp = alice.home / "tmp"
        tmp.mkdir()
        alice.env = {k: v for k, v in alice.env.items() if k != "SSH_AUTH_SOCK"}
        alice.env |= {"TMPDIR": str(tmp)}
        yield alice, bob
    finally:
        world.close()


def _at_a_terminal(person: Person, *words: str, answer: str = PASSPHRASE) -> tuple[int, bytes, int]:
    """Exit code, all that was shown, and how often a passphrase was asked for."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.chdir(person.clone_dir)
            os.execvpe(person.world.program[0], [*person.world.program, *words], person.env)
        finally:
            os._exit(127)
    shown, asked, seen = b"", 0, 0
    deadline = time.monotonic() + _SECONDS_MAX
    while True:
        if not select.select([fd], [], [], max(deadline - time.monotonic(), 0))[0]:
            os.kill(pid, signal.SIGKILL)
            break
        try:
            data = os.read(fd, 4096)
        except OSError:  # how a pty says that the other end is closed
            data = b""
        if not data:
            break
        shown += data
        while found := _PROMPT.search(shown, seen):
            seen, asked = found.end(), asked + 1
            os.write(fd, answer.encode() + b"\n")
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), shown, asked


def _left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if "git-kv" in path.name]


def test_a_set_that_has_to_be_built_again_asks_once(people: tuple[Person, Person]) -> None:
    alice, bob = people
    bob.kv("set", "cfg:x", "his")  # so alice's clone is old: it fetches, over ssh, and signs twice
    code, shown, asked = _at_a_terminal(alice, "set", "cfg:y", "hers")
    assert (code, asked) == (0, 1), shown
    assert bob.kv("get", "--read-from=stargate", "cfg:y").out == b"hers"
    assert _left(alice.home / "tmp") == []


def test_a_wrong_passphrase_ends_the_command_with_the_way_out(
    people: tuple[Person, Person],
) -> None:
    alice, _ = people
    code, shown, _ = _at_a_terminal(alice, "set", "cfg:z", "1", answer="")
    assert code == 5 and b"stays locked" in shown and b"ssh-add" in shown, shown
    assert _left(alice.home / "tmp") == []


def test_an_agent_of_ones_own_is_used_as_it_is(people: tuple[Person, Person]) -> None:
    alice, _ = people
    socket = alice.home / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _SECONDS_MAX
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        ask = alice.home / "ask"
        ask.write_text(f'#!/bin/sh\necho "{PASSPHRASE}"\n')
        ask.chmod(0o700)
        env = alice.env | {"SSH_AUTH_SOCK": str(socket)}
        asking = env | {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(["ssh-add", "-q", alice.key], env=asking, check=True, stdin=-3)
        before, alice.env = alice.env, env
        try:
            code, shown, asked = _at_a_terminal(alice, "set", "cfg:w", "1")
        finally:
            alice.env = before
        assert (code, asked) == (0, 0), shown
    finally:
        agent.terminate()
        agent.wait()
