"""A pipe to `git-receive-pack` on another machine, through the ssh client that git would use.

Left to others: which client that is (`ssh_client.py`), the protocol spoken through the pipe
(`wire/`).
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType

from gitkv.errors import GitKvError, ToolError, UnavailableError
from gitkv.git.process import end_process, leave_to_parent, start
from gitkv.git.remote_words import remote_error, telling
from gitkv.git.ssh_address import SshTarget, parse_ssh_url, rewritten
from gitkv.git.ssh_client import explained, remote_command, ssh_client, ssh_environment
from gitkv.model.verdict import printable

_READ_BYTES = 1 << 16
_STDERR_BYTES_MAX = 1 << 16
_SSH_FAILED = 255  # ssh's own exit code; any other is the remote command's
_NOT_RUN = (126, 127)  # a shell's: the program cannot be run, or is not there


class SshPipe:
    """Bytes to and from one remote receive-pack. Neither direction can block the other: writing
    reads along into memory.

    `read` and `write` raise UnavailableError after `idle_s_max` without progress, and when ssh
    could not connect or the remote hung up; AccessError when the host refuses us, or is not the
    one that is known.
    """

    def __init__(self, *, idle_s_max: float = 300.0) -> None:
        self._idle_ms = int(idle_s_max * 1000)
        self._child: subprocess.Popen[bytes] | None = None
        self._poll = select.poll()
        self._stdin = self._stdout = self._stderr = -1  # -1: at its end
        self._received = bytearray()
        self._said = bytearray()
        self._called: tuple[SshTarget, Mapping[str, str], Mapping[str, str]] | None = None

    def start(
        self, url: str, env: Mapping[str, str], config_all: Mapping[str, Sequence[str]]
    ) -> None:
        """Starts the client, after git's rewriting of the address (url.<base>.insteadOf). Raises
        UsageError for a bad address, ToolError when the client is missing.
        """
        target = parse_ssh_url(rewritten(url, config_all))
        config = {key: values[-1] for key, values in config_all.items()}
        client = ssh_client(target, env, config)
        command = client.call(target, remote_command("git-receive-pack", target.path))
        child = start(command, ssh_environment(env))
        self._called = target, env, config
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

    def is_over(self) -> bool:
        """Whether the far side has hung up, as far as it is known here without waiting."""
        for fd, _ in self._poll.poll(0):
            if fd == self._stdout and not self._take(fd, self._received):
                self._stdout = -1
            elif fd == self._stderr and not self._take(fd, self._said):
                self._stderr = -1
        return self._stdout < 0

    def let_go(self) -> None:
        """To be called in a forked process: the client goes on for the parent alone."""
        if self._child is not None:
            leave_to_parent(self._child)
            self._child = None
        self._stdin = self._stdout = self._stderr = -1

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

    def _broken(self) -> GitKvError:
        """Why the stream ended early: ssh's and the host's last words tell."""
        while self._stderr >= 0:
            self._wait()
        code = self._running().wait()
        said = bytes(self._said)
        if code in _NOT_RUN:
            return ToolError(
                f"the ssh command cannot be run: {telling(said)}",
                hint="check GIT_SSH_COMMAND and core.sshCommand",
            )
        what = "the connection to Stargate failed" if code == _SSH_FAILED else "the server hung up"
        error = remote_error(what, said, otherwise=f"it ended with {code} and gave no reason")
        return explained(error, said, *self._called) if self._called else error
