"""A folder in which a fetch takes place, so that nothing of it is in the repository before it was
judged: objects of its own, refs of its own, all else the repository's.

To git it is a linked work tree (gitrepository-layout(5), `commondir`): it reads the repository's
configuration and refs, finds its objects as alternates, and writes refs/worktree/ into the folder.
The folder lies among the objects under a name that `git prune` knows as a temporary one. Left to
others: what is fetched (`transport.py`), and whether it is let in (`fetch_bounds.py`).
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from gitkv.errors import ToolError
from gitkv.git.durable import SYNCED, common_dir, sync_all
from gitkv.git.object_store import quarantine_environment
from gitkv.git.packed_refs import is_ref
from gitkv.git.process import Completed, Git
from gitkv.git.quarantine_folder import remove_tree
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import Ref

_PREFIX = "tmp_objdir-kv-"
_HELD = "HEAD"  # locked as long as the folder is in use
_OWN = b"refs/worktree/"
LOOSE_MAX = 7  # as many lie loose, where git keeps a pack of what is more
_VALUE = re.compile(rb"([0-9a-f]{40})\n?")
_LISTED = re.compile(rb"([0-9a-f]{40}) ([^\n]+)")
_SUFFIXES = (".pack", ".rev", ".mtimes", ".promisor", ".idx")  # in order: git looks for the last
_FRESH_S = 3600.0
_FAN_LENGTH = 2


def own_refspec(refspec: str) -> str:
    """A refspec `+from:to` that writes to the folder instead. Raises ValueError for another."""
    forced, colon, target = refspec.partition(":")
    if not (forced.startswith("+") and colon and target.startswith("refs/")):
        raise ValueError(f"expected a refspec +from:refs/…, got {refspec!r}")
    return f"{forced}:{_OWN.decode()}{target.removeprefix('refs/')}"


class Incoming:
    """A context: the folder is there in it, and gone after it. `git` works in it; `pack_dir` is
    where the packs arrive.
    """

    def __init__(self, git: Git) -> None:
        self._outer = git
        self._common = os.path.abspath(common_dir(git.git_dir))
        self._objects = os.path.join(self._common, "objects")
        self._path = os.path.join(self._objects, _PREFIX + os.urandom(8).hex())
        self._lock = -1
        self.pack_dir = os.path.join(self._path, "pack")
        self.git = git.seen_from(self._path).with_extra(
            quarantine_environment(self._common, self._path)
        )

    def __enter__(self) -> Incoming:
        _sweep(self._objects)
        try:
            self._make()
        except BaseException:
            self._drop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._drop()
        except (OSError, ToolError):  # swept another time
            if error is None:
                raise

    def refs(self) -> dict[Ref, Oid]:
        """The refs that were fetched, by the names that they are to have in the repository. Raises
        ToolError.
        """
        found = _listed(self.git, _OWN) if self._has_tables() else _loose_refs(self._path, _OWN)
        return {Ref(b"refs/" + ref.removeprefix(_OWN)): oid for ref, oid in found.items()}

    def standing(self, prefix: bytes) -> dict[Ref, Oid]:
        """What the repository's refs below `prefix` are at now. Raises ToolError."""
        if self._has_tables():
            return _listed(self._outer, prefix)
        packed = b""
        with suppress(FileNotFoundError), open(f"{self._common}/packed-refs", "rb") as file:
            packed = file.read()
        refs = _read_listed(packed.split(b"\n"))
        kept = {ref: oid for ref, oid in refs.items() if ref.startswith(prefix)}
        return kept | _loose_refs(self._common, prefix)

    def adopt(self) -> bool:
        """Puts the objects into the repository, durably but for the folders' own names; whether
        there were any. Raises OSError, ToolError.
        """
        names = sorted(os.listdir(self.pack_dir))
        for pack in [name for name in names if name.endswith(".pack")]:
            stem = pack.removesuffix(".pack")
            if _count(os.path.join(self.pack_dir, pack)) <= LOOSE_MAX and (
                f"{stem}.promisor" not in names
            ):
                self._unpack(os.path.join(self.pack_dir, pack))
            else:
                self._move([stem + end for end in _SUFFIXES if stem + end in names], "pack")
        folders = [name for name in os.listdir(self._path) if len(name) == _FAN_LENGTH]
        for folder in folders:  # loose objects, as a web server without git hands them out
            self._move(os.listdir(os.path.join(self._path, folder)), folder)
        return bool(names or folders)

    def move_refs(self, moves: Mapping[Ref, Oid], standing: Mapping[Ref, Oid]) -> Completed:
        """Moves refs of the repository, all or none, from where they were `standing`."""
        lines = [
            b"update %b\0%b\0%b\0"
            % (ref, oid.hex().encode(), standing.get(ref, ZERO_OID).hex().encode())
            for ref, oid in moves.items()
        ]
        words = ("update-ref", "-m", "fetch", "--no-deref", "--stdin", "-z")
        return self._outer.run(*SYNCED, *words, stdin=b"".join(lines), check=False)

    def _make(self) -> None:
        os.mkdir(self._path, 0o700)
        for name in ("pack", "refs", *(("reftable",) if self._has_tables() else ())):
            os.mkdir(os.path.join(self._path, name), 0o700)
        with open(os.path.join(self._path, "commondir"), "wb") as file:
            file.write(os.fsencode(self._common) + b"\n")
        worktree = os.path.abspath(os.path.join(self._outer.git_dir, "config.worktree"))
        if os.path.lexists(worktree):
            os.symlink(worktree, os.path.join(self._path, "config.worktree"))
        head = b"ref: refs/heads/main\n"
        with suppress(OSError), open(os.path.join(self._outer.git_dir, "HEAD"), "rb") as source:
            head = source.read()  # for what is configured by branch
        self._hold(head)

    def _hold(self, head: bytes) -> None:
        """Writes HEAD; its name is there when it is locked already."""
        draft = os.path.join(self._path, "HEAD.new")
        self._lock = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(self._lock, head)
        os.rename(draft, os.path.join(self._path, _HELD))

    def _drop(self) -> None:
        try:
            remove_tree(self._path)
        finally:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def _has_tables(self) -> bool:
        return os.path.isdir(os.path.join(self._common, "reftable"))

    def _unpack(self, path: str) -> None:
        with open(path, "rb") as file:
            pack = file.read()
        self._outer.run(*SYNCED, "unpack-objects", "-q", stdin=pack)

    def _move(self, names: Sequence[str], folder: str) -> None:
        source = os.path.join(self._path, folder)
        target = os.path.join(self._objects, folder)
        sync_all([os.path.join(source, name) for name in names])
        os.makedirs(target, exist_ok=True)
        for name in names:
            os.rename(os.path.join(source, name), os.path.join(target, name))


