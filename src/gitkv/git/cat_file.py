"""One long-lived `git cat-file --batch-command --buffer`, asked for one group of objects after the
other.

git holds every request back until `flush`, so a whole group of requests can be written before any
answer is read: the two pipes cannot block each other, without threads. Left to others: how many
such children there are, and whose turn it is (`object_store.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from io import BufferedReader
from typing import IO, NamedTuple

from gitkv.errors import (
    GitKvError,
    IntegrityError,
    ToolError,
    UnavailableError,
)
from gitkv.git.process import (
    DAMAGED,
    Completed,
    Git,
    complaint,
    damage,
    end_process,
    leave_to_parent,
    scratch_file,
    scratch_text,
)
from gitkv.model.content import PIECE_BYTES
from gitkv.model.oid import Oid, parse_oid
from gitkv.ports import ObjectTooLargeError

# git maps each pack that it has looked into and never lets go of one, a removed one neither: 2 maps
# a transaction, of 65,530 that a process may have. So a child ends after so many changes among the
# packs, and after so many groups where the packs cannot be seen.
PACK_CHANGES_MAX = 128
GROUPS_MAX = 8192

_INFO = re.compile(rb"([0-9a-f]{40}) (?:blob|tree|commit|tag) [0-9]+\n")
_INFOS = re.compile(rb"[0-9a-f]{40} (?:missing|([a-z]+) ([0-9]+))\n")
_INFO_BYTES = 1 << 16


class ChildEndedError(ToolError):
    """The child ended without a word about the objects: another may well answer."""


class Body(NamedTuple):
    """An object as git has it; `kind` is b"" when it is missing."""

    kind: bytes
    data: bytes


class CatFile:
    """The child, for one thread at a time. After any error its answers are out of step: `end` it.

    Every question raises ChildEndedError when git dies, IntegrityError when an object cannot be
    read, and UnavailableError when a partial clone lacks one and cannot fetch it.
    """

    def __init__(self, git: Git) -> None:
        """Raises ToolError when git is missing, OSError when the system is short of something."""
        self._pack_dir = os.path.join(git.git_dir, "objects", "pack")
        self._packs_seen = self._packs()
        self._changes = self._groups = 0
        self._stderr: IO[bytes] = scratch_file()
        try:
            self._child = git.popen(
                "-c",
                "core.bigFileThreshold=1m",
                "cat-file",
                "--batch-command",
                "--buffer",
                stderr=self._stderr,
            )
        except BaseException:
            self._stderr.close()
            raise

    @property
    def pid(self) -> int:
        """The process id of the git that reads."""
        return self._child.pid

    @property
    def is_worn(self) -> bool:
        """Whether it may hold so many packs that another should take its place."""
        seen = self._packs()
        self._changes += seen != self._packs_seen
        self._packs_seen = seen
        return self._changes >= PACK_CHANGES_MAX or self._groups >= GROUPS_MAX

    def bodies(self, oids: list[Oid], bytes_max: int) -> list[Body]:
        """The objects, whole. Raises ObjectTooLargeError before one of more than `bytes_max` is
        read.
        """
        stdout = self._ask(b"contents", oids)
        return [self._body(stdout, oid, bytes_max) for oid in oids]

    def begin_body(self, oid: Oid) -> tuple[bytes, int]:
        """Kind and size of an object whose body `pieces` gives next; the kind is empty for a
        missing one.
        """
        stdout = self._ask(b"contents", [oid])
        fields = stdout.readline().split()
        if len(fields) == 2 and fields[1] == b"missing":
            return b"", 0
        if len(fields) != 3:
            raise self._died(oid)
        return fields[1], int(fields[2])

    def pieces(self, oid: Oid, size: int) -> Iterator[bytes]:
        """The body that `begin_body` has told the size of."""
        stdout = self._child.stdout
        assert stdout is not None
        while size:
            piece = stdout.read(min(size, PIECE_BYTES))
            if not piece:
                raise self._died(oid)
            size -= len(piece)
            yield piece
        if stdout.read(1) != b"\n":
            raise self._died(oid)

    def infos(self, oids: list[Oid]) -> list[tuple[bytes, bytes]]:
        """(kind, size) of each, both empty for a missing one. One pass of a pattern over all
        answers: an audit asks for every value.
        """
        stdout, text, lines = self._ask(b"info", oids), bytearray(), 0
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

    def resolve(self, names: list[bytes]) -> list[Oid | None]:
        """The objects that git's names mean, which have no LF; None for a missing or ambiguous
        one.
        """
        try:
            stdout = self._send([b"info %b\n" % name for name in names])
        except BrokenPipeError:
            raise self._gone(names) from None
        found: list[Oid | None] = []
        for name in names:
            line = stdout.readline()
            if not line:
                raise self._gone(names)
            known = _INFO.fullmatch(line)
            if known is None and line not in (name + b" missing\n", name + b" ambiguous\n"):
                raise self._gone(names)
            found.append(None if known is None else parse_oid(known[1]))
        return found

    def end(self) -> None:
        """Ends the child; harmless when it has ended."""
        end_process(self._child)
        self._stderr.close()

    def let_go(self) -> None:
        """To be called in a forked process: the child goes on for the parent alone."""
        leave_to_parent(self._child)

    def _ask(self, command: bytes, oids: list[Oid]) -> BufferedReader:
        try:
            return self._send([b"%b %b\n" % (command, oid.hex().encode()) for oid in oids])
        except BrokenPipeError:
            raise self._died(oids[0]) from None

    def _send(self, lines: list[bytes]) -> BufferedReader:
        """Asks for one group; where its answers come."""
        child = self._child
        assert child.stdin is not None and isinstance(child.stdout, BufferedReader)
        self._groups += 1
        view = memoryview(b"".join(lines) + b"flush\n")
        while view:
            view = view[os.write(child.stdin.fileno(), view) :]
        return child.stdout

    def _body(self, stdout: BufferedReader, oid: Oid, bytes_max: int) -> Body:
        fields = stdout.readline().split()
        if len(fields) == 2 and fields[1] == b"missing":
            return Body(b"", b"")
        if len(fields) != 3:
            raise self._died(oid)
        size = int(fields[2])
        if size > bytes_max:
            raise ObjectTooLargeError(
                f"object {oid.hex()} has {size} bytes, expected at most {bytes_max}"
            )
        data = stdout.read(size)
        if len(data) != size or stdout.read(1) != b"\n":
            raise self._died(oid)
        return Body(fields[1], data)

    def _packs(self) -> int:
        """A number that changes with the packs; 0 when they cannot be seen."""
        try:
            return os.stat(self._pack_dir).st_mtime_ns
        except OSError:
            return 0

    def _gone(self, names: list[bytes]) -> GitKvError:
        words = scratch_text(self._stderr)
        what = f"git cat-file ended while {len(names)} names were looked up"
        return damage("cat-file", Completed(b"", words, 1)) or ChildEndedError(what)

    def _died(self, oid: Oid) -> ToolError | IntegrityError | UnavailableError:
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
                hint=DAMAGED,
            )
        return ChildEndedError(
            f"git cat-file ended while object {oid.hex()} was read: {said or 'it gave no reason'}"
        )
