"""Two homes of refs: Stargate's single file, and an ordinary clone's.

git's files backend renames one file per ref, so a crash between two of them leaves the ledger new
and its index old (docs/adr/0004). Stargate keeps all refs in `packed-refs`: one rename moves them
all, and readers see all or nothing; stock git reads that file as it is. Left to others: which moves
are allowed, and the record of intent around them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gitkv.errors import ConflictError, IntegrityError, UnavailableError
from gitkv.git.durable import sync
from gitkv.git.packed_refs import format_packed_refs, is_ref, parse_packed_refs
from gitkv.git.process import Git, busy, failure
from gitkv.model.oid import OID_BYTES, ZERO_OID, Oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.model.verdict import printable


class PackedRefStore:
    """RefStore of a bare repository whose refs are all in `packed-refs`.

    A missing file means no refs (a new repository); an empty or torn one raises IntegrityError, and
    so does `check` for loose refs: what the current value is would be a guess. The lock file is
    git's own, so stock tools keep out; another holder raises UnavailableError.
    """

    def __init__(self, git_dir: str) -> None:
        self._git_dir = git_dir
        self._path = os.path.join(git_dir, "packed-refs")
        self._lock_path = self._path + ".lock"
        self._thread_lock = threading.Lock()
        self._refs: dict[Ref, Oid] = {}
        # Of the file `_refs` came from: held open, its inode number cannot come back as another
        # file's
        self._fd = -1
        self._seen = (0, 0, 0, 0)

    def read(self, ref: Ref) -> Oid | None:
        """The ref's value. Raises IntegrityError."""
        return self._load().get(ref)

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]:
        """All refs whose names start with `prefix`, from one state of the store. Raises
        IntegrityError.
        """
        return {ref: oid for ref, oid in self._load().items() if ref.startswith(prefix)}

    def move(self, updates: Sequence[RefUpdate]) -> None:
        """Moves all or none, durably. Raises ConflictError, UnavailableError when the file is
        locked, ValueError for a bad name, and OSError when the disk fails: after `_commit` the refs
        may have moved, so read them again.
        """
        with self._thread_lock:
            self._take_lock()
            try:
                moved = moved_refs(self._load_locked(), updates)
                self._write_lock_file(format_packed_refs(moved))
                self._commit()
            except BaseException:
                self._drop_lock()
                raise
            self._sync_directory()

    def check(self) -> None:
        """Raises IntegrityError unless `packed-refs` reads well and holds every ref."""
        self._load()
        loose = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(os.path.join(self._git_dir, "refs"))
            for name in names
        ]
        if loose:
            names = ", ".join(
                printable(os.path.relpath(path, self._git_dir)) for path in sorted(loose)[:5]
            )
            raise IntegrityError(
                f"{len(loose)} loose refs stand beside packed-refs: {names}",
                hint="compare, then: git pack-refs --all",
            )

    def recover(self) -> list[str]:
        """Removes lock files that a killed process left; their names. Call only under the daemon's
        own lock on the repository.
        """
        removed = []
        for path in (self._lock_path, self._path + ".new"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            removed.append(os.path.basename(path))
        self._sync_directory()
        return removed

    def close(self) -> None:
        """Forgets what was read."""
        with self._thread_lock:
            self._forget()

    def _load(self) -> dict[Ref, Oid]:
        with self._thread_lock:
            return self._load_locked()

    def _load_locked(self) -> dict[Ref, Oid]:
        try:
            now = _identity(os.stat(self._path))
        except FileNotFoundError:
            self._forget()
            return {}
        if self._fd < 0 or now != self._seen:
            self._forget()
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                seen, text = _identity(os.fstat(fd)), _read_all(fd)
                self._refs = parse_packed_refs(text)
            except BaseException:
                os.close(fd)
                raise
            self._fd, self._seen = fd, seen
        return self._refs

    def _forget(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._seen, self._refs = -1, (0, 0, 0, 0), {}

    def _take_lock(self) -> None:
        try:
            os.close(
                os.open(self._lock_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            )
        except FileExistsError:
            raise UnavailableError(
                "packed-refs.lock exists: another process moves refs, or one was killed",
                hint="Stargate removes it when it starts",
            ) from None

    def _drop_lock(self) -> None:
        with suppress(FileNotFoundError):  # it became packed-refs after all
            os.unlink(self._lock_path)

    def _write_lock_file(self, text: bytes) -> None:
        fd = os.open(self._lock_path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            view = memoryview(text)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)

    def _commit(self) -> None:
        """The one moment at which every ref moves."""
        os.rename(self._lock_path, self._path)

    def _sync_directory(self) -> None:
        sync(self._git_dir)


class GitRefStore:
    """RefStore of an ordinary clone, through git itself, whichever ref backend it has. Raises
    ToolError when git fails.
    """

    def __init__(self, git: Git) -> None:
        self._git = git

    def read(self, ref: Ref) -> Oid | None:
        """The ref's value."""
        return self._list(ref).get(ref)

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]:
        """All refs whose names start with `prefix`."""
        folder = prefix[: prefix.rfind(b"/") + 1]  # git's patterns match whole components
        return {ref: oid for ref, oid in self._list(folder).items() if ref.startswith(prefix)}

    def move(self, updates: Sequence[RefUpdate]) -> None:
        """One `git update-ref` transaction, flushed to disk. Raises ConflictError when an `old` is
        not the current value, BusyError.
        """
        commands = [_command(update) for update in updates]
        request = b"start\0" + b"".join(commands) + b"prepare\0commit\0"
        done = self._git.run(
            "-c",
            "core.fsync=all",
            "update-ref",
            "--no-deref",
            "--stdin",
            "-z",
            stdin=request,
            check=False,
        )
        if done.code != 0:
            moved_refs(
                self.read_all(), updates
            )  # a stale `old` is the usual reason: say so with both ids
            if b"cannot lock ref" in done.stderr or b".lock" in done.stderr:
                raise busy("update-ref", done)
            raise failure("update-ref", done)

    def _list(self, pattern: bytes) -> dict[Ref, Oid]:
        """The ref of that name and all below it."""
        listed = self._git.run(
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            "--end-of-options",
            os.fsdecode(pattern),
        ).stdout
        refs = {}
        for line in listed.split(b"\n")[:-1]:
            oid, _, ref = line.partition(b" ")
            refs[Ref(ref)] = Oid(bytes.fromhex(oid.decode("ascii")))
        return refs


def moved_refs(current: Mapping[Ref, Oid], updates: Sequence[RefUpdate]) -> dict[Ref, Oid]:
    """`current` after the updates. Raises ConflictError when an `old` does not hold or names
    collide, ValueError for a bad update.
    """
    after = dict(current)
    if len({update.ref for update in updates}) != len(updates):
        raise ValueError("a ref is moved twice at once")
    for ref, old, new in updates:
        if not is_ref(ref) or len(old) != OID_BYTES or len(new) != OID_BYTES:
            raise ValueError(f"not a ref update: {ref[:80]!r}")
        actual = current.get(ref, ZERO_OID)
        if actual != old:
            raise _conflict(ref, _spell(old), _spell(actual))
        after[ref] = Oid(new)
    after = {ref: oid for ref, oid in after.items() if oid != ZERO_OID}
    _check_nesting(after, updates)
    return after


def _check_nesting(after: Mapping[Ref, Oid], updates: Sequence[RefUpdate]) -> None:
    """git keeps no ref below another: a directory cannot be a file."""
    for ref in (update.ref for update in updates if update.ref in after):
        for other in after:
            if other.startswith(ref + b"/") or ref.startswith(other + b"/"):
                raise _conflict(ref, "no ref above or below it", printable(other))


def _command(update: RefUpdate) -> bytes:
    if not is_ref(update.ref):
        raise ValueError(f"not a ref name: {update.ref[:80]!r}")
    return b"update %b\0%b\0%b\0" % (
        update.ref,
        update.new.hex().encode(),
        update.old.hex().encode(),
    )


def _conflict(ref: bytes, expected: str, actual: str) -> ConflictError:
    return ConflictError(
        f"{printable(ref)} has moved: expected {expected}, got {actual}",
        expected=expected,
        actual=actual,
    )


def _spell(oid: bytes) -> str:
    return "none" if oid == ZERO_OID else oid.hex()


def _identity(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)
