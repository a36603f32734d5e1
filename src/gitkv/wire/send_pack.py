"""The client half of git's push protocol v0: reads the advertisement, words the commands, reads the
answer.

Written for a server that may be hostile or cut off: what it sends is bounded and proved, and an
answer that did not arrive as a whole is an unknown outcome, never a guess. Making the pack and
resolving an unknown outcome are left to the client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gitkv.model.oid import ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.model.verdict import printable
from gitkv.wire.pkt_line import (
    FLUSH,
    FLUSH_PKT,
    NEED_DATA,
    Mark,
    NeedData,
    PktReader,
    WireError,
    pkt,
)
from gitkv.wire.side_band import BAND_DATA, BAND_FATAL, BAND_PROGRESS

REFS_MAX = 100_000
RESULTS_MAX = 100
PROGRESS_LINE_BYTES_MAX = 65536

_REF_LINE = re.compile(rb"([0-9a-f]{40}) ([^\x00-\x20\x7f]{1,1024})")
_REF = re.compile(rb"refs/[^\x00-\x20\x7f]+")
_CAPABILITIES = re.compile(rb"[ -~]*")
_NO_REFS = b"capabilities^{}"
_IGNORED = (b".have", b"HEAD")  # objects of alternates; what some servers add to please old clients


class RemoteRefusal(WireError):
    """The server sent an ERR line instead of its refs; the message is its text, printable."""


class TruncatedAnswer(WireError):
    """The report did not arrive as a whole: the push may or may not have happened. `fatal`: the
    server's last word, printable, or "".
    """

    def __init__(self, fatal: str = "") -> None:
        super().__init__(
            f"the server gave up: {fatal}" if fatal else "the server's answer ended early"
        )
        self.fatal = fatal


class Advertisement(NamedTuple):
    """What the server has and can do. `rest`: bytes after the flush, empty from a server that keeps
    to the protocol.
    """

    refs: dict[Ref, Oid]
    capabilities: frozenset[bytes]
    rest: bytes


class Answer(NamedTuple):
    """A whole report-status: `unpack` is `ok` or why not; a ref's result is None for done, else why
    not. Texts are as sent.
    """

    unpack: bytes
    results: dict[Ref, bytes | None]


class AdvertisementReader:
    """Reads one advertisement."""

    def __init__(self) -> None:
        self._lines = PktReader()
        self._first = True
        self._empty = False
        self._over = False
        self._line_count = 0
        self._refs: dict[Ref, Oid] = {}
        self._capabilities: frozenset[bytes] = frozenset()

    def feed(self, data: bytes) -> Advertisement | NeedData:
        """The whole of it once its flush arrived. Raises WireError on what no honest server sends,
        RemoteRefusal on an ERR line.
        """
        if self._over:
            raise WireError("bytes were fed to an advertisement that is over")
        self._lines.feed(data)
        self._over = True  # stays so when a line below is refused
        while isinstance(line := self._lines.next(), bytes):
            self._take(line.removesuffix(b"\n"))
        if line is not FLUSH:
            self._over = False
            return NEED_DATA
        if self._first:
            raise WireError("advertisement: expected refs or capabilities^{}, got nothing")
        return Advertisement(self._refs, self._capabilities, self._lines.take_rest())

    def _take(self, line: bytes) -> None:
        self._line_count += 1
        if self._line_count > REFS_MAX:
            raise WireError(f"advertisement: expected at most {REFS_MAX} refs")
        if line.startswith(b"ERR "):
            raise RemoteRefusal(printable(line[4:]))
        if self._first:
            line, _, words = line.partition(b"\0")
            self._capabilities = _parse_capabilities(words)
        match = _REF_LINE.fullmatch(line)
        if match is None or self._empty:
            raise WireError(f"advertisement: expected '<oid> <ref>', got {line[:60]!r}")
        oid, name = parse_oid(match[1]), match[2]
        if self._first and name == _NO_REFS and oid == ZERO_OID:
            self._empty = True
        elif name not in _IGNORED:
            self._keep(name, oid)
        self._first = False

    def _keep(self, name: bytes, oid: Oid) -> None:
        if _REF.fullmatch(name) is None or oid == ZERO_OID or name in self._refs:
            raise WireError(f"advertisement: ref {name[:60]!r} is malformed, zero or repeated")
        self._refs[Ref(name)] = oid


def _parse_capabilities(words: bytes) -> frozenset[bytes]:
    if _CAPABILITIES.fullmatch(words) is None:
        raise WireError(f"advertisement: capabilities are not printable: {words[:60]!r}")
    offered = frozenset(word for word in words.split(b" ") if word)
    formats = [word for word in offered if word.startswith(b"object-format=")]
    if formats not in ([], [b"object-format=sha1"]):
        raise WireError(f"advertisement: expected object-format=sha1, got {formats[0][:60]!r}")
    return offered


def commands(updates: Sequence[RefUpdate], wanted: Iterable[bytes]) -> bytes:
    """The command list with its flush; the pack follows it. `wanted`: capabilities, each of which
    the server offered.

    Raises ValueError when a ref or an id could not be told apart on the wire.
    """
    lines = [_command(update) for update in updates]
    if lines:
        lines[0] += b"\0 " + b" ".join(wanted)
    return b"".join([pkt(line) for line in lines]) + FLUSH_PKT


def _command(update: RefUpdate) -> bytes:
    line = b"%b %b %b" % (update.old.hex().encode(), update.new.hex().encode(), update.ref)
    if (
        _REF.fullmatch(update.ref) is None
        or len(update.old) != len(ZERO_OID)
        or len(update.new) != len(ZERO_OID)
    ):
        raise ValueError(f"not a ref update: {line[:200]!r}")
    return line


_UNPACK, _RESULTS, _DONE, _BROKEN = "unpack", "results", "done", "broken"
_REPORT_LINE = re.compile(
    rb"(unpack) ([ -~]+)()|(ok) ([^\x00-\x20\x7f]+)()|(ng) ([^\x00-\x20\x7f]+) ([^\n]+)"
)
_NEXT_STATE = {
    (_UNPACK, b"unpack"): _RESULTS,
    (_RESULTS, b"ok"): _RESULTS,
    (_RESULTS, b"ng"): _RESULTS,
    (_RESULTS, b"flush"): _DONE,
}


class ReportReader:
    """Reads a bare report-status (no side-band); `answer` is there once its flush arrived."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self._lines = PktReader()
        self._state = _UNPACK
        self._unpack = b""
        self._results: dict[Ref, bytes | None] = {}

    def feed(self, data: bytes) -> None:
        """Raises WireError on a malformed report and on bytes after it."""
        self._lines.feed(data)
        try:
            while (line := self._lines.next()) is not NEED_DATA:
                self._take(line)
        except WireError:
            self._state = (
                _BROKEN  # or the next feed would make an answer of what follows the bad line
            )
            raise

    def _take(self, line: bytes | Mark) -> None:
        if isinstance(line, Mark):
            self._step(b"flush")
            self.answer = Answer(self._unpack, self._results)
            return
        match = _REPORT_LINE.fullmatch(line.removesuffix(b"\n"))
        if match is None:
            raise WireError(f"report: expected an unpack, ok or ng line, got {line[:60]!r}")
        word, subject, why = (part for part in match.groups() if part is not None)
        self._step(word)
        if word == b"unpack":
            self._unpack = subject
        elif subject in self._results or len(self._results) == RESULTS_MAX:
            raise WireError(
                f"report: ref {subject[:60]!r} is reported twice, or as one of too many"
            )
        else:
            self._results[Ref(subject)] = why if word == b"ng" else None

    def _step(self, event: bytes) -> None:
        after = _NEXT_STATE.get((self._state, event))
        if after is None:
            raise WireError(f"report: {event.decode()} line is out of place")
        self._state = after


