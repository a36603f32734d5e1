"""Reads objects through one long-lived `git cat-file --batch-command --buffer`.

git holds every request back until `flush`, so a whole group of requests can be written before any answer is read: the two pipes cannot
block each other, without threads. Left to others: proof that a body hashes to its id (git checks that when a pack arrives; the audit
checks it again), and writing (`pack.py`).
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import IO, NamedTuple

from gitkv.errors import IntegrityError, ToolError
from gitkv.git.process import Git, complaint, end_process, scratch_file, scratch_text
from gitkv.model.oid import TREE, Oid, parse_oid

_GROUP_MIN = 32  # requests answered in one go; grows while answers stay small, so that memory stays bounded
_GROUP_MAX = 4096
_GROUP_BYTES = 4 << 20
_TREES_MAX = 4096  # kept, of at most _TREE_BYTES_MAX each: index and ledger nodes are read again and again
_TREE_BYTES_MAX = 16 * 1024
_INFO = re.compile(rb"([0-9a-f]{40}) (?:blob|tree|commit|tag) [0-9]+\n")


class _Answer(NamedTuple):
    kind: bytes  # b"" when missing
    size: int
    body: bytes


class GitObjectStore:
    """ObjectStore of one repository; safe to share between threads.

    `quarantine_dir` (an objects directory) is searched before the repository's own objects. An object larger than `object_bytes_max` is
    refused with IntegrityError before its body is read. Raises ToolError when git dies.
    """

    def __init__(self, git: Git, *, quarantine_dir: str = "", object_bytes_max: int = 1 << 30) -> None:
        self._git = git.with_extra(quarantine_environment(git.git_dir, quarantine_dir)) if quarantine_dir else git
        self._object_bytes_max = object_bytes_max
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._trees: dict[Oid, bytes] = {}

    def read(self, oid: Oid, kind: bytes) -> bytes:
        """The body of the object. Raises IntegrityError when it is missing or of another kind."""
        if kind == TREE:
            kept = self._trees.get(oid)
            if kept is not None:
                return kept
        [answer] = self._ask(b"contents", [oid])
        body = _proved(answer, oid, kind)
        if kind == TREE and len(body) <= _TREE_BYTES_MAX:
            if len(self._trees) >= _TREES_MAX:
                self._trees.clear()
            self._trees[oid] = body
        return body

    def read_many(self, oids: Iterable[Oid], kind: bytes) -> Iterator[bytes]:
        """The bodies in the order asked, fetched in groups of some megabytes."""
        source = iter(oids)
        count = _GROUP_MIN
        while group := list(islice(source, count)):
            answers = self._ask(b"contents", group)
            held = sum(answer.size for answer in answers)
            count = min(count * 2, _GROUP_MAX) if held < _GROUP_BYTES else max(count // 2, 1)
            for oid, answer in zip(group, answers, strict=True):
                yield _proved(answer, oid, kind)

    def sizes(self, oids: Iterable[Oid]) -> Iterator[int]:
        """Body sizes in bytes in the order asked. Raises IntegrityError when an object is missing."""
        source = iter(oids)
        while group := list(islice(source, _GROUP_MAX)):
            for oid, (kind, size, _) in zip(group, self._ask(b"info", group), strict=True):
                if not kind:
                    raise _missing(oid)
                yield size

    def kinds(self, oids: Iterable[Oid]) -> Iterator[bytes | None]:
        """The objects' kinds in the order asked, None for a missing one."""
        source = iter(oids)
        while group := list(islice(source, _GROUP_MAX)):
            for answer in self._ask(b"info", group):
                yield answer.kind or None

    def has(self, oid: Oid) -> bool:
        """Whether the object is there."""
        return self._ask(b"info", [oid])[0].kind != b""

    def resolve(self, names: Sequence[str]) -> list[Oid | None]:
        """The objects that git's names mean (a full ref, `<ref>:<path>`, an abbreviated id); None for a missing or ambiguous one.

        The child that reads objects answers this too, so reading a value needs no other process. Raises ValueError for LF or NUL in a name.
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

    def close(self) -> None:
        """Ends the child; a later read starts another."""
        with self._lock:
            self._end()

    def __enter__(self) -> GitObjectStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _ask(self, command: bytes, oids: list[Oid]) -> list[_Answer]:
        with self._lock:
            child = self._running()
            request = b"".join([b"%b %b\n" % (command, oid.hex().encode()) for oid in oids]) + b"flush\n"
            try:
                return self._exchange(child, request, oids, command == b"contents")
            except BaseException:  # the stream is out of step now, whatever the reason
                self._end()
                raise

    def _exchange(self, child: subprocess.Popen[bytes], request: bytes, oids: list[Oid], bodies: bool) -> list[_Answer]:
        assert child.stdin is not None and child.stdout is not None
        try:
            _write_all(child.stdin.fileno(), request)
        except BrokenPipeError:
            raise self._died(oids[0]) from None
        return [self._answer(child.stdout, oid, bodies) for oid in oids]

    def _resolved(self, child: subprocess.Popen[bytes], names: list[bytes]) -> list[Oid | None]:
        assert child.stdin is not None and child.stdout is not None
        lost = ToolError(f"git cat-file ended while {len(names)} names were looked up")
        try:
            _write_all(child.stdin.fileno(), b"".join([b"info %b\n" % name for name in names]) + b"flush\n")
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

    def _answer(self, stdout: IO[bytes], oid: Oid, body: bool) -> _Answer:
        fields = stdout.readline().split()
        if len(fields) == 2 and fields[1] == b"missing":
            return _Answer(b"", 0, b"")
        if len(fields) != 3:
            raise self._died(oid)
        size = int(fields[2])
        if not body:
            return _Answer(fields[1], size, b"")
        if size > self._object_bytes_max:
            raise IntegrityError(f"object {oid.hex()} has {size} bytes, expected at most {self._object_bytes_max}")
        data = stdout.read(size)
        if len(data) != size or stdout.read(1) != b"\n":
            raise self._died(oid)
        return _Answer(fields[1], size, data)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._stderr = scratch_file()
            self._child = self._git.popen("-c", "core.bigFileThreshold=1m", "cat-file", "--batch-command", "--buffer", stderr=self._stderr)
        return self._child

    def _died(self, oid: Oid) -> ToolError | IntegrityError:
        assert self._stderr is not None
        said = complaint(scratch_text(self._stderr))
        if "corrupt" in said or "inflate" in said or "unable to" in said:
            return IntegrityError(f"object {oid.hex()} or one read with it cannot be read: {said}", hint="run: git fsck")
        return ToolError(f"git cat-file ended while object {oid.hex()} was read: {said or 'it gave no reason'}")

    def _end(self) -> None:
        if self._child is not None:
            end_process(self._child)
        if self._stderr is not None:
            self._stderr.close()
        self._child = self._stderr = None


def quarantine_environment(git_dir: str, quarantine_dir: str) -> dict[str, str]:
    """Variables that make git write to `quarantine_dir` and still find the repository's own objects."""
    real = os.path.join(git_dir, "objects")
    if real.startswith('"') or ":" in real:  # git's list is split at colons unless an entry is quoted as in C
        real = '"' + real.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return {"GIT_OBJECT_DIRECTORY": quarantine_dir, "GIT_ALTERNATE_OBJECT_DIRECTORIES": real}


def _proved(answer: _Answer, oid: Oid, kind: bytes) -> bytes:
    if not answer.kind:
        raise _missing(oid)
    if answer.kind != kind:
        raise IntegrityError(f"object {oid.hex()}: expected a {kind.decode()}, got a {answer.kind.decode()}")
    return answer.body


def _missing(oid: Oid) -> IntegrityError:
    return IntegrityError(f"object {oid.hex()} is missing")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
