"""The only door to git: how its processes are started, with which environment and settings, and how
their failures read.

Left to others: what the commands mean. Nothing here goes through a shell, and nothing a surrounding
git command exported reaches a child.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, NamedTuple

from gitkv.errors import BusyError, IntegrityError, MachineError, ToolError, UnavailableError
from gitkv.git.signals import Shield, note
from gitkv.model.address import redact
from gitkv.model.environment import child_environment, server_environment
from gitkv.model.verdict import printable

GIT_VERSION_MIN = "2.39"

# No hook or helper of a repository runs on our behalf, no object stands in for another, and no
# background repack starts after a transaction. They come last, so no other setting beats them.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.useReplaceRefs=false",
    "protocol.ext.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
)
_SEALED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "XDG_CONFIG_HOME": os.devnull,  # git's ignore and attributes files
}
_STDERR_BYTES_MAX = 64 * 1024
# For an interrupted git to remove its lock files: what is killed leaves them, and they block
# whoever comes next
TIDY_S = 5.0
# What a service has started and not yet reaped: see `end_children`
_of_service: set[subprocess.Popen[bytes]] = set()


_left_to_parents: list[subprocess.Popen[bytes]] = []


class Completed(NamedTuple):
    """A finished process: its whole output, and its exit code (negative: the signal that ended
    it).
    """

    stdout: bytes
    stderr: bytes
    code: int


class Git:
    """Runs git for one repository (`git_dir`) or in one directory (`cwd`).

    `env` is the caller's environment; it is scrubbed here, then `extra` (such as
    GIT_OBJECT_DIRECTORY) is laid on top. Arguments that a user or a peer chose go after
    `--end-of-options`.
    """

    def __init__(
        self,
        git_dir: str = "",
        *,
        env: Mapping[str, str],
        cwd: str = "",
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.git_dir = git_dir
        self.cwd = cwd
        self.env = child_environment(env)
        self.extra = dict(extra or {})
        self.env |= self.extra
        self._is_service = False
        self._prefix = ["git"]
        if git_dir:
            self._prefix.append(f"--git-dir={git_dir}")
        self._settings = [part for setting in _SETTINGS for part in ("-c", setting)]

    def with_extra(self, extra: Mapping[str, str]) -> Git:
        """The same door, with more variables in the children's environment."""
        git = self.seen_from(self.git_dir)
        git.extra |= extra
        git.env |= extra
        return git

    def seen_from(self, git_dir: str) -> Git:
        """The same door with another view of the repository, such as a linked work tree's."""
        git = Git(git_dir, env=self.env, cwd=self.cwd, extra=self.extra)
        git._settings = list(self._settings)
        git._is_service = self._is_service
        return git

    def with_settings(self, *settings: str) -> Git:
        """The same door, with more of git's settings, as `name=value`."""
        git = self.with_extra({})
        git._settings += [part for setting in settings for part in ("-c", setting)]
        return git

    @property
    def is_service(self) -> bool:
        """Whether every child leads a session of its own."""
        return self._is_service

    def of_service(self) -> Git:
        """The same door for a service: every child leads a session of its own. A terminal's Ctrl-C
        does not reach it, it asks no person anything, and `end_children` ends it with all that it
        has started.
        """
        git = self.with_extra({})
        git._is_service = True
        return git

    def sealed(self) -> Git:
        """The same door for a service: its children read the repository's own configuration, and
        neither the user's nor the system's, which could change what git's answers mean.

        The repository may belong to whoever it does: its caller has looked at that (`discover`).
        """
        env = server_environment(self.env)
        git = Git(self.git_dir, env=env, cwd=self.cwd, extra=self.extra | _SEALED)
        git._is_service = True
        if self.git_dir:
            git._settings += ["-c", f"safe.directory={self.git_dir}"]
        return git

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        check: bool = True,
        timeout_s: float | None = None,
        own_group: bool = False,
    ) -> Completed:
        """Runs to the end. `own_group`: out of reach of a terminal's interruptions. Raises
        ToolError when git is missing or (with `check`) fails, UnavailableError after `timeout_s`.
        """
        # git leaves its ssh behind when it is ended: a group of their own ends both. Not on a
        # terminal, where a person may have to type.
        own_group = own_group or (timeout_s is not None and not os.isatty(0))
        process = self.popen(*args, own_group=own_group)
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise UnavailableError(
                f"git {sub_command(args)} took longer than {timeout_s} s"
            ) from None
        finally:
            if process.returncode is None:
                end_process(process, grace_s=TIDY_S)
                if own_group or self._is_service:
                    _end_group(process.pid)
        done = Completed(stdout, stderr, process.returncode)
        if check and done.code != 0:
            raise damage(sub_command(args), done) or failure(sub_command(args), done)
        return done

    def popen(
        self,
        *args: str,
        stderr: int | IO[bytes] = subprocess.PIPE,
        settings: bool = True,
        own_group: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Starts git with pipes on stdin and stdout; `settings` off leaves the repository's
        configuration as it is found.
        """
        command = [*self._prefix, *(self._settings if settings else ()), *args]
        if not self._is_service:
            return start(command, self.env, cwd=self.cwd, stderr=stderr, own_group=own_group)
        process = start(command, self.env, cwd=self.cwd, stderr=stderr, own_session=True)
        _of_service.difference_update(
            [one for one in list(_of_service) if one.returncode is not None]
        )
        _of_service.add(process)
        return process


def start(
    command: list[str],
    env: Mapping[str, str],
    *,
    cwd: str = "",
    stderr: int | IO[bytes] = subprocess.PIPE,
    own_group: bool = False,
    own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Starts a process with pipes, if asked in a group or a session of its own. Raises ToolError
    when the program or the directory is not there.
    """
    pipe, group = subprocess.PIPE, 0 if own_group else None
    try:
        with Shield():
            child = subprocess.Popen(
                command,
                env=env,
                cwd=cwd or None,
                stdin=pipe,
                stdout=pipe,
                stderr=stderr,
                process_group=group,
                start_new_session=own_session,
            )
            note(child)
            return child
    except OSError as error:
        raise _not_started(command[0], env, cwd, error) from error


def _not_started(program: str, env: Mapping[str, str], cwd: str, error: OSError) -> ToolError:
    """Why a process could not be started. A folder of PATH that may not be read hides whether the
    program is there at all.
    """
    from shutil import which  # only on the way out

    if cwd and not os.path.isdir(cwd):
        return ToolError(f"{printable(cwd)} is not a directory")
    if (
        isinstance(error, (FileNotFoundError, NotADirectoryError))
        or which(program, path=env.get("PATH")) is None
    ):
        hint = (
            f"install git {GIT_VERSION_MIN} or newer and put it on PATH"
            if program == "git"
            else "check the command and PATH"
        )
        return ToolError(f"the program {printable(program)} was not found", hint=hint)
    return ToolError(f"{printable(program)} could not be started: {error.strerror}")


def end_process(process: subprocess.Popen[bytes], *, grace_s: float = 0) -> None:
    """Ends and reaps a child and closes its pipes; harmless when it is gone already. `grace_s`: for
    tidying up before it is killed.
    """
    if grace_s and process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    if process.poll() is None:
        if process in _of_service:
            _end_group(process.pid)
        process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # unflushed bytes for a reader that is gone
            pass
    process.wait()


def leave_to_parent(child: subprocess.Popen[bytes]) -> None:
    """To be called in a forked process: the pipes are replaced, so that the child ends with its
    parent, and kept, since another thread may have been at work on them.
    """
    sink = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None and not pipe.closed:
            os.dup2(sink, pipe.fileno(), inheritable=False)
    os.close(sink)
    child.returncode = 0  # nobody waits for it here
    _left_to_parents.append(child)


def end_children() -> None:
    """Kills every child of a service, and what these have started; whoever waits for one goes
    on.
    """
    for process in list(_of_service):
        if process.returncode is None:
            _end_group(process.pid)


def _end_group(leader: int) -> None:
    """Kills what an ended process has left of its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def scratch_file() -> IO[bytes]:
    """An anonymous file for a long-lived child's stderr: unlike a pipe that nobody empties, it
    never blocks the child.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("git-kv-stderr", os.MFD_CLOEXEC), "w+b", 0)
    import tempfile  # only where the kernel has no memfd: it imports slowly

    return tempfile.TemporaryFile(buffering=0)


