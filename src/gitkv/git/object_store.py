"""Reads objects through a few long-lived `git cat-file` children (`cat_file.py`), so that one slow
reader does not stop the others. The first is started when it is needed, another only while all are
busy. One that was killed costs no reader anything: reading has no effect, so a fresh one is asked
again.

Left to others: proof that a body hashes to its id (git checks that when a pack arrives; the audit
checks it again), and writing (`pack.py`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import TypeVar

from gitkv.errors import IntegrityError
from gitkv.git.cat_file import Body, CatFile, ChildEndedError
from gitkv.git.forks import ForkLock, watch
from gitkv.git.process import DAMAGED, Git
from gitkv.model.oid import TREE, Oid

_GROUP_MAX = 4096  # requests answered in one go
_GROUP_BYTES = 4 << 20  # of bodies held at a time
_TREES_MAX = (
    4096  # kept, of at most _TREE_BYTES_MAX each: index and ledger nodes are read again and again
)
_TREE_BYTES_MAX = 16 * 1024
CHILDREN_MAX = 4  # of one store

_Answer = TypeVar("_Answer")


class GitObjectStore:
    """ObjectStore of one repository; safe to share between threads.

    `quarantine_dir` (an objects directory) is searched before the repository's own objects. An
    object larger than `object_bytes_max` is refused with ObjectTooLargeError before its body is
    read. Raises ToolError when git dies twice over one question,
    UnavailableError when a partial clone lacks an object and cannot fetch it.
    """

    def __init__(
        self, git: Git, *, quarantine_dir: str = "", object_bytes_max: int = 1 << 30
    ) -> None:
        self._git = (
            git.with_extra(quarantine_environment(git.git_dir, quarantine_dir))
            if quarantine_dir
            else git
        )
        self._object_bytes_max = object_bytes_max
        self._lock = ForkLock()  # guards the two sets; held for a moment only
        self._idle: list[CatFile] = []
        self._busy: set[CatFile] = set()
        self._places = threading.Semaphore(CHILDREN_MAX)
        self._trees: dict[Oid, bytes] = {}
        watch(self)

    def read(self, oid: Oid, kind: bytes) -> bytes:
        """The body of the object. Raises IntegrityError when it is missing or of another kind."""
        if kind == TREE:
            kept = self._trees.get(oid)
            if kept is not None:
                return kept
        [found] = self._ask([oid])
        body = _proved(found, oid, kind)
        if kind == TREE and len(body) <= _TREE_BYTES_MAX:
            if len(self._trees) >= _TREES_MAX:
                self._trees.clear()
            self._trees[oid] = body
        return body

    def read_many(self, oids: Iterable[Oid], kind: bytes) -> Iterator[bytes]:
        """The bodies in the order asked, fetched in groups of some megabytes: sizes are asked
        first, for little inflates to much.
        """
        source = iter(oids)
        while asked := list(islice(source, _GROUP_MAX)):
            for group in _groups(asked, [int(size or 0) for _, size in self._ask_infos(asked)]):
                for oid, found in zip(group, self._ask(group), strict=True):
                    yield _proved(found, oid, kind)

    def read_pieces(self, oid: Oid, kind: bytes) -> Iterator[bytes]:
        """The body in pieces of at most a mebibyte, through a child of its own that ends with the
        last one, or when the caller stops. Of any size. Raises IntegrityError before the first
        piece when it is missing or of another kind.
        """
        child = CatFile(self._git)
        try:
            found, size = child.begin_body(oid)
            _proved(Body(found, b""), oid, kind)
            yield from child.pieces(oid, size)
        finally:
            child.end()

    def sizes(self, oids: Iterable[Oid]) -> Iterator[int]:
        """Body sizes in bytes in the order asked. Raises IntegrityError when an object is
        missing.
        """
        source = iter(oids)
        while group := list(islice(source, _GROUP_MAX)):
            for oid, (kind, size) in zip(group, self._ask_infos(group), strict=True):
                if not kind:
                    raise _missing(oid)
                yield int(size)

    def kinds(self, oids: Iterable[Oid]) -> Iterator[bytes | None]:
        """The objects' kinds in the order asked, None for a missing one."""
        source = iter(oids)
        while group := list(islice(source, _GROUP_MAX)):
            for kind, _ in self._ask_infos(group):
                yield kind or None

    def has(self, oid: Oid) -> bool:
        """Whether the object is there."""
        return self._ask_infos([oid])[0][0] != b""

    def resolve(self, names: Sequence[str]) -> list[Oid | None]:
        """The objects that git's names mean (a full ref, `<ref>:<path>`, an abbreviated id); None
        for a missing or ambiguous one.

        The child that reads objects answers this too, so reading a value needs no other process.
        Raises ValueError for LF or NUL in a name.
        """
        if any("\n" in name or "\0" in name for name in names):
            raise ValueError("a name of an object has a line break or NUL in it")
        encoded = [os.fsencode(name) for name in names]
        return self._answered(lambda child: child.resolve(encoded))

    def expand(self, abbreviation: str) -> Oid | None:
        """The object whose id begins with these hex digits; None when none or several do."""
        return self.resolve([abbreviation])[0]

    @property
    def child_pids(self) -> list[int]:
        """The children's process ids, to watch over them."""
        with self._lock:
            return [child.pid for child in (*self._idle, *self._busy)]

    def close(self) -> None:
        """Ends the children, those at work as soon as they have answered; a later read starts
        another.
        """
        with self._lock:
            idle, self._idle, self._busy = self._idle, [], set()
        for child in idle:
            child.end()

    def after_fork(self) -> None:
        """Lets go of the other process's children; its own are started when they are needed."""
        children, self._idle, self._busy = [*self._idle, *self._busy], [], set()
        self._places = threading.Semaphore(CHILDREN_MAX)
        for child in children:
            child.let_go()

    def __del__(self) -> None:
        for child in getattr(self, "_idle", ()):
            child.end()  # never closed

    def __enter__(self) -> GitObjectStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, oids: list[Oid]) -> list[Body]:
        return self._answered(lambda child: child.bodies(oids, self._object_bytes_max))

    def _ask_infos(self, oids: list[Oid]) -> list[tuple[bytes, bytes]]:
        return self._answered(lambda child: child.infos(oids))

    def _answered(self, ask: Callable[[CatFile], _Answer]) -> _Answer:
        """What a child answers; when it ended instead, what a fresh one does."""
        try:
            with self._borrowed() as child:
                return ask(child)
        except ChildEndedError:
            with self._borrowed(is_fresh=True) as child:
                return ask(child)

    @contextmanager
    def _borrowed(self, *, is_fresh: bool = False) -> Iterator[CatFile]:
        """A child for one group of requests, on request one just started; waits while all are
        busy.
        """
        places = self._places
        with places:
            with self._lock:
                child = self._idle.pop() if self._idle else None
                if child is not None and not is_fresh:
                    self._busy.add(child)
            if child is not None and is_fresh:  # likely to have ended with the other
                child.end()
            if child is None or is_fresh:
                child = CatFile(self._git)
                with self._lock:
                    self._busy.add(child)
            try:
                yield child
            except BaseException:  # the stream is out of step now, whatever the reason
                with self._lock:
                    self._busy.discard(child)
                child.end()
                raise
            self._take_back(child)

    def _take_back(self, child: CatFile) -> None:
        """Keeps the child for the next, unless it is worn or the store was closed meanwhile."""
        is_worn = child.is_worn
        with self._lock:
            is_kept = child in self._busy and not is_worn
            self._busy.discard(child)
            if is_kept:
                self._idle.append(child)
        if not is_kept:
            child.end()


