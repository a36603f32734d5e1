"""A small world on loopback: a mirror, a Stargate in its own process, people with keys and clones.
Everything is real.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SRC = Path(__file__).resolve().parents[2] / "src"
START_TIMEOUT_S = 30.0


class Done(NamedTuple):
    """A finished command."""

    code: int
    out: bytes
    err: str


class Person:
    """Somebody with an SSH key, an identity and perhaps a clone. `env` is the environment their
    commands run in.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.home = world.root / name
        self.home.mkdir()
        self.key = self.home / "id_ed25519"
        subprocess.run(
            [
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                f"{name}@laptop",
                "-f",
                str(self.key),
            ],
            check=True,
        )
        self.clone_dir = self.home / "store"
        ssh = (
            f"ssh -F /dev/null -i {self.key} -o IdentitiesOnly=yes -o BatchMode=yes -o "
            f"UserKnownHostsFile={world.known_hosts}"
        )
        (self.home / ".gitconfig").write_text(
            f"[user]\n\tname = {name.title()}\n\temail = {name}@example.com\n\tsigningkey = "
            f"{self.key}\n"
            "[gpg]\n\tformat = ssh\n[init]\n\tdefaultBranch = main\n"
        )
        self.env = world.base_env() | {
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
            "GIT_SSH_COMMAND": ssh,
        }

    @property
    def public_key(self) -> Path:
        return self.key.with_suffix(".pub")

    def git(
        self, *args: str, stdin: bytes = b"", check: bool = True, cwd: Path | None = None
    ) -> Done:
        """Stock git, in the clone."""
        return run(
            ["git", *args],
            self.env,
            cwd or (self.clone_dir if self.clone_dir.exists() else self.home),
            stdin,
            check,
        )

    def kv(
        self, *args: str, stdin: bytes = b"", check: bool = True, cwd: Path | None = None
    ) -> Done:
        """`git kv ...`, in the clone."""
        command = [sys.executable, "-m", "gitkv", *args]
        return run(
            command,
            self.env,
            cwd or (self.clone_dir if self.clone_dir.exists() else self.home),
            stdin,
            check,
        )

    def clone(self) -> Person:
        """Clones the mirror and sets up the remote, as the README says."""
        self.git("clone", "--quiet", str(self.world.mirror), str(self.clone_dir), cwd=self.home)
        self.kv("remote", "setup")
        return self


class World:
    """`root` is a fresh directory. `start` runs the daemon; `stop` ends it politely, `kill` does
    not.
    """

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
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "SSH_"))
        }
        return kept | {"PYTHONPATH": str(SRC), "LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}

    def person(self, name: str) -> Person:
        if name not in self.people:
            self.people[name] = Person(self, name)
        return self.people[name]

    def create(
        self, admin: str = "alice", writers: Sequence[str] = ("bob",), port: int = 0
    ) -> World:
        """Mirror and Stargate with its first state on the mirror; not yet serving."""
        self.port = port or free_port()
        people = [self.person(name) for name in (admin, *writers)]
        run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.mirror)],
            people[0].env,
            self.root,
        )
        words = [
            part
            for person in people[1:]
            for part in ("--writer", f"{person.name}={person.public_key}")
        ]
        people[0].kv(
            "stargate",
            "init",
            str(self.gate),
            "--mirror",
            str(self.mirror),
            "--admin",
            f"{admin}={people[0].public_key}",
            *words,
            "--push-url",
            self.url,
            cwd=self.root,
        )
        host_key = subprocess.run(
            ["ssh-keygen", "-y", "-f", str(self.gate / "kv" / "host_key")],
            check=True,
            capture_output=True,
        ).stdout
        self.known_hosts.write_bytes(f"[127.0.0.1]:{self.port} ".encode() + host_key)
        return self

    @property
    def url(self) -> str:
        return f"ssh://git@127.0.0.1:{self.port}/gate.git"

    def start(
        self,
        *args: str,
        command: Sequence[str] = ("-m", "gitkv", "stargate", "serve"),
        env: Mapping[str, str] | None = None,
    ) -> World:
        """Starts the daemon and waits until it answers. `command` may name another way to start the
        same daemon (with a fault planted).
        """
        ready = self.root / "port"
        ready.unlink(missing_ok=True)
        line = [
            sys.executable,
            *command,
            str(self.gate),
            "--ssh",
            f"127.0.0.1:{self.port}",
            "--port-file",
            str(ready),
            *args,
        ]
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                line, env=self.base_env() | dict(env or {}), stderr=log, stdin=subprocess.DEVNULL
            )
        wait_until(
            lambda: ready.exists() or self.daemon is None or self.daemon.poll() is not None,
            START_TIMEOUT_S,
        )
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
        if self.daemon is not None:
            self.kill()

    def refs(self, repository: Path) -> dict[str, str]:
        """All refs of a repository."""
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
            return (
                ours.get(f"refs/kv/{ns}")
                == shown.get(f"refs/kv/{ns}")
                == ours.get(f"refs/kv-mirror/{ns}")
            )

        wait_until(caught_up, timeout_s)


@contextmanager
def world(root: Path, **order: object) -> Iterator[World]:
    """A created and started world, ended by its own process id."""
    made = World(root).create(**order)  # type: ignore[arg-type]
    try:
        yield made.start()
    finally:
        made.close()


def run(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    stdin: bytes = b"",
    check: bool = True,
) -> Done:
    done = subprocess.run(
        list(command),
        env=dict(env),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=300,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)}: exit {done.returncode}\n{done.stdout.decode(errors='replace')}\n"
            f"{done.stderr.decode(errors='replace')}"
        )
    return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def wait_until(holds: object, timeout_s: float) -> None:
    """Polls until `holds()` is true; AssertionError when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not holds():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s")
        time.sleep(0.02)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