def scratch_text(file: IO[bytes]) -> bytes:
    """What a child wrote to its scratch file, from the start, at most 64 KiB."""
    return os.pread(file.fileno(), _STDERR_BYTES_MAX, 0)


def sub_command(args: tuple[str, ...]) -> str:
    """The git sub-command among the arguments, past global `-c name=value` pairs."""
    rest = list(args)
    while len(rest) > 2 and rest[0] == "-c":
        rest = rest[2:]
    return rest[0] if rest else ""


def complaint(stderr: bytes, url: str = "") -> str:
    """The line of `stderr` that says what went wrong, printable and without credentials."""
    lines = [line.strip() for line in stderr.replace(b"\r", b"\n").split(b"\n") if line.strip()]
    fatal = [line for line in lines if line.startswith((b"fatal:", b"error:"))]
    chosen = (fatal or lines or [b""])[0]
    return printable(redact(chosen.decode("utf-8", "backslashreplace"), url))


def busy(command: str, done: Completed) -> BusyError:
    """The error for a git command that found a ref locked or moving under its hands."""
    hint = (
        "another git may be at work: try again; if none is, it was killed and its .lock file stayed"
    )
    return BusyError(f"git {command}: {complaint(done.stderr)}", hint=hint)


DAMAGED = (
    "the repository is damaged: a clone of a store is healed by git kv remote repair, another one "
    "from a copy; git fsck shows how far it goes"
)
_DAMAGED_WORDS = (
    b"corrupt loose object",
    b"object file ",
    b" is corrupt",
    b"does not match index",
    b"cannot be accessed",
    b"fatal: bad object refs/",
    b"fatal: bad object HEAD",
    b"fatal: unterminated line in ",
    b"fatal: unexpected line in ",
)