def quarantine_environment(git_dir: str, quarantine_dir: str) -> dict[str, str]:
    """Variables that make git write to `quarantine_dir` and still find the repository's own
    objects.
    """
    real = os.path.join(git_dir, "objects")
    if (
        real.startswith('"') or ":" in real
    ):  # git's list is split at colons unless an entry is quoted as in C
        real = '"' + real.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {"GIT_OBJECT_DIRECTORY": quarantine_dir, "GIT_ALTERNATE_OBJECT_DIRECTORIES": real}


def _groups(oids: list[Oid], sizes: list[int]) -> Iterator[list[Oid]]:
    """Runs of `oids` whose sizes add up to _GROUP_BYTES at most, or single ones that are larger."""
    group: list[Oid] = []
    held = 0
    for oid, size in zip(oids, sizes, strict=True):
        if group and held + size > _GROUP_BYTES:
            yield group
            group, held = [], 0
        group.append(oid)
        held += size
    yield group


def _proved(found: Body, oid: Oid, kind: bytes) -> bytes:
    if not found.kind:
        raise _missing(oid)
    if found.kind != kind:
        raise IntegrityError(
            f"object {oid.hex()}: expected a {kind.decode()}, got a {found.kind.decode()}"
        )
    return found.data


def _missing(oid: Oid) -> IntegrityError:
    return IntegrityError(f"object {oid.hex()} is missing", hint=DAMAGED)
