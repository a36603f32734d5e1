"""What is looked at before anything is served: the repository's key files, the limits of the
process, the port's file, the address to listen on. The repository itself: `gateway/fitness.py`.

What needs a person's hand is an IntegrityError (8) or a UsageError (129), so that a service manager
does not start the daemon again and again (docs/operate/stargate.md); what may pass by itself is an
UnavailableError (5).
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat

from gitkv.errors import GitKvError, IntegrityError, UnavailableError, UsageError
from gitkv.model.event import LimitsLow, Report
from gitkv.model.verdict import printable
from gitkv.ports import IntakeLimits

FILES_WANTED = 4096  # descriptors: connections, and the pipes of the git of each session
FILES_MIN = 512
PROCESSES_MIN = 512
MEMORY_MIN = 7 << 28  # of address space: 250 threads, their stacks and what malloc sets aside
MEMORY_WANTED = 4 << 30
FROM_BACKUP = "put it back from the backup: docs/operate/backup.md"


def read_secret(git_dir: str, name: str) -> bytes:
    """A key file of `kv/`. Raises IntegrityError when it is missing, empty, or in others' reach,
    UsageError when the directory is no Stargate at all.
    """
    folder = os.path.join(git_dir, "kv")
    path = os.path.join(folder, name)
    try:
        found = os.stat(folder)
        with open(path, "rb") as file:
            held, content = os.fstat(file.fileno()), file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(git_dir, path) from None
    except OSError as error:
        raise IntegrityError(
            f"{path} cannot be read: {error.strerror}",
            hint="the daemon's user must own it: chown",
        ) from None
    if not stat.S_ISREG(held.st_mode):
        raise IntegrityError(f"{path} is not a regular file", hint=FROM_BACKUP)
    if held.st_uid not in (os.geteuid(), 0):
        raise IntegrityError(
            f"{path} belongs to another user: expected user {os.geteuid()}, got {held.st_uid}",
            hint=f"chown {os.geteuid()} {path}",
        )
    if held.st_mode & 0o077:
        raise IntegrityError(
            f"{path} can be read by others: expected mode 0600, got {held.st_mode & 0o7777:04o}",
            hint=f"chmod 600 {path}; if others had access, make a new key",
        )
    if found.st_mode & 0o022:
        raise IntegrityError(
            f"others may change {folder}: expected mode 0700, got {found.st_mode & 0o7777:04o}",
            hint=f"chmod 700 {folder}",
        )
    if not content.strip():
        raise IntegrityError(f"{path} is empty", hint=FROM_BACKUP)
    return content


def _missing(git_dir: str, path: str) -> GitKvError:
    if os.path.lexists(os.path.join(git_dir, "kv")) or _has_ledger(git_dir):
        return IntegrityError(f"{path} is missing", hint=FROM_BACKUP)
    return UsageError(
        f"{git_dir} is not a Stargate repository", hint="create one with: git kv stargate init"
    )


def _has_ledger(git_dir: str) -> bool:
    """Whether a store's refs are there, as after a restore that forgot `kv/`."""
    try:
        with open(os.path.join(git_dir, "packed-refs"), "rb") as file:
            if b" refs/kv/" in file.read():
                return True
    except OSError:
        pass
    return os.path.isdir(os.path.join(git_dir, "refs", "kv"))


def check_limits(report: Report) -> None:
    """Raises the soft limit of descriptors, and looks at those a push needs. Raises UsageError when
    they are too low.
    """
    files = _raised(resource.RLIMIT_NOFILE, FILES_WANTED)
    _expect(files, FILES_MIN, "open files", ("-n", FILES_MIN, "LimitNOFILE"))
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.geteuid() != 0:  # nobody counts them for root
        _expect(processes, PROCESSES_MIN, "processes", ("-u", PROCESSES_MIN, "LimitNPROC"))
    limits = IntakeLimits()
    address_space = min(
        [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit >= 0],
        default=resource.RLIM_INFINITY,
    )
    wanted = ("-v", MEMORY_WANTED >> 10, "LimitAS")
    _expect(address_space, MEMORY_MIN, "bytes of address space", wanted)
    if 0 <= address_space < MEMORY_WANTED:
        report(LimitsLow(address_space, MEMORY_WANTED, _raise(wanted)))
    seconds = resource.getrlimit(resource.RLIMIT_CPU)[1]
    _expect(seconds, limits.cpu_s_max, "seconds of processor time", ("-t", "unlimited", "LimitCPU"))
    size = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    file_bytes = 3 * limits.pack_bytes_max
    _expect(size, file_bytes, "bytes in a file", ("-f", "unlimited", "LimitFSIZE"))


def _raised(kind: int, wanted: int) -> int:
    """The soft limit, raised towards `wanted` as far as the hard one lets us."""
    soft, hard = resource.getrlimit(kind)
    aim = wanted if hard < 0 else min(wanted, hard)
    if 0 <= soft < aim:
        resource.setrlimit(kind, (aim, hard))
        return aim
    return soft


def _expect(limit: int, least: int, what: str, remedy: tuple[str, object, str]) -> None:
    if 0 <= limit < least:
        raise UsageError(
            f"the limit on {what} is too low to serve pushes: expected at least {least}, "
            f"got {limit}",
            hint=_raise(remedy),
        )


def _raise(remedy: tuple[str, object, str]) -> str:
    option, value, setting = remedy
    return f"raise it: ulimit {option} {value}, or {setting}= in the systemd unit"


def cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> GitKvError:
    """Why nobody can listen on this address, and what to do."""
    place = f"{printable(host)}:{port}"
    if isinstance(error, UnicodeError):
        return UsageError(f"cannot listen on {place}: this is not a host name")
    why = f"cannot listen on {place}: {error.strerror}"
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_AGAIN:
            return UnavailableError(why)
        return UsageError(why, hint="give an address of this machine, such as 0.0.0.0 or [::]")
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = "ports below 1024 are root's: choose another, or give the unit CAP_NET_BIND_SERVICE"
        return UsageError(why, hint=hint)
    hints = {
        errno.EADDRINUSE: "another program listens there; ss -ltnp names it",
        errno.EADDRNOTAVAIL: "this machine does not have the address (yet)",
    }
    return UnavailableError(why, hint=hints.get(error.errno or 0, ""))


def check_port_file(path: str) -> None:
    """Raises UsageError when the port's file cannot be written; removes that of an earlier
    process.
    """
    draft = path + ".draft"
    try:
        with open(draft, "w", encoding="ascii"):
            pass
        os.unlink(draft)
        if os.path.lexists(path):
            os.unlink(path)
    except OSError as error:
        raise UsageError(f"--port-file {printable(path)}: {error.strerror}") from None


def write_port_file(path: str, port: int) -> None:
    """All of it or nothing."""
    with open(path + ".draft", "w", encoding="ascii") as file:
        file.write(f"{port}\n")
    os.rename(path + ".draft", path)