class AnswerReader:
    """Reads the answer to a push: with `sideband` a stream of bands up to its flush, else the bare
    report.

    The answer counts as arrived when the report's own flush did; the end of the stream adds nothing
    to it, and what follows is ignored.
    """

    def __init__(self, sideband: bool) -> None:
        self._sideband = sideband
        self._packets = PktReader()
        self._report = ReportReader()
        self._line = bytearray()  # the unfinished last line of band 2
        self._fatal = ""
        self._over = False
        self.is_over = False  # the last packet has come; the stream may go on with something else

    def feed(self, data: bytes) -> list[bytes]:
        """The lines of progress (band 2, without their LF or CR, as sent) that became complete.
        Raises WireError.
        """
        if not self._sideband:
            self._report.feed(data)
            return []
        if self._over:
            return []
        self._packets.feed(data)
        self._over = True  # stays so when a packet below is refused, and after the flush
        lines: list[bytes] = []
        while isinstance(packet := self._packets.next(), bytes):
            lines += self._take(packet)
        if packet is FLUSH:
            self.is_over = True
            return [*lines, bytes(self._line)] if self._line else lines
        self._over = False
        return lines

    def finish(self) -> Answer:
        """The answer, at end of file or as soon as it is there. Raises TruncatedAnswer when the
        outcome is unknown.
        """
        if self._report.answer is None:
            raise TruncatedAnswer(self._fatal)
        return self._report.answer

    def _take(self, packet: bytes) -> list[bytes]:
        band, data = packet[:1], packet[1:]
        if band == bytes([BAND_DATA]):
            self._report.feed(data)
        elif band == bytes([BAND_PROGRESS]):
            return self._cut(data)
        elif band == bytes([BAND_FATAL]):
            self._fatal = self._fatal or printable(data.strip()) or "no reason given"
        else:
            raise WireError(f"side-band: expected band 1, 2 or 3, got {band!r}")
        return []

    def _cut(self, data: bytes) -> list[bytes]:
        *lines, rest = data.replace(b"\r", b"\n").split(b"\n")
        if lines:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        self._line += rest
        if len(self._line) > PROGRESS_LINE_BYTES_MAX:
            raise WireError(
                f"side-band: expected progress lines of at most {PROGRESS_LINE_BYTES_MAX} bytes"
            )
        return [line for line in lines if line]
