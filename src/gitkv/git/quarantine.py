"""A place where a pack from outside is unpacked, checked and measured before one byte of it can be
seen.

`git index-pack --strict` does the checking: it hashes every object (detecting collisions), proves
that each object is well formed and that what it links to exists, and completes thin packs. Around
it stand limits on size, objects, memory, processor time and patience, because half a megabyte can
inflate to half a gigabyte. Left to others: whether the objects are wanted (`ledger/`), and the
way of an accepted pack into the repository (`journal.py`).
"""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from gitkv.errors import GitKvError, IntegrityError, UnavailableError
from gitkv.git.object_store import GitObjectStore, quarantine_environment
from gitkv.git.pack import PACK_HEADER_BYTES, parse_pack_header, read_index
from gitkv.git.pack_limits import MEMORY_BYTES, Grant, grant_for, object_limits
from gitkv.git.pack_scan import PackScan, PackTooMuchError
from gitkv.git.process import (
    Completed,
    Git,
    complaint,
    end_process,
    machine_problem,
    scratch_file,
    scratch_text,
)
from gitkv.git.quarantine_folder import drop_folder, make_folder, quarantine_root
from gitkv.git.shortage import shortage_in
from gitkv.model.verdict import POLICY
from gitkv.ports import IntakeLimits, QuarantinedPack

_TRAILER_BYTES = 20
_RESULT = re.compile(rb"pack\t([0-9a-f]{40})\n")
_FSCK_FAULT = re.compile(r": ([a-zA-Z]+): ")
# git-fsck's words for what the rules of ledger commits would refuse with another code, had git not
# been first.
_FSCK_CODES = {
    **dict.fromkeys(
        ("badDate", "badDateOverflow", "zeroPaddedDate", "badTimezone", "missingSpaceBeforeDate"), 3
    ),
    **dict.fromkeys(
        (
            "badEmail",
            "missingEmail",
            "missingNameBeforeEmail",
            "missingSpaceBeforeEmail",
            "badName",
        ),
        3,
    ),
    **dict.fromkeys(
        ("multipleAuthors", "missingAuthor", "missingCommitter", "nulInCommit", "nulInHeader"), 8
    ),
}
# Nothing of ours ends git like this: the system's guard of memory does, or an operator
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CPU_SLACK_S = 5
_WORST = 64 << 20  # room for the index, and for the bases that complete a thin pack

# Large blobs stream through a small buffer instead of being held; delta bases are cached sparingly;
# one thread, one share of the limits.
_INDEX_PACK = (
    "-c",
    "core.bigFileThreshold=1m",
    "-c",
    "core.deltaBaseCacheLimit=16m",
    "-c",
    "core.packedGitWindowSize=1m",
    "-c",
    "core.packedGitLimit=64m",
    "index-pack",
    "--strict",
    "--stdin",
    "--fix-thin",
    "--threads=1",
)