def damage(command: str, done: Completed) -> IntegrityError | None:
    """The error for a git command that found this repository damaged; None when it did not."""
    lines = [line for line in done.stderr.split(b"\n") if not line.startswith(b"remote:")]
    found = next((line for line in lines if any(word in line for word in _DAMAGED_WORDS)), None)
    return (found and IntegrityError(f"git {command}: {complaint(found)}", hint=DAMAGED)) or None


# What git says when it is this machine's disk, and not the far side, that will not have it
_MACHINE_WORDS = (
    b"no space left on device",
    b"disk quota exceeded",
    b"read-only file system",
    b"input/output error",
    b"insufficient permission for adding an object",
    b"unable to create temporary file",
    b"unable to create temporary object directory",
    b"unable to create directory",
    b"unable to write",
    b"write error",
    b"cannot mkdir",
    b"fsync error",
    b"file too large",
)


def machine_problem(command: str, done: Completed) -> MachineError | None:
    """The error for a git command that could not write here; None when that was not the reason."""
    lines = done.stderr.replace(b"\r", b"\n").split(b"\n")
    for line in lines:
        if not line.startswith(b"remote:") and any(word in line.lower() for word in _MACHINE_WORDS):
            return MachineError(
                f"git {command} could not write to this repository: {complaint(line)}",
                hint="look at the free space and the permissions of the repository",
            )
    return None


def failure(command: str, done: Completed, url: str = "") -> ToolError:
    """The error for a git command that failed."""
    how = f"ended by signal {-done.code}" if done.code < 0 else f"exit {done.code}"
    return ToolError(
        f"git {command} failed ({how}): {complaint(done.stderr, url) or 'it gave no reason'}"
    )