def _count(path: str) -> int:
    with open(path, "rb") as file:
        return int.from_bytes(file.read(12)[8:], "big")


def _loose_refs(top: str, prefix: bytes) -> dict[Ref, Oid]:
    found: dict[Ref, Oid] = {}
    root = os.fsencode(top)
    for folder, _, names in os.walk(os.path.join(root, prefix.rstrip(b"/"))):
        for name in names:
            path = os.path.join(folder, name)
            ref = path[len(root) + 1 :]
            with suppress(FileNotFoundError), open(path, "rb") as file:
                value = _VALUE.fullmatch(file.read(64))
                if value is not None and is_ref(ref):
                    found[Ref(ref)] = Oid(bytes.fromhex(value[1].decode()))
    return found


def _listed(git: Git, prefix: bytes) -> dict[Ref, Oid]:
    words = ("for-each-ref", "--format=%(objectname) %(refname)", "--end-of-options")
    return _read_listed(git.run(*words, prefix.decode()).stdout.split(b"\n"))


def _read_listed(lines: Sequence[bytes]) -> dict[Ref, Oid]:
    """The lines that name a ref, as git lists and packs them."""
    rows = [found for found in map(_LISTED.fullmatch, lines) if found is not None]
    return {Ref(row[2]): Oid(bytes.fromhex(row[1].decode())) for row in rows}


def _sweep(objects: str) -> None:
    """Removes what killed processes have left: a folder that nobody holds."""
    with suppress(OSError):
        for name in os.listdir(objects):
            if name.startswith(_PREFIX):
                _sweep_one(os.path.join(objects, name))


def _sweep_one(path: str) -> None:
    try:
        fd = os.open(os.path.join(path, _HELD), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        with suppress(OSError, ToolError):
            if time.time() - os.stat(path).st_mtime > _FRESH_S:
                remove_tree(path)
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(path)
    except (OSError, ToolError):  # in use, or its git is still at work: another time
        pass
    finally:
        os.close(fd)
