"""A pipe to `git-receive-pack` on another machine, through the ssh client that git would use.

One difference from git: GIT_SSH_COMMAND and core.sshCommand are split into words here and never
handed to a shell, so `$HOME`, `;` and quotes inside quotes do not expand (ssh itself expands `~` in
file names). The client must take OpenSSH's options. Left to others: the protocol spoken through the
pipe (`wire/`).
"""

from __future__ import annotations

import os
import re
import select
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple

from gitkv.errors import PolicyError, ToolError, UnavailableError
from gitkv.git.process import complaint, end_process, start
from gitkv.git.urls import refuse_secret
from gitkv.model.address import redact
from gitkv.model.environment import child_environment
from gitkv.model.verdict import printable

_URL = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._+-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._/~-]+)"
)
_READ_BYTES = 1 << 16
_STDERR_BYTES_MAX = 1 << 16
_SSH_FAILED = 255  # ssh's own exit code; any other is the remote command's


class SshTarget(NamedTuple):
    """Where an ssh:// address points: `user` and `port` are "" when it names none."""

    user: str
    host: str
    port: str
    path: str


def parse_ssh_url(url: str) -> SshTarget:
    """The parts of `ssh://[user@]host[:port]/path`. Raises PolicyError for anything a shell or ssh
    could read in another way.
    """
    refuse_secret(url, "Stargate's address")
    found = _URL.fullmatch(url)
    if found is None or int(found["port"] or 22) > 65535:
        raise PolicyError(
            f"{printable(redact(url, url))}: expected ssh://[user@]host[:port]/path with a plain "
            "path"
        )
    path = found["path"]
    return SshTarget(
        found["user"] or "",
        found["host"].strip("[]"),
        found["port"] or "",
        path[1:] if path.startswith("/~") else path,
    )


def ssh_command(
    target: SshTarget, environ: Mapping[str, str], config: Mapping[str, str]
) -> list[str]:
    """The client and its arguments, in git's order of choice: GIT_SSH_COMMAND, core.sshCommand,
    GIT_SSH, ssh.
    """
    import shlex  # only where a write goes over ssh

    chosen = environ.get("GIT_SSH_COMMAND") or config.get("core.sshcommand")
    try:
        client = shlex.split(chosen) if chosen else [environ.get("GIT_SSH") or "ssh"]
    except ValueError as error:
        raise ToolError(
            f"the ssh command {printable(chosen or '')} cannot be split into words: {error}"
        ) from None
    port = ["-p", target.port] if target.port else []
    host = f"{target.user}@{target.host}" if target.user else target.host
    return [*client, *port, "--", host, f"git-receive-pack '{target.path}'"]


class SshPipe:
    """Bytes to and from one remote receive-pack. Neither direction can block the other: writing
    reads along into memory.

    `read` and `write` raise UnavailableError after `idle_s_max` without progress, and when ssh
    could not connect or the remote hung up.
    """

    def __init__(self, *, idle_s_max: float = 300.0) -> None:
        self._idle_ms = int(idle_s_max * 1000)
        self._child: subprocess.Popen[bytes] | None = None
        self._poll = select.poll()
        self._stdin = self._stdout = self._stderr = -1  # -1: at its end
        self._received = bytearray()
        self._said = bytearray()

    def start(self, url: str, env: Mapping[str, str], config: Mapping[str, str]) -> None:
        """Starts the client. Raises PolicyError for a bad address, ToolError when the client is
        missing.
        """
        command = ssh_command(parse_ssh_url(url), env, config)
        child = start(command, child_environment(env))
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        self._child = child
        self._stdin, self._stdout, self._stderr = (
            child.stdin.fileno(),
            child.stdout.fileno(),
            child.stderr.fileno(),
        )
        for fd in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(fd, False)
        self._poll.register(self._stdout, select.POLLIN)
        self._poll.register(self._stderr, select.POLLIN)

    def read(self, size: int) -> bytes:
        """Between 1 and `size` bytes, or b"" at the end of the stream."""
        while not self._received and self._stdout >= 0:
            self._wait()
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def read_exactly(self, size: int) -> bytes:
        """`size` bytes. Raises UnavailableError when the stream ends before."""
        while len(self._received) < size and self._stdout >= 0:
            self._wait()
        if len(self._received) < size:
            raise self._broken()
        return self.read(size)

    def write(self, data: bytes) -> None:
        """Writes all of `data`."""
        view = memoryview(data)
        while view:
            if self._stdin < 0:
                raise self._broken()
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                self._poll.register(self._stdin, select.POLLOUT)
                try:
                    self._wait()
                finally:
                    self._poll.unregister(self._stdin)
            except BrokenPipeError:
                raise self._broken() from None

    def close_write(self) -> None:
        """Tells the remote that nothing more comes."""
        if self._child is not None and self._child.stdin is not None and self._stdin >= 0:
            self._stdin = -1
            self._child.stdin.close()

    def finish(self) -> tuple[int, str]:
        """Waits for the end: the exit code, and what ssh and the remote wrote to stderr (printable
        lines).
        """
        self.close_write()
        while self._stdout >= 0 or self._stderr >= 0:
            self._wait()
        child = self._running()
        try:
            code = child.wait(self._idle_ms / 1000)
        except subprocess.TimeoutExpired:
            code = -1
        self.close()
        lines = [line.strip() for line in bytes(self._said).replace(b"\r", b"\n").split(b"\n")]
        return code, "\n".join(printable(line) for line in lines if line)

    def close(self) -> None:
        """Ends the client at once; harmless when it is gone."""
        if self._child is not None:
            end_process(self._child)
        self._stdin = self._stdout = self._stderr = -1

    def __enter__(self) -> SshPipe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait(self) -> None:
        """Waits until some pipe can move, and empties those that have something to read."""
        ready = self._poll.poll(self._idle_ms)
        if not ready:
            self.close()
            raise UnavailableError(f"ssh: nothing moved for {self._idle_ms / 1000:g} s")
        for fd, _ in ready:
            if fd == self._stdout and not self._take(fd, self._received):
                self._stdout = -1
            elif fd == self._stderr and not self._take(fd, self._said):
                self._stderr = -1
        del self._said[:-_STDERR_BYTES_MAX]

    def _take(self, fd: int, into: bytearray) -> bool:
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            self._poll.unregister(fd)
        into += data
        return bool(data)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise ToolError("the ssh pipe was not started")
        return self._child

    def _broken(self) -> UnavailableError:
        """Why the stream ended early: ssh's last word is the one that tells."""
        while self._stderr >= 0:
            self._wait()
        code = self._running().wait()
        lines = [
            line for line in bytes(self._said).replace(b"\r", b"\n").split(b"\n") if line.strip()
        ]
        said = complaint(b"\n".join(_telling(lines)))
        if code == _SSH_FAILED:
            return UnavailableError(
                f"ssh could not reach the server: {said or 'it gave no reason'}"
            )
        return UnavailableError(
            f"the server hung up: {said or f'it ended with {code} and gave no reason'}"
        )


def _telling(lines: list[bytes]) -> list[bytes]:
    """The lines worth showing first: not ssh's warnings."""
    return [line for line in lines if not line.startswith((b"Warning:", b"@", b"debug"))] or lines
