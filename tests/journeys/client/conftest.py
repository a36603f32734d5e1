"""A server that takes pushes, a mirror that shows them, and clones between them: plain git
repositories, and an ssh that stays at home.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from conftest import GitRunner, SshKey
from support.small_gateway import SmallGateway

from gitkv import Store
from gitkv.client.init import init_store
from gitkv.policy.template import format_policy

_FAKE_SSH = """\
#!{python}
# Runs the remote command here. While the file "lose" exists, each push uses up one letter of it and
# gets no answer after the greeting: "a" loses the answer of a push that happened, "p" loses the
# push itself. Pushes take turns: stock git moves one ref after the other, and a greeting between
# the two is one that no Stargate gives.
import fcntl, os, subprocess, sys

command = sys.argv[-1]
marker = {marker!r}
mode = open(marker).read()[:1] if os.path.exists(marker) and "receive-pack" in command else ""
if "receive-pack" in command:
    turn = os.open({log!r} + ".turn", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(turn, True)
    fcntl.flock(turn, fcntl.LOCK_EX)
open({log!r}, "a").write(command.split()[0] + "\\n")
if not mode:
    os.execvp("sh", ["sh", "-c", command])
left = open(marker).read()[1:]
open(marker, "w").write(left) if left else os.unlink(marker)
pipe = subprocess.PIPE
child = subprocess.Popen(["sh", "-c", command], stdout=pipe, stdin=pipe if mode == "p" else None)
while True:
    head = child.stdout.read(4)
    sys.stdout.buffer.write(head)
    if head == b"0000":
        break
    sys.stdout.buffer.write(child.stdout.read(int(head, 16) - 4))
sys.stdout.buffer.flush()
if mode == "p":
    os.read(0, 1)
    child.stdin.close()
child.stdout.read()
child.wait()
"""


class Team:
    """One server, one mirror, any number of clones."""

    def __init__(self, root: Path, git: GitRunner, admin: SshKey) -> None:
        self.root, self.git, self.admin = root, git, admin
        self.server, self.mirror = root / "server.git", root / "mirror.git"
        self.lose_marker, self.ssh_log = root / "lose", root / "ssh.log"
        self.ssh = root / "fake-ssh"
        self.ssh.write_text(
            _FAKE_SSH.format(
                python=sys.executable, marker=str(self.lose_marker), log=str(self.ssh_log)
            )
        )
        self.ssh.chmod(0o755)
        self.opened: list[Store] = []
        self.gateway = SmallGateway(self.server)
        self.gateway.found(self.policy)
        git("init", "--quiet", "--bare", self.mirror)
        self.publish()

    def policy(
        self,
        gateway_key: str,
        *,
        push_url: str | None = None,
        writers: Sequence[tuple[str, str]] = (),
    ) -> bytes:
        """A policy that lets anybody write unsigned. `writers`: those besides alice, who is the
        admin, by name and public key line.
        """
        url = f"ssh://stargate.invalid{self.server}" if push_url is None else push_url
        text = format_policy(url, ("alice", self.admin.public), writers, gateway_key)
        return text.replace(b"signatures: required", b"signatures: optional")

    def publish(self) -> None:
        """What the mirror worker does."""
        self.git("push", "--quiet", "--mirror", self.mirror, cwd=self.server)

    def clone(self, name: str, max_age: str = "0") -> Store:
        """A new clone that writes to the server and reads the mirror, set up by hand."""
        path = self.root / name
        self.git("init", "--quiet", path)
        for key, value in {
            "remote.origin.url": str(self.mirror),
            "remote.origin.pushurl": f"ssh://stargate.invalid{self.server}",
            "kv.remote": "origin",
            "kv.maxAge": max_age,
        }.items():
            self.git("config", key, value, cwd=path)
        return self.open(name)

    def open(self, name: str, warn: Callable[[str], None] | None = None) -> Store:
        env = {**os.environ, "GIT_SSH_COMMAND": str(self.ssh), "GIT_SSH_VARIANT": "ssh"}
        store = Store.open(self.root / name, env=env, **({"warn": warn} if warn else {}))
        self.opened.append(store)
        return store

    def tip(self, repository: Path, ref: str = "refs/kv/main") -> str:
        return self.git("rev-parse", ref, cwd=repository).decode().strip()

    def set_back(self, repository: Path, steps: int = 1) -> None:
        """Rewinds ledger and index, as a restored backup or a malicious host would."""
        for ref in ("refs/kv/main", "refs/kv-index/main"):
            self.git("update-ref", ref, f"{ref}~{steps}", cwd=repository)


@pytest.fixture
def team(tmp_path: Path, git: GitRunner, ssh_key: SshKey) -> Iterator[Team]:
    made = Team(tmp_path, git, ssh_key)
    yield made
    for store in made.opened:
        store.close()


@pytest.fixture
def store(repo: Path) -> Iterator[Store]:
    """A fresh standalone store."""
    init_store(repo)
    with Store.open(repo) as opened:
        yield opened
