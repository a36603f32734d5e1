"""Two homes of refs: Stargate's single file, and an ordinary clone's.

git's files backend renames one file per ref, so a crash between two of them leaves the ledger new
and its index old (docs/adr/0004). Stargate keeps all refs in `packed-refs`: one rename moves them
all, and readers see all or nothing; stock git reads that file as it is. Left to others: which moves
are allowed, and the record of intent around them.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gitkv.errors import ConflictError, IntegrityError, MachineError, UnavailableError
from gitkv.git.durable import SYNCED, common_dir, sync, sync_ref_names
from gitkv.git.packed_refs import format_packed_refs, is_ref, parse_packed_refs
from gitkv.git.process import Completed, Git, busy, failure, machine_problem
from gitkv.git.signals import Shield
from gitkv.model.oid import OID_BYTES, ZERO_OID, Oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.model.verdict import printable

_FROM_BACKUP = "restore it from a backup: docs/operate/backup.md"


class UnconfirmedMoveError(OSError):
    """The refs have moved, or may have, and the disk does not confirm it: a power cut could take
    them back.
    """


_LOCK_S_MAX = 3600.0


class PackedRefStore:
    """RefStore of a bare repository whose refs are all in `packed-refs`.

    A missing file means no refs (a new repository); an empty or torn one raises IntegrityError, so
    does one that another hand took refs out of, and `check` for loose refs: what the current value
    is would be a guess. The lock file is
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
        self._is_lock_left = False
        self._known: set[Ref] = set()  # outlives a file that cannot be read

    def read(self, ref: Ref) -> Oid | None:
        """The ref's value. Raises IntegrityError."""
        return self._load().get(ref)

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]:
        """All refs whose names start with `prefix`, from one state of the store. Raises
        IntegrityError.
        """
        return {ref: oid for ref, oid in self._load().items() if ref.startswith(prefix)}

    def move(self, updates: Sequence[RefUpdate]) -> None:
        """Moves all or none, durably. With nothing moved it raises ConflictError, UnavailableError
        when the file is locked, ValueError for a bad name, OSError when the disk fails; when the
        refs have moved, or may have, and the disk does not confirm it, UnconfirmedMoveError.
        """
        with self._thread_lock:
            # Opened first: once the refs have moved there may be no descriptor left to sync with.
            folder = os.open(self._git_dir, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._move(updates)
                _confirm(folder)
            finally:
                _close_quietly(folder)

    def _move(self, updates: Sequence[RefUpdate]) -> None:
        lock = self._take_lock()
        try:
            moved = moved_refs(self._load_locked(), updates)
            _write_all(lock, format_packed_refs(moved))
            os.fsync(lock)
            seen = _identity(os.fstat(lock))
            self._commit(seen)
        except UnconfirmedMoveError:
            _close_quietly(lock)
            raise
        except BaseException:
            _close_quietly(lock)
            self._drop_lock()
            raise
        # The lock file is packed-refs now: what was written need not be read again.
        self._forget()
        self._fd, self._seen, self._refs = lock, seen, moved
        self._known = set(moved)

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
        sync(self._git_dir)
        return removed

    def close(self) -> None:
        """Forgets what was read."""
        with self._thread_lock:
            self._forget()
            self._known = set()

    def _load(self) -> dict[Ref, Oid]:
        with self._thread_lock:
            return self._load_locked()

    def _load_locked(self) -> dict[Ref, Oid]:
        try:
            now = _identity(os.stat(self._path))
        except FileNotFoundError:
            if self._known:
                raise IntegrityError("packed-refs is missing", hint=_FROM_BACKUP) from None
            self._forget()
            return {}
        if self._fd < 0 or now != self._seen:
            self._forget()
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                seen, text = _identity(os.fstat(fd)), _read_all(fd)
                refs = parse_packed_refs(text)
                self._check_lost(refs)
            except BaseException:
                os.close(fd)
                raise
            self._fd, self._seen, self._refs = fd, seen, refs
            self._known = set(refs)
        return self._refs

    def _check_lost(self, refs: Mapping[Ref, Oid]) -> None:
        """Another hand has written the file: a ref that is gone was cut off, not deleted."""
        lost = sorted(self._known - refs.keys())
        if lost:
            raise IntegrityError(
                f"packed-refs was cut short or changed: {printable(lost[0])} is missing",
                hint=_FROM_BACKUP,
            )

    def _forget(self) -> None:
        if self._fd >= 0:
            _close_quietly(self._fd)
        self._fd, self._seen, self._refs = -1, (0, 0, 0, 0), {}

    def _take_lock(self) -> int:
        """Descriptor of the new, empty lock file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            if self._is_lock_left:
                self._drop_lock()
            return os.open(self._lock_path, flags, 0o644)
        except FileExistsError:
            raise UnavailableError(
                "packed-refs.lock exists: another process moves refs, or one was killed",
                hint="Stargate removes it when it starts",
            ) from None

    def _drop_lock(self) -> None:
        """A lock of ours that the disk would not remove is remembered, and removed next time."""
        try:
            os.unlink(self._lock_path)
            self._is_lock_left = False
        except FileNotFoundError:
            self._is_lock_left = False
        except OSError:
            self._is_lock_left = True

    def _commit(self, seen: tuple[int, int, int, int]) -> None:
        """The one moment at which every ref moves. An error need not mean that it did not come."""
        try:
            os.rename(self._lock_path, self._path)
        except OSError as error:
            try:
                is_moved = _identity(os.stat(self._path)) == seen
            except FileNotFoundError:
                is_moved = False
            except OSError:
                raise UnconfirmedMoveError(error.errno, f"packed-refs: {error.strerror}") from error
            if not is_moved:
                raise


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
        done = self._update(request)
        if done.code != 0 and self._remove_stale_locks(updates):
            done = self._update(request)
        if done.code != 0:
            # A stale `old` is the usual reason: say so with both ids
            moved_refs(self.read_all(), updates)
            if (problem := machine_problem("update-ref", done)) is not None:
                raise problem
            if b"cannot lock ref" in done.stderr or b".lock" in done.stderr:
                raise busy("update-ref", done)
            raise failure("update-ref", done)
        try:
            sync_ref_names(self._git.git_dir, [update.ref for update in updates])
        except OSError as error:
            raise MachineError(
                f"the refs have moved, but the disk does not confirm it: {error.strerror}"
            ) from None

    def _update(self, request: bytes) -> Completed:
        with Shield():  # git moves one ref file after the other
            return self._git.run(
                *SYNCED,
                "update-ref",
                "--no-deref",
                "--stdin",
                "-z",
                stdin=request,
                check=False,
                own_group=True,
            )

    def _remove_stale_locks(self, updates: Sequence[RefUpdate]) -> bool:
        """Removes lock files that a power cut or a kill left behind; whether there were any. git
        holds one for moments: what is an hour old, or older than this machine's start, is nobody's.
        """
        root = common_dir(self._git.git_dir)
        names = [*(os.fsdecode(update.ref) for update in updates), "packed-refs"]
        found = False
        for path in (os.path.join(root, f"{name}.lock") for name in names):
            with suppress(OSError):
                if os.stat(path).st_mtime < _stale_before_s():
                    os.unlink(path)
                    found = True
        return found

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


def _stale_before_s() -> float:
    """Seconds since 1970; the machine's start where the kernel tells it (proc(5), btime)."""
    long_ago_s = time.time() - _LOCK_S_MAX
    try:
        with open("/proc/stat", "rb") as file:
            started = re.search(rb"^btime ([0-9]{1,15})$", file.read(), re.MULTILINE)
    except OSError:
        started = None
    return long_ago_s if started is None else max(long_ago_s, float(started[1]))


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


def _confirm(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        raise UnconfirmedMoveError(error.errno, f"packed-refs: {error.strerror}") from error


def _write_all(fd: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(fd, view) :]


def _close_quietly(fd: int) -> None:
    """What was synced is safe, whatever closing says."""
    with suppress(OSError):
        os.close(fd)


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)
