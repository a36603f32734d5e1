"""The stage: one directory with a mirror, a Stargate process on loopback, and people with homes,
keys and clones. Nothing is pretended.

A command is run as a person would type it, in that person's home and environment, and what it must
do is said beforehand: another exit code or other words raise `Deviation`, which ends the demo.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from screen import Screen

START_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 120.0


class Deviation(Exception):
    """Something went another way than the demo says it does."""


class Done(NamedTuple):
    """A finished command."""

    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        return self.out + self.err


class Seen(NamedTuple):
    """A line of the summary. `seconds` is 0 where time is not the point."""

    what: str
    outcome: str
    seconds: float = 0.0


class Person:
    """Somebody with a home of their own. Calling a person types a command into their shell."""

    def __init__(self, stage: Stage, name: str, email: str = "") -> None:
        self.stage, self.name = stage, name
        self.home = stage.root / name
        self.here = self.home  # where their shell is
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        self.key = self.home / ".ssh" / "id_ed25519"
        # ssh finds its home in the password database, not in HOME, so a person's key and known
        # hosts are named here.
        ssh = (
            f"ssh -F none -i {shlex.quote(str(self.key))} -o IdentitiesOnly=yes -o "
            "IdentityAgent=none -o BatchMode=yes"
            f" -o UserKnownHostsFile={shlex.quote(str(stage.known_hosts))} -o "
            "GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes"
        )
        settings = {
            "user.name": name.title(),
            "user.email": email or f"{name}@example.com",
            "core.sshCommand": ssh,
            "init.defaultBranch": "main",
        }
        for setting, value in settings.items():
            stage.quietly("git", "config", "--file", str(self.home / ".gitconfig"), setting, value)
        self.env = stage.env | {
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.home / ".gitconfig"),
        }

    def make_key(self, name: str = "id_ed25519") -> Path:
        """A new SSH key pair; the public half's path."""
        path = self.key.with_name(name)
        self.stage.quietly(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            f"{self.name}@laptop",
            "-f",
            str(path),
        )
        return path.with_name(name + ".pub")

    def __call__(
        self, line: str, *, code: int = 0, says: str = "", show: int = 6, text: str = ""
    ) -> Done:
        """Types `line`, fed with `text`; it must end with `code`, and `says` must be among its
        words. `show`: how many lines of output.
        """
        self.stage.screen.command(self.name, line)
        done = self.run(line, code=code, says=says, text=text)
        self.stage.screen.output(done.text, show, "refusal" if code else "output")
        return done

    def run(self, line: str, *, code: int = 0, says: str = "", text: str = "") -> Done:
        """As a call, but unseen."""
        started = time.monotonic()
        out, err, ended = text.encode(), b"", 0
        for words in _piped(line):
            process = subprocess.run(
                words,
                env=self.env,
                cwd=self.here,
                input=out,
                capture_output=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
            out, err, ended = process.stdout, err + process.stderr, process.returncode
        done = Done(
            out.decode(errors="replace"), err.decode(errors="replace"), time.monotonic() - started
        )
        if ended != code:
            raise Deviation(
                f"{self.name}$ {line}\nexpected exit code {code}, got {ended}:\n{done.text}"
            )
        if says not in done.text:
            raise Deviation(f"{self.name}$ {line}\nexpected the words {says!r}, got:\n{done.text}")
        return done

    def begin(self, line: str) -> subprocess.Popen[bytes]:
        """Types `line` and does not wait for it."""
        self.stage.screen.command(self.name, f"{line} &")
        process = subprocess.Popen(
            _piped(line)[0],
            env=self.env,
            cwd=self.here,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.stage.children.append(process)
        return process


class Stage:
    """`root`: a directory of our own. `seen` gathers the summary."""

    def __init__(self, root: Path, screen: Screen) -> None:
        self.root, self.screen = root, screen
        self.known_hosts = root / "known_hosts"
        self.log = root / "stargate.log"
        self.port = _free_port()
        self.url = f"ssh://git@127.0.0.1:{self.port}/gate.git"
        self.seen: list[Seen] = []
        self.children: list[subprocess.Popen[bytes]] = []
        self.gateway: subprocess.Popen[bytes] | None = None
        hidden = ("GIT_", "SSH_", "XDG_", "PYTHON", "GNUPG", "GITKV")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(hidden) or name == "PYTHONPATH"
        }
        self.env = kept | {
            "PATH": _folder_of_git_kv(root) + os.pathsep + os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }

    def start_gateway(self, operator: Person) -> float:
        """Starts Stargate and waits until it answers; the seconds that took. Raises Deviation."""
        line = f"git kv stargate serve gate.git --ssh 127.0.0.1:{self.port} --port-file port"
        self.screen.command(operator.name, f"{line} 2>stargate.log &")
        started = time.monotonic()
        # The program itself, not through git, so that the process we end is the daemon and not git
        # waiting for it.
        with self.log.open("wb") as log:
            self.gateway = subprocess.Popen(
                ["git-kv", *shlex.split(line)[2:]],
                env=operator.env,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        gateway = self.gateway
        self.wait_until(
            "Stargate to answer",
            lambda: (self.root / "port").exists() or gateway.poll() is not None,
            START_TIMEOUT_S,
        )
        if gateway.poll() is not None:
            raise Deviation(f"expected a running Stargate, but it ended with {gateway.returncode}")
        return time.monotonic() - started

    def stop(self) -> int:
        """Ends what was started, each by its own process id; Stargate's exit code."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        if self.gateway is None:
            return 0
        if self.gateway.poll() is None:
            self.gateway.send_signal(signal.SIGTERM)
        try:
            return self.gateway.wait(60)
        except subprocess.TimeoutExpired:
            self.gateway.kill()
            return self.gateway.wait()

    def refs(self, repository: str) -> dict[str, str]:
        """All refs of a bare repository under the root."""
        listing = self.quietly(
            "git",
            "-C",
            str(self.root / repository),
            "for-each-ref",
            "--format=%(objectname) %(refname)",
        )
        return {ref: oid for oid, ref in (line.split(" ") for line in listing.split("\n") if line)}

    def logged(self, pattern: str) -> list[str]:
        """The lines of Stargate's log in which the pattern is found, without their time stamps."""
        lines = self.log.read_text(errors="replace").split("\n")
        return [line.partition(" ")[2] for line in lines if re.search(pattern, line)]

    def wait_for_log(self, pattern: str) -> str:
        """The newest such line; Stargate writes it a moment after it has answered. Raises
        Deviation.
        """
        self.wait_until(
            f"the pattern {pattern!r} in Stargate's log", lambda: bool(self.logged(pattern))
        )
        return self.logged(pattern)[-1]

    def settle(self) -> dict[str, str]:
        """Waits until the mirror shows all that Stargate has, and Stargate knows it; Stargate's
        refs.
        """
        self.wait_until("the mirror to show what Stargate has", self._is_settled)
        return self.refs("gate.git")

    def _is_settled(self) -> bool:
        gate, mirror = self.refs("gate.git"), self.refs("mirror.git")
        public = {ref: oid for ref, oid in gate.items() if not ref.startswith("refs/kv-audited/")}
        return public == mirror and gate.get("refs/kv-mirror/main") == gate.get("refs/kv/main")

    def saw(self, what: str, outcome: str, seconds: float = 0.0) -> None:
        """Shows a check mark, and keeps the line for the summary."""
        self.seen.append(Seen(what, outcome, seconds))
        self.screen.check(f"{what}: {outcome}" + (f" ({seconds:.2f} s)" if seconds else ""))

    def expect(self, holds: bool, expected: str, got: object) -> None:
        """Raises Deviation unless it holds."""
        if not holds:
            raise Deviation(f"expected {expected}, got {got}")

    def wait_until(self, what: str, holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Polls until it holds. Raises Deviation when the time is over."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise Deviation(f"expected {what} within {timeout_s:g} s")
            time.sleep(0.01)

    def quietly(self, *command: str) -> str:
        """Runs what is not part of the story. Raises Deviation when it fails."""
        done = subprocess.run(
            command,
            env=self.env,
            cwd=self.root,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise Deviation(
                f"{shlex.join(command)}: expected exit code 0, got {done.returncode}\n"
                f"{done.stderr.decode(errors='replace')}"
            )
        return done.stdout.decode(errors="replace")


def _piped(line: str) -> list[list[str]]:
    """The words of each command of a pipeline. There is no shell: quotes and `|` are all that is
    understood.
    """
    commands: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word == "|":
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def missing_tools() -> list[str]:
    """The packages that the demo needs and this machine has not."""
    found = {"git": "git", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}
    return sorted({package for tool, package in found.items() if shutil.which(tool) is None})


def _folder_of_git_kv(root: Path) -> str:
    """Where `git-kv` is: beside the Python that runs this, or made here for a Python that has the
    package and not its script.
    """
    beside = os.path.dirname(sys.executable)
    if os.access(os.path.join(beside, "git-kv"), os.X_OK):
        return beside
    script = root / "bin" / "git-kv"
    script.parent.mkdir()
    source = os.environ.get("PYTHONPATH") or str(Path(__file__).resolve().parents[1] / "src")
    script.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(source)} "
        f'exec {shlex.quote(sys.executable)} -m gitkv "$@"\n'
    )
    script.chmod(0o755)
    return str(script.parent)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
