"""What a fetch may cost whoever fetches: its packs are measured as they arrive, and git's own
processes get what a pack of that size and so many objects explains.

A store may be of any size and a line may be slow, so neither time nor bytes are limited as such:
a fetch ends when nothing arrives any more, or when what arrived asks for more than it explains.
Left to others: where the packs arrive (`incoming.py`), what git is asked for (`transport.py`).
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from gitkv.errors import IntegrityError, UnavailableError
from gitkv.git.pack import PACK_HEADER_BYTES, parse_pack_header, read_index
from gitkv.git.pack_limits import Grant, fetch_grant_for
from gitkv.git.pack_scan import PackLimits, PackScan, PackTooMuchError
from gitkv.git.process import TIDY_S, Completed, Git, end_process

STALL_S = 300.0
# Of what a mirror keeps of a store: a value's largest size (spec/policy 5.4), trees and commits.
# git makes chains of 50; this is for who raises `pack.depth`
STORE = PackLimits(
    inflated_bytes_max=4 << 30, blob_bytes_max=100 << 20, other_bytes_max=16 << 20, depth_max=250
)
# Of a person's own branches: whatever git itself makes
ANY = PackLimits(
    inflated_bytes_max=1 << 40, blob_bytes_max=1 << 40, other_bytes_max=1 << 30, depth_max=4095
)
# How a git ends at its limit of processor time, and what it says then, or of memory
LIMIT_CODES = (-signal.SIGXCPU,)
LIMIT_WORDS = (
    b"index-pack died of signal %d" % signal.SIGXCPU,
    b"fatal: Out of memory",
    b"fatal: out of memory",
)
_INFLATED_A_BYTE = 200  # on top: a large store has many versions of a page, a small delta each
_PACK_BYTES_MAX = 1 << 40
_LOOK_MS = 50
_READ_BYTES = 1 << 16
_TEXT_BYTES_MAX = 1 << 16  # of what the far side has to say
_PROGRESS_BYTES = 1 << 16
# Those of git's processes whose work a pack can multiply; its ssh and helpers are not among them,
# nor is rev-list, which walks what is here as well
_AT_WORK = (b"index-pack", b"http-fetch")


class _Arriving:
    """One pack file that git is writing, or has written."""

    def __init__(self, path: str, limits: PackLimits) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - read on as it grows
        self._limits = limits._replace(inflated_bytes_max=1 << 62)
        self._inflated_bytes_max = limits.inflated_bytes_max
        self._head = b""
        self.scan: PackScan | None = None
        self.bytes = 0
        self._is_checked = False

    def look(self) -> None:
        """Measures what has come. Raises PackTooMuchError, ValueError."""
        while data := self._file.read(_READ_BYTES):
            self.bytes += len(data)
            if self.scan is None:
                self._head += data
                if len(self._head) < PACK_HEADER_BYTES:
                    continue
                count = parse_pack_header(self._head[:PACK_HEADER_BYTES])
                self.scan = PackScan(self._limits, count)
                data, self._head = self._head[PACK_HEADER_BYTES:], b""
            self.scan.feed(data)
            allowed = self._inflated_bytes_max + _INFLATED_A_BYTE * self.bytes
            if self.scan.inflated_bytes > allowed:
                raise PackTooMuchError(f"its objects inflate to more than {allowed} bytes")
            if self.bytes > _PACK_BYTES_MAX:
                raise PackTooMuchError(f"expected at most {_PACK_BYTES_MAX} bytes, got more")

    def check_depth(self, index_path: str) -> None:
        """As of PackScan, once there is the index that git makes. Raises IntegrityError, too."""
        if self.scan is None or self._is_checked or not os.path.exists(index_path):
            return
        self._is_checked = True
        if self.scan.names_bases:
            with open(index_path, "rb") as file:
                self.scan.check_depth(read_index(file.read()))

    def close(self) -> None:
        self._file.close()


class FetchBounds:
    """A context around one git that fetches into `pack_dir`. `sender`: for messages."""

    def __init__(self, pack_dir: str, limits: PackLimits, sender: str) -> None:
        self._pack_dir = pack_dir
        self._limits = limits
        self._sender = sender
        self._arriving: dict[tuple[int, int], _Arriving] = {}

    def run(self, git: Git, *args: str, stdin: bytes = b"", stall_s: float) -> Completed:
        """Runs git to its end, or to what ends it: IntegrityError for a pack that asks too much,
        UnavailableError when nothing has arrived for `stall_s` seconds.
        """
        # git leaves its ssh behind when it is ended: a group of their own ends both. Not on a
        # terminal, where a person may have to type.
        own_group = not os.isatty(0)
        process = git.popen(*args, own_group=own_group)
        try:
            _give(process, stdin)
            return self._attend(process, stall_s)
        finally:
            is_ended = process.returncode is not None
            for pid in () if is_ended else _workers(process.pid):
                _kill(os.kill, pid)
            end_process(process, grace_s=TIDY_S)
            if not is_ended and (own_group or git.is_service):
                _kill(os.killpg, process.pid)

    def look(self) -> None:
        """Measures what has arrived since the last look. Raises IntegrityError."""
        try:
            for path in _packs(self._pack_dir):
                with suppress(FileNotFoundError):  # it has got its name just now
                    one = self._find(path)
                    one.look()
                    one.check_depth(path.removesuffix(".pack") + ".idx")
        except (PackTooMuchError, ValueError) as error:
            raise too_much(self._sender, error) from None

    def __enter__(self) -> FetchBounds:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._arriving.values():
            one.close()

    def _find(self, path: str) -> _Arriving:
        stat = os.stat(path)
        key = stat.st_dev, stat.st_ino
        if key not in self._arriving:
            self._arriving[key] = _Arriving(path, self._limits)
        return self._arriving[key]

    def _attend(self, process: subprocess.Popen[bytes], stall_s: float) -> Completed:
        texts = {pipe.fileno(): bytearray() for pipe in (process.stdout, process.stderr) if pipe}
        poll = select.poll()
        for fd in texts:
            poll.register(fd, select.POLLIN)
        patience = _Patience(stall_s)
        open_pipes = len(texts)
        next_look_s = time.monotonic() + _LOOK_MS / 1000
        while open_pipes:
            for fd, _ in poll.poll(_LOOK_MS):
                data = os.read(fd, _READ_BYTES)
                if not data:
                    poll.unregister(fd)
                    open_pipes -= 1
                _keep_ends(texts[fd], data)
            if open_pipes and time.monotonic() >= next_look_s:
                self._look_after(process, patience)
                next_look_s = time.monotonic() + _LOOK_MS / 1000
        process.wait()
        stdout, stderr = map(bytes, texts.values())
        return Completed(stdout, stderr, process.returncode)

    def _look_after(self, process: subprocess.Popen[bytes], patience: _Patience) -> None:
        self.look()
        scans = [one.scan for one in self._arriving.values() if one.scan is not None]
        grant = fetch_grant_for(scans)
        for pid in _workers(process.pid):
            limit_process(pid, grant)
        arrived = sum(one.bytes for one in self._arriving.values())
        is_whole = bool(scans) and all(scan.is_whole for scan in scans)
        if not patience.is_left(arrived, grant.cpu_s if is_whole else 0):
            raise UnavailableError(
                f"git fetch {self._sender}: nothing arrived for {patience.stall_s:g} s"
            )


class _Patience:
    """Progress is some bytes of a pack; once it is whole git may use what it was granted."""

    def __init__(self, stall_s: float) -> None:
        self.stall_s = stall_s
        self._bytes = 0
        self._since_s = time.monotonic()

    def is_left(self, arrived_bytes: int, granted_s: int) -> bool:
        now_s = time.monotonic()
        if arrived_bytes >= self._bytes + _PROGRESS_BYTES:
            self._bytes, self._since_s = arrived_bytes, now_s
        return now_s - self._since_s <= self.stall_s + granted_s


def _give(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Writes a child's whole input, which it reads before it says anything, and closes it."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # why, it says itself
        process.stdin.write(data)
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdin = None


def limit_process(pid: int, grant: Grant) -> None:
    """Limits another process, where the system lets one. Address space that is only reserved does
    not count.
    """
    if not hasattr(resource, "prlimit"):
        return
    for kind, limit in (
        (resource.RLIMIT_CPU, grant.cpu_s),
        (resource.RLIMIT_DATA, grant.memory_bytes),
    ):
        with suppress(ProcessLookupError, PermissionError):
            hard = resource.prlimit(pid, kind)[1]
            soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.prlimit(pid, kind, (soft, hard))


def too_much(sender: str, error: Exception | str) -> IntegrityError:
    """The error for a pack that asks for too much, or is none."""
    return IntegrityError(
        f"{sender} sent a pack that is refused: {error}", hint="nothing of it was kept"
    )


def _kill(kill: Callable[[int, int], None], pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        kill(pid, signal.SIGKILL)


def _packs(folder: str) -> list[str]:
    return [
        os.path.join(folder, name)
        for name in sorted(os.listdir(folder))
        if name.startswith("tmp_pack_") or name.endswith(".pack")
    ]


def _keep_ends(text: bytearray, data: bytes) -> None:
    """The first and the last of what is said: a far side could talk for ever."""
    text += data
    if len(text) > 2 * _TEXT_BYTES_MAX:
        del text[_TEXT_BYTES_MAX:-_TEXT_BYTES_MAX]


def _workers(top: int) -> list[int]:
    """The processes at work on a pack, among those that `top` has started; none where the system
    does not tell.
    """
    found, todo = list[int](), [top]
    while todo:
        pid = todo.pop()
        with suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                    todo += map(int, file.read().split())
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read(4096).split(b"\0")[:5]
            if os.path.basename(words[0]) == b"git" and any(word in _AT_WORK for word in words):
                found.append(pid)
    return found
