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
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from screen import Screen

from gitkv.testing import world

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


class Person(world.Person):
    """Somebody with a home of their own. Calling a person types a command into their shell."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(stage, name)
        self.stage = stage
        self.here = self.home  # where their shell is

    def settings(self) -> dict[str, str]:
        """Which key signs is for `git kv remote setup` to find."""
        return {
            name: value
            for name, value in super().settings().items()
            if name not in ("user.signingkey", "gpg.format")
        }

    def __call__(
        self, line: str, *, code: int = 0, says: str = "", show: int = 6, text: str = ""
    ) -> Done:
        """Types `line`, fed with `text`; it must end with `code`, and `says` must be among its
        words. `show`: how many lines of output.
        """
        self.stage.screen.command(self.name, line)
        done = self.type(line, code=code, says=says, text=text)
        self.stage.screen.output(done.text, show, "refusal" if code else "output")
        return done

    def type(self, line: str, *, code: int = 0, says: str = "", text: str = "") -> Done:
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


class Stage(world.World):
    """`root`: a directory of our own. `seen` gathers the summary."""

    def __init__(self, root: Path, screen: Screen) -> None:
        super().__init__(root)
        self.screen = screen
        self.log = root / "stargate.log"
        self.port = world.free_port()
        self.seen: list[Seen] = []
        self.children: list[subprocess.Popen[bytes]] = []
        self._folder = _folder_of_git_kv(root)

    def base_env(self) -> dict[str, str]:
        """With `git-kv` on the PATH, as after an installation."""
        hidden = ("XDG_", "PYTHON", "GNUPG", "GITKV")
        kept = {
            name: value
            for name, value in super().base_env().items()
            if not name.startswith(hidden) or name == "PYTHONPATH"
        }
        return kept | {"PATH": self._folder + os.pathsep + os.environ.get("PATH", os.defpath)}

    def start_gateway(self, operator: Person) -> float:
        """Starts Stargate and waits until it answers; the seconds that took. Raises Deviation."""
        line = f"git-kv stargate serve gate.git --ssh 127.0.0.1:{self.port} --port-file port"
        self.screen.command(operator.name, f"{line} 2>stargate.log &")
        started = time.monotonic()
        try:
            self.start()
        except AssertionError as error:
            raise Deviation(str(error)) from None
        return time.monotonic() - started

    def end(self) -> int:
        """Ends what was started, each by its own process id; Stargate's exit code."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        return 0 if self.daemon is None else self.stop()

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
        return self.refs(self.gate)

    def _is_settled(self) -> bool:
        gate, mirror = self.refs(self.gate), self.refs(self.mirror)
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
            env=self.base_env(),
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