class PackRefused(GitKvError):  # named like the rule of the reason that is made of it
    """A pack from outside was not accepted; nothing of it is left. The message is one printable
    line.

    `exit_code`: 5 for a broken pack, 3 where it is whole and asks too much or tells an impossible
    time, 8 for a forged commit.
    """

    exit_code = 5

    def __init__(self, message: str, *, exit_code: int = 5) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Quarantine:
    """One pack's quarantine under `<git_dir>/kv/quarantine/`: `feed` until the end, `finish`, then
    `discard`, also when somebody has taken the pack out of it.

    A failure discards and raises PackRefused, or UnavailableError or OSError when the machine, and
    not the pack, is to blame. `objects_dir` is a GIT_OBJECT_DIRECTORY for
    readers of the pack.
    """

    def __init__(
        self,
        git: Git,
        limits: IntakeLimits | None = None,
        *,
        reserve: Callable[[int], None] = lambda size: None,
    ) -> None:
        """`reserve` is told how many bytes the pack takes by now: of disk, and of memory more than
        git takes for any pack. It is told before they are taken; what it raises refuses the pack.
        """
        self._git = git
        self._reserve = reserve
        self._limits = limits or IntakeLimits()
        self.objects_dir = os.path.join(quarantine_root(git.git_dir), os.urandom(8).hex())
        self._head = b""
        self._fed_bytes = 0
        self._count = 0
        self._scan: PackScan | None = None
        self._granted = Grant(0, 0)
        self._child: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._left_s = self._limits.work_s_max
        self._began_s = 0.0
        self._starting = threading.Lock()
        self._is_discarded = False

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the pack. How long they are waited for is not counted here."""
        self._begin()
        try:
            self._feed(data)
        except BaseException:
            self.discard()
            raise
        self._left_s = self._remaining_s()

    def finish(self) -> QuarantinedPack:
        """The pack, once every byte was fed."""
        self._begin()
        try:
            return self._finish()
        except BaseException:
            self.discard()
            raise

    def objects(self, object_bytes_max: int) -> GitObjectStore:
        """As in the port `Intake`."""
        return GitObjectStore(
            self._git, quarantine_dir=self.objects_dir, object_bytes_max=object_bytes_max
        )

    def wait_until_ended(self) -> None:
        """Blocks until git has read the whole pack, or given up; a sender who waits for our answer
        never closes its side.

        To be called from another thread once `is_started`; `finish` says what came of it.
        """
        if self._child is not None:
            self._child.wait()

    @property
    def is_started(self) -> bool:
        """Whether git has been given its first bytes."""
        return self._child is not None

    @property
    def pid(self) -> int:
        """The process id of the git at work, 0 when there is none."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else 0

    def discard(self) -> None:
        """Ends git and removes everything; harmless when done before."""
        with self._starting:  # perhaps in another thread, when a session is cut off
            self._is_discarded = True
            child, stderr, self._child, self._stderr = self._child, self._stderr, None, None
        if child is not None:
            end_process(child)
        if stderr is not None:
            stderr.close()
        drop_folder(self.objects_dir)

    def _feed(self, data: bytes) -> None:
        self._fed_bytes += len(data)
        if self._fed_bytes > self._limits.pack_bytes_max:
            raise PackRefused(
                f"pack: expected at most {self._limits.pack_bytes_max} bytes, got more"
            )
        if self._left_s <= 0:
            raise self._late()
        if self._child is None:
            self._head += data
            if len(self._head) < PACK_HEADER_BYTES:
                return
            self._scan = self._begin_scan()
            data, self._head = self._head, b""
            self._start()
            self._measure(data[PACK_HEADER_BYTES:])
        else:
            self._measure(data)
        self._write(data)

    def _begin_scan(self) -> PackScan:
        try:
            self._count = parse_pack_header(self._head[:PACK_HEADER_BYTES])
        except ValueError as error:
            raise PackRefused(f"pack: {error}") from None
        limits = self._limits
        if self._count > limits.objects_max:
            raise PackRefused(
                f"pack: expected at most {limits.objects_max} objects, got {self._count}",
                exit_code=POLICY,
            )
        return PackScan(object_limits(limits), self._count)

    def _measure(self, data: bytes) -> None:
        """Counts what the next bytes will cost, and grants git what an honest pack of that size
        needs: a chain or a bomb that would cost it more ends it.
        """
        assert self._child is not None and self._scan is not None
        try:
            self._scan.feed(data)
        except PackTooMuchError as error:
            raise PackRefused(f"pack: {error}", exit_code=POLICY) from None
        except ValueError as error:
            raise PackRefused(f"pack: {error}") from None
        grant = grant_for(self._limits, self._scan, self._count)
        self._reserve(self._fed_bytes + max(0, grant.memory_bytes - MEMORY_BYTES))
        if grant != self._granted:
            self._granted = grant
            for kind, soft, hard in (
                # At the hard limit the system kills, which looks as if somebody else had
                (resource.RLIMIT_CPU, grant.cpu_s, self._limits.cpu_s_max + _CPU_SLACK_S),
                (resource.RLIMIT_AS, grant.memory_bytes, self._limits.memory_bytes_max),
            ):
                with suppress(ProcessLookupError):  # it has ended: the next write says why
                    resource.prlimit(self._child.pid, kind, (soft, hard))

    def _start(self) -> None:
        """Starts git, and limits it before it has been given its first byte."""
        git = self._git.with_extra(quarantine_environment(self._git.git_dir, self.objects_dir))
        with self._starting:
            if self._is_discarded:
                raise PackRefused("pack: its session has ended")
            make_folder(self.objects_dir)
            self._stderr = scratch_file()
            self._child = git.popen(
                *_INDEX_PACK, f"--max-input-size={self._limits.pack_bytes_max}", stderr=self._stderr
            )
        for kind, limit in (
            (resource.RLIMIT_FSIZE, 2 * self._limits.pack_bytes_max + _WORST),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.prlimit(self._child.pid, kind, (limit, limit))
        os.set_blocking(_fd(self._child.stdin), False)

    def _write(self, data: bytes) -> None:
        assert self._child is not None
        fd, view = _fd(self._child.stdin), memoryview(data)
        ready = select.poll()
        ready.register(fd, select.POLLOUT)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                if not ready.poll(max(0.0, self._remaining_s()) * 1000):
                    raise self._late() from None
            except BrokenPipeError:
                raise self._refused() from None

    def _finish(self) -> QuarantinedPack:
        child = self._child
        if child is None or child.stdin is None:
            raise PackRefused(
                f"pack: expected a header of {PACK_HEADER_BYTES} bytes, got {self._fed_bytes} bytes"
            )
        child.stdin.close()
        child.stdin = None
        try:
            stdout = child.communicate(timeout=max(0.0, self._remaining_s()))[0]
        except subprocess.TimeoutExpired:
            raise self._late() from None
        if child.returncode != 0:
            raise self._refused()
        found = _RESULT.fullmatch(stdout)
        if found is None:
            raise PackRefused("pack: bytes follow its end")
        return self._measured(found[1].decode())

    def _measured(self, name: str) -> QuarantinedPack:
        """What git wrote, compared with what was fed: a thin pack's bases follow the objects
        that were sent.
        """
        stem = os.path.join(self.objects_dir, "pack", f"pack-{name}")
        if self._count == 0:
            self._check_length(PACK_HEADER_BYTES + _TRAILER_BYTES)
            return QuarantinedPack("", (), ())
        try:
            with open(f"{stem}.idx", "rb") as file:
                oids, offsets = index = read_index(file.read())
        except IntegrityError as error:  # such as one object twice
            raise PackRefused(str(error)) from None
        if len(oids) < self._count:
            raise PackRefused(f"pack: expected {self._count} different objects, got {len(oids)}")
        end = (
            sorted(offsets)[self._count]
            if len(oids) > self._count
            else os.path.getsize(f"{stem}.pack") - _TRAILER_BYTES
        )
        self._check_length(end + _TRAILER_BYTES)
        assert self._scan is not None
        try:
            self._scan.check_depth(index)
        except PackTooMuchError as error:
            raise PackRefused(f"pack: {error}", exit_code=POLICY) from None
        sent = tuple([oid for oid, at in zip(oids, offsets, strict=True) if at < end])
        bases = tuple([oid for oid, at in zip(oids, offsets, strict=True) if at >= end])
        return QuarantinedPack(f"{stem}.pack", sent, bases, self._fed_bytes)

    def _check_length(self, pack_bytes: int) -> None:
        if self._fed_bytes != pack_bytes:
            raise PackRefused(
                f"pack: expected it to end after {pack_bytes} bytes, got {self._fed_bytes} bytes"
            )

    def _refused(self) -> GitKvError:
        """Why git stopped: the pack's fault, or that of this machine or its disk. Called once
        the pipe is broken or the child has ended.
        """
        assert self._child is not None and self._stderr is not None
        try:
            code = self._child.wait(max(1.0, self._remaining_s()))
        except subprocess.TimeoutExpired:
            return self._late()
        if code == 0:
            return PackRefused("pack: bytes follow its end")
        said = complaint(scratch_text(self._stderr))
        short = shortage_in(said) or ("" if -code not in _FROM_OUTSIDE else "git was ended")
        if short:
            return UnavailableError(f"the pack could not be unpacked: {short}")
        if problem := machine_problem("index-pack", Completed(b"", said.encode(), code)):
            return problem
        if not said:
            return PackRefused(
                f"pack: git index-pack was ended by signal {-code}: a limit was reached"
            )
        fault = _FSCK_FAULT.search(said)
        return PackRefused(f"pack: {said}", exit_code=_FSCK_CODES.get(fault[1], 5) if fault else 5)

    def _late(self) -> PackRefused:
        return PackRefused(
            f"pack: it was not complete and checked within {self._limits.work_s_max:g} s"
        )

    def _begin(self) -> None:
        self._began_s = time.monotonic()

    def _remaining_s(self) -> float:
        return self._left_s - (time.monotonic() - self._began_s)


def _fd(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise IntegrityError("the pipe to git is closed already")
    return pipe.fileno()
