"""Reads objects through one long-lived `git cat-file --batch-command --buffer`.

git holds every request back until `flush`, so a whole group of requests can be written before any
answer is read: the two pipes cannot block each other, without threads. Left to others: proof that a
body hashes to its id (git checks that when a pack arrives; the audit checks it again), and writing
(`pack.py`).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from types import TracebackType
from typing import IO, NamedTuple

from gitkv.errors import IntegrityError, ToolError, UnavailableError
from gitkv.git.forks import ForkLock, watch
from gitkv.git.process import Git, complaint, end_process, scratch_file, scratch_text
from gitkv.model.oid import TREE, Oid, parse_oid

_GROUP_MAX = 4096  # requests answered in one go
_GROUP_BYTES = 4 << 20  # of bodies held at a time
_TREES_MAX = (
    4096  # kept, of at most _TREE_BYTES_MAX each: index and ledger nodes are read again and again
)
_TREE_BYTES_MAX = 16 * 1024
_INFO = re.compile(rb"([0-9a-f]{40}) (?:blob|tree|commit|tag) [0-9]+\n")
_INFOS = re.compile(rb"[0-9a-f]{40} (?:missing|([a-z]+) ([0-9]+))\n")
_INFO_BYTES = 1 << 16


_left_to_parents: list[subprocess.Popen[bytes]] = []


class ObjectTooLargeError(IntegrityError):
    """An object is larger than its reader would ever hold; it was not read."""


class _Answer(NamedTuple):
    kind: bytes  # b"" when missing
    size: int
    body: bytes


class GitObjectStore:
    """ObjectStore of one repository; safe to share between threads.

    `quarantine_dir` (an objects directory) is searched before the repository's own objects. An
    object larger than `object_bytes_max` is refused with ObjectTooLargeError before its body is
    read. Raises ToolError when git dies,
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
        self._lock = ForkLock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._trees: dict[Oid, bytes] = {}
        watch(self)

    def read(self, oid: Oid, kind: bytes) -> bytes:
        """The body of the object. Raises IntegrityError when it is missing or of another kind."""
        if kind == TREE:
            kept = self._trees.get(oid)
            if kept is not None:
                return kept
        [answer] = self._ask([oid])
        body = _proved(answer, oid, kind)
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
                for oid, answer in zip(group, self._ask(group), strict=True):
                    yield _proved(answer, oid, kind)

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
        with self._lock:
            child = self._running()
            try:
                return self._resolved(child, [os.fsencode(name) for name in names])
            except BaseException:
                self._end()
                raise

    def expand(self, abbreviation: str) -> Oid | None:
        """The object whose id begins with these hex digits; None when none or several do."""
        return self.resolve([abbreviation])[0]

    def close(self) -> None:
        """Ends the child; a later read starts another."""
        with self._lock:
            self._end()

    def after_fork(self) -> None:
        """Lets go of the other process's child: the pipes are replaced, so that it ends with its
        parent, and kept, since another thread may have been at work on them.
        """
        if self._child is None:
            return
        sink = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            os.dup2(sink, pipe.fileno(), inheritable=False)
        os.close(sink)
        self._child.returncode = 0  # nobody waits for it here
        _left_to_parents.append(self._child)
        self._child = self._stderr = None

    def __del__(self) -> None:
        if getattr(self, "_child", None) is not None:
            self._end()  # never closed

    def __enter__(self) -> GitObjectStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, oids: list[Oid]) -> list[_Answer]:
        """The objects, whole."""
        with self._asking(b"contents", oids) as stdout:
            return [self._answer(stdout, oid) for oid in oids]

    def _ask_infos(self, oids: list[Oid]) -> list[tuple[bytes, bytes]]:
        """(kind, size) of each, both empty for a missing one. One pass of a pattern over all
        answers: an audit asks for every value.
        """
        with self._asking(b"info", oids) as stdout:
            text, lines = bytearray(), 0
            while lines < len(oids):
                data = stdout.read1(_INFO_BYTES)
                if not data:
                    raise self._died(oids[lines])
                text += data
                lines += data.count(b"\n")
            infos: list[tuple[bytes, bytes]] = _INFOS.findall(text)
            if len(infos) != len(oids):
                raise self._died(oids[0])
            return infos

    @contextmanager
    def _asking(self, command: bytes, oids: list[Oid]) -> Iterator[BufferedReader]:
        """The child's answers to one group of requests; nobody else's come between."""
        with self._lock:
            child = self._running()
            assert child.stdin is not None and isinstance(child.stdout, BufferedReader)
            try:
                try:
                    _write_all(
                        child.stdin.fileno(),
                        b"".join([b"%b %b\n" % (command, oid.hex().encode()) for oid in oids])
                        + b"flush\n",
                    )
                except BrokenPipeError:
                    raise self._died(oids[0]) from None
                yield child.stdout
            except BaseException:  # the stream is out of step now, whatever the reason
                self._end()
                raise

    def _resolved(self, child: subprocess.Popen[bytes], names: list[bytes]) -> list[Oid | None]:
        assert child.stdin is not None and child.stdout is not None
        lost = ToolError(f"git cat-file ended while {len(names)} names were looked up")
        try:
            _write_all(
                child.stdin.fileno(), b"".join([b"info %b\n" % name for name in names]) + b"flush\n"
            )
        except BrokenPipeError:
            raise lost from None
        found: list[Oid | None] = []
        for name in names:
            line = child.stdout.readline()
            if not line:
                raise lost
            known = _INFO.fullmatch(line)
            if known is None and line not in (name + b" missing\n", name + b" ambiguous\n"):
                raise lost
            found.append(None if known is None else parse_oid(known[1]))
        return found

    def _answer(self, stdout: BufferedReader, oid: Oid) -> _Answer:
        fields = stdout.readline().split()
        if len(fields) == 2 and fields[1] == b"missing":
            return _Answer(b"", 0, b"")
        if len(fields) != 3:
            raise self._died(oid)
        size = int(fields[2])
        if size > self._object_bytes_max:
            raise ObjectTooLargeError(
                f"object {oid.hex()} has {size} bytes, expected at most {self._object_bytes_max}"
            )
        data = stdout.read(size)
        if len(data) != size or stdout.read(1) != b"\n":
            raise self._died(oid)
        return _Answer(fields[1], size, data)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._stderr = scratch_file()
            self._child = self._git.popen(
                "-c",
                "core.bigFileThreshold=1m",
                "cat-file",
                "--batch-command",
                "--buffer",
                stderr=self._stderr,
            )
        return self._child

    def _died(self, oid: Oid) -> ToolError | IntegrityError | UnavailableError:
        assert self._stderr is not None
        words = scratch_text(self._stderr)
        said = complaint(words)
        if b"promisor remote" in words:
            return UnavailableError(
                f"object {oid.hex()}, or one read with it, is not in this partial clone, and could "
                f"not be fetched: {said}"
            )
        if "corrupt" in said or "inflate" in said or "unable to" in said:
            return IntegrityError(
                f"object {oid.hex()} or one read with it cannot be read: {said}",
                hint="run: git fsck",
            )
        return ToolError(
            f"git cat-file ended while object {oid.hex()} was read: {said or 'it gave no reason'}"
        )

    def _end(self) -> None:
        if self._child is not None:
            end_process(self._child)
        if self._stderr is not None:
            self._stderr.close()
        self._child = self._stderr = None


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


def _proved(answer: _Answer, oid: Oid, kind: bytes) -> bytes:
    if not answer.kind:
        raise _missing(oid)
    if answer.kind != kind:
        raise IntegrityError(
            f"object {oid.hex()}: expected a {kind.decode()}, got a {answer.kind.decode()}"
        )
    return answer.body


def _missing(oid: Oid) -> IntegrityError:
    return IntegrityError(f"object {oid.hex()} is missing")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
