"""The lock of a repository with one daemon: whoever holds it leads for as long as the process runs.

Locked are the folders themselves, the repository and its `kv`, since a file in them can be removed
and made anew beside its holder. A folder can be renamed and replaced, too: then the one that is
locked is not the one that a path leads to, and its holder must not write there. Where a file system
locks no folders (NFS), the file `kv/daemon.lock` has to do.
"""

from __future__ import annotations

import errno
import fcntl
import os

from gitkv.errors import IntegrityError, UnavailableError

_NOT_FOR_FOLDERS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)
_FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class SoleLease:
    """Lease of the bare repository `git_dir`; nobody leads before `take`."""

    def __init__(self, git_dir: str) -> None:
        self._git_dir = git_dir
        self._held: dict[str, int] = {}  # path to descriptor, open until the process ends

    def take(self) -> None:
        """Locks the repository. Raises UnavailableError when another daemon runs, OSError."""
        folder = os.path.join(self._git_dir, "kv")
        are_locked = [self._lock_folder(path) for path in (self._git_dir, folder)]
        lock = os.path.join(folder, "daemon.lock")
        fd = os.open(lock, _FILE_FLAGS, 0o600)
        self._lock(fd)
        if not all(are_locked):
            self._held[lock] = fd
        self.check()

    def check(self) -> None:
        """Raises IntegrityError when a path leads elsewhere than to what was locked."""
        for path, fd in self._held.items():
            locked = os.fstat(fd)
            try:
                found = os.stat(path)
            except OSError as error:
                why = error.strerror
            else:
                if (found.st_dev, found.st_ino) == (locked.st_dev, locked.st_ino):
                    continue
                why = "another one is there"
            raise IntegrityError(
                f"{path} was moved or replaced while it was served: {why}",
                hint="stop the daemon before anything is moved or restored; then start it again",
            )

    def fence(self) -> int:
        """Always the same: nobody else can lead. Raises IntegrityError as `check`."""
        self.check()
        return 1

    def _lock_folder(self, path: str) -> bool:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._lock(fd)
        except OSError as error:
            if error.errno not in _NOT_FOR_FOLDERS:
                raise
            os.close(fd)
            return False
        self._held[path] = fd
        return True

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise UnavailableError(
                f"another Stargate serves {self._git_dir}", hint="stop it first, or connect to it"
            ) from None
