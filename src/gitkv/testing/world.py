"""A small world on loopback: a mirror, a Stargate in a process of its own, people with keys and
clones. Everything is real: git, ssh, signatures.

For tests of programs that write through a Stargate, and for git-kv's own tests, demo and benches.

    with world(tmp_path) as scene:
        alice = scene.person("alice").clone()
        alice.kv("set", "cfg:region", "eu-west-1")
        scene.wait_for_mirror()

Needs git, an OpenSSH client and the `stargate` extra. Nothing listens beyond 127.0.0.1.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

START_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 300.0

_PACKAGES = Path(__file__).resolve().parents[2]  # where `gitkv` is imported from
_HIDDEN = ("GIT_", "SSH_")


class Done(NamedTuple):
    """A finished command: exit code, stdout, stderr."""

    code: int
    out: bytes
    err: str


class Person:
    """Somebody with a home, an SSH key, an identity and perhaps a clone. `env` is the environment
    their commands run in; `ssh` the client they connect with.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.home = world.root / name
        self.clone_dir = self.home / "store"
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        self.key = self.home / ".ssh" / "id_ed25519"
        make_key(self.key, f"{name}@laptop")
        # ssh takes the home directory from the password database, not from HOME, so a person's key
        # and known hosts are named here.
        self.ssh = (
            f"ssh -F none -i {shlex.quote(str(self.key))} -o IdentitiesOnly=yes"
            " -o IdentityAgent=none -o BatchMode=yes -o StrictHostKeyChecking=yes"
            f" -o UserKnownHostsFile={shlex.quote(str(world.known_hosts))}"
            " -o GlobalKnownHostsFile=none"
        )
        config = self.home / ".gitconfig"
        self.env = world.base_env() | {"HOME": str(self.home), "GIT_CONFIG_GLOBAL": str(config)}
        for setting, value in self.settings().items():
            run(["git", "config", "--file", str(config), setting, value], self.env, self.home)

    def settings(self) -> dict[str, str]:
        """Their global git configuration."""
        return {
            "user.name": self.name.title(),
            "user.email": f"{self.name}@example.com",
            "user.signingkey": str(self.key),
            "gpg.format": "ssh",
            "core.sshCommand": self.ssh,
            "init.defaultBranch": "main",
        }

    @property
    def public_key(self) -> Path:
        """The file with the public half of their key."""
        return self.key.with_suffix(".pub")

    def git(
        self, *args: str, stdin: bytes = b"", check: bool = True, cwd: Path | None = None
    ) -> Done:
        """Stock git, in the clone if there is one. With `check`, raises AssertionError on
        failure.
        """
        return run(["git", *args], self.env, cwd or self._here(), stdin, check)

    def kv(
        self, *args: str, stdin: bytes = b"", check: bool = True, cwd: Path | None = None
    ) -> Done:
        """`git kv ...`, in the clone if there is one. With `check`, raises AssertionError on
        failure.
        """
        return run([*self.world.program, *args], self.env, cwd or self._here(), stdin, check)

    def clone(self) -> Person:
        """Clones the mirror and sets up the remote, as the README says."""
        self.git("clone", "--quiet", str(self.world.mirror), str(self.clone_dir), cwd=self.home)
        self.kv("remote", "setup")
        return self

    def _here(self) -> Path:
        return self.clone_dir if self.clone_dir.exists() else self.home


class World:
    """`root`: a fresh directory. `start` runs the daemon, `stop` ends it politely, `kill` does
    not.
    """

    program: Sequence[str] = (sys.executable, "-m", "gitkv")

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mirror = root / "mirror.git"
        self.gate = root / "gate.git"
        self.log = root / "serve.log"
        self.known_hosts = root / "known_hosts"
        self.port = 0
        self.daemon: subprocess.Popen[bytes] | None = None
        self.people: dict[str, Person] = {}

    def base_env(self) -> dict[str, str]:
        """The environment of everything here: the caller's, without what would redirect git."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
        return kept | {
            "PYTHONPATH": str(_PACKAGES),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }

    def person(self, name: str) -> Person:
        """Somebody by name; made when first asked for."""
        if name not in self.people:
            self.people[name] = Person(self, name)
        return self.people[name]

    def create(
        self, admin: str = "alice", writers: Sequence[str] = ("bob",), port: int = 0
    ) -> World:
        """Mirror and Stargate with its first state on the mirror; not yet serving."""
        self.port = port or free_port()
        people = [self.person(name) for name in (admin, *writers)]
        people[0].git("init", "--quiet", "--bare", "--initial-branch=main", str(self.mirror))
        people[0].git("config", "uploadpack.allowFilter", "true", cwd=self.mirror)  # as hosts do
        keys = [f"{person.name}={person.public_key}" for person in people]
        people[0].kv(
            *("stargate", "init", str(self.gate)),
            *("--mirror", str(self.mirror), "--push-url", self.url, "--admin", keys[0]),
            *(word for key in keys[1:] for word in ("--writer", key)),
            cwd=self.root,
        )
        host_key = run(
            ["ssh-keygen", "-y", "-f", str(self.gate / "kv" / "host_key")],
            self.base_env(),
            self.root,
        )
        self.known_hosts.write_bytes(f"[127.0.0.1]:{self.port} ".encode() + host_key.out)
        return self

    @property
    def url(self) -> str:
        """Where writers push."""
        return f"ssh://git@127.0.0.1:{self.port}/{self.gate.name}"

    def start(
        self,
        *args: str,
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> World:
        """Starts the daemon and waits until it answers. `command`: words after `python` that start
        the same daemon another way (such as with a fault planted). Raises AssertionError with its
        log when it ends instead.
        """
        ready = self.root / "port"
        ready.unlink(missing_ok=True)
        line = [
            *([sys.executable, *command] if command else [*self.program, "stargate", "serve"]),
            *(str(self.gate), "--ssh", f"127.0.0.1:{self.port}", "--port-file", str(ready), *args),
        ]
        with self.log.open("ab") as log:
            daemon = self.daemon = subprocess.Popen(
                line,
                env=self.base_env() | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a test or demo is for the test or demo
            )
        wait_until(lambda: ready.exists() or daemon.poll() is not None, START_TIMEOUT_S)
        if not ready.exists():
            raise AssertionError(f"Stargate did not start:\n{self.log.read_text()}")
        return self

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(60)
        self.daemon = None
        return code

    def kill(self) -> None:
        """kill -9, as power cuts and out-of-memory killers do."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait(60)
        self.daemon = None

    def close(self) -> None:
        """Ends the daemon, if it runs."""
        if self.daemon is not None:
            self.kill()

    def refs(self, repository: Path) -> dict[str, str]:
        """All refs of a repository: name to hex id."""
        done = run(
            ["git", "for-each-ref", "--format=%(refname) %(objectname)"],
            self.base_env(),
            repository,
        )
        return dict(line.split(" ") for line in done.out.decode().splitlines())

    def wait_for_mirror(self, ns: str = "main", timeout_s: float = 20.0) -> None:
        """Until the mirror's ledger and policy are Stargate's, and Stargate has noted that."""

        def caught_up() -> bool:
            ours, shown = self.refs(self.gate), self.refs(self.mirror)
            if ours["refs/heads/main"] != shown.get("refs/heads/main"):
                return False
            tip = ours.get(f"refs/kv/{ns}")
            return tip == shown.get(f"refs/kv/{ns}") == ours.get(f"refs/kv-mirror/{ns}")

        wait_until(caught_up, timeout_s)


@contextmanager
def world(
    root: Path, admin: str = "alice", writers: Sequence[str] = ("bob",), port: int = 0
) -> Iterator[World]:
    """A created and started world in the directory `root`, ended by its own process id."""
    made = World(root).create(admin, writers, port)
    try:
        yield made.start()
    finally:
        made.close()


def make_key(path: Path, comment: str) -> None:
    """An Ed25519 key pair without a passphrase, at `path` and `path`.pub."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    run(words, os.environ, path.parent)


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    stdin: bytes = b"",
    check: bool = True,
) -> Done:
    """Runs a command to its end. With `check`, raises AssertionError, output included, when it
    fails.
    """
    done = subprocess.run(
        list(command),
        env=dict(env),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)}: exit {done.returncode}\n{done.stdout.decode(errors='replace')}\n"
            f"{done.stderr.decode(errors='replace')}"
        )
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def wait_until(holds: Callable[[], object], timeout_s: float) -> None:
    """Polls until `holds()` is true. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s")
        time.sleep(0.02)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
