"""The server half of git's push protocol v0 (gitprotocol-pack, "Pushing Data To a Server"):
advertisement, command list, report.

Strict where stock git is lenient, and blind to policy: names stay raw bytes here; `push_grammar`
judges them. The pack after the command list, the connection and its time-outs are left to the
gateway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitkv.model.oid import ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Ref
from gitkv.version import __version__
from gitkv.wire.pkt_line import (
    FLUSH,
    FLUSH_PKT,
    NEED_DATA,
    NeedData,
    PktReader,
    WireError,
    pkt,
)
from gitkv.wire.side_band import BAND_DATA, band, one_line
from gitkv.wire.turn import AGAIN, TURN, TurnRequest, parse_request

KV_REPORT = b"kv-report"  # ours: the client wants `answer_lines` on band 2
REPORT_STATUS = b"report-status"
SIDE_BAND_64K = b"side-band-64k"
ATOMIC = b"atomic"
# Without delete-refs a stock client does not even try a deletion; push-options are never offered
# (their text forges hook input).
CAPABILITIES = b" ".join(
    (
        REPORT_STATUS,
        SIDE_BAND_64K,
        ATOMIC,
        b"ofs-delta quiet object-format=sha1",
        KV_REPORT,
        b"agent=git-kv/" + __version__.encode(),
    )
)

COMMANDS_MAX = 8  # what one push may hold; one more is kept, as proof that there were too many
# Counted up to here so that the pusher gets a refusal; beyond, the connection is dropped
COMMANDS_COUNT_MAX = 10_000
COMMAND_BYTES_MAX = 8192

_COMMAND = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) ([^\0]+)", re.DOTALL)
_SHALLOW = re.compile(rb"shallow [0-9a-f]{40}")
_WORDS = frozenset(
    {
        REPORT_STATUS,
        SIDE_BAND_64K,
        ATOMIC,
        b"ofs-delta",
        b"quiet",
        b"object-format=sha1",
        KV_REPORT,
        AGAIN,
    }
)
_FREE_WORD = re.compile(rb"(?:agent|session-id)=[!-~]{0,256}")
_NOT_LINE = re.compile(rb"[^ -~]")
_NOT_ECHOED = re.compile(rb"[\x00-\x20\x7f]|\xc2[\x80-\x9f]")  # C0, space, DEL, and C1 as UTF-8

_START, _LISTING, _TURN, _DONE, _BROKEN = "start", "listing", "turn", "done", "broken"
_NEXT_STATE = {
    (_START, "shallow"): _START,
    (_START, "command"): _LISTING,
    (_START, "flush"): _DONE,
    (_LISTING, "command"): _LISTING,
    (_LISTING, "flush"): _DONE,
    (_START, "turn"): _TURN,
    (_TURN, "flush"): _DONE,
}


class Command(NamedTuple):
    """One line of a push as sent: `ref` is any bytes without NUL, nothing about it is proved."""

    old: Oid
    new: Oid
    ref: bytes


class ProposedCommands(NamedTuple):
    """A whole command list. `commands` holds the first COMMANDS_MAX + 1 of `command_count`; `rest`
    is what followed the flush.

    `pack_follows`: the client sends a pack, because at least one command (kept or not) is not a
    deletion.
    """

    commands: tuple[Command, ...]
    capabilities: frozenset[bytes]
    shallow: bool
    command_count: int
    pack_follows: bool
    rest: bytes


def advertisement(refs: Mapping[Ref, Oid], capabilities: bytes = CAPABILITIES) -> bytes:
    """The greeting: every ref, sorted, capabilities after the first; `capabilities^{}` where there
    is none.
    """
    shown: list[tuple[bytes, Oid]] = [*sorted(refs.items())] or [(b"capabilities^{}", ZERO_OID)]
    lines = [b"%b %b" % (oid.hex().encode(), ref) for ref, oid in shown]
    lines[0] += b"\0" + capabilities
    return b"".join([pkt(line + b"\n") for line in lines]) + FLUSH_PKT


def refusal(text: str) -> bytes:
    """One ERR line instead of the advertisement; stock git prints it as `remote error: <text>`."""
    return pkt(b"ERR " + one_line(text.encode("ascii", "backslashreplace")))


class CommandReader:
    """Reads one command list, or a request for a turn in its place. After it has handed out a
    list, what arrives on the connection is the pack.
    """

    def __init__(self) -> None:
        self._lines = PktReader(COMMAND_BYTES_MAX)
        self._state = _START
        self._commands: list[Command] = []
        self._capabilities: frozenset[bytes] = frozenset()
        self._counts = {"command": 0, "shallow": 0}
        self._pack_follows = False
        self._turn: TurnRequest | None = None

    def feed(self, data: bytes) -> ProposedCommands | TurnRequest | NeedData:
        """What was asked once its flush arrived. Raises WireError when the client must be
        dropped.
        """
        if self._state in (_DONE, _BROKEN):
            raise WireError("bytes were fed to a command list that is over")
        self._lines.feed(data)
        try:
            while isinstance(line := self._lines.next(), bytes):
                self._take(line)
        except WireError:
            self._state = _BROKEN  # or the next feed would go on after the bad line
            raise
        if line is not FLUSH:
            return NEED_DATA
        self._step("flush")
        if self._turn is None:
            return self._result()
        if self._lines.take_rest():
            raise WireError("turn: bytes were sent before it came")
        return self._turn

    def finish(self) -> None:
        """To be called at end of file. Raises WireError unless the list had arrived as a whole."""
        if self._state != _DONE:
            raise WireError("the client hung up inside its command list")

    def _result(self) -> ProposedCommands:
        return ProposedCommands(
            commands=tuple(self._commands),
            capabilities=self._capabilities,
            shallow=self._counts["shallow"] > 0,
            command_count=self._counts["command"],
            pack_follows=self._pack_follows,
            rest=self._lines.take_rest(),
        )

    def _step(self, event: str) -> None:
        after = _NEXT_STATE.get((self._state, event))
        if after is None:
            raise WireError(f"command list: {event} line is out of place")
        self._state = after

    def _take(self, line: bytes) -> None:
        line = line.removesuffix(b"\n")
        first = self._state == _START
        if line.startswith(TURN + b" ") and not self._counts["shallow"]:
            self._step("turn")
            self._turn = parse_request(line)
            return
        if _SHALLOW.fullmatch(line) is not None:
            self._count("shallow")
            self._step("shallow")
            return
        self._count("command")
        self._step("command")
        line, separator, words = line.partition(b"\0")
        if separator:
            if not first:
                raise WireError("command list: capabilities belong to the first command")
            self._capabilities = _parse_capabilities(words)
        self._keep(_parse_command(line))

    def _count(self, kind: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] > COMMANDS_COUNT_MAX:
            raise WireError(f"command list: expected at most {COMMANDS_COUNT_MAX} {kind} lines")

    def _keep(self, command: Command) -> None:
        self._pack_follows = self._pack_follows or command.new != ZERO_OID
        if len(self._commands) <= COMMANDS_MAX:
            self._commands.append(command)


def report(unpack: bytes, results: Sequence[tuple[bytes, bytes | None]], sideband: bool) -> bytes:
    """The answer to a client that asked for report-status: `unpack` is `ok` or why not; a result is
    a ref with None, or why not.

    With `sideband` it travels on band 1 and ends the stream. Texts become one line of printable
    ASCII each.
    """
    lines = [b"unpack " + one_line(unpack)]
    lines += [_result(ref, why) for ref, why in results]
    body = b"".join([pkt(line + b"\n") for line in lines]) + FLUSH_PKT
    return band(BAND_DATA, body) + FLUSH_PKT if sideband else body


def _result(ref: bytes, why: bytes | None) -> bytes:
    return b"ok " + _echo(ref) if why is None else b"ng %b %b" % (_echo(ref), one_line(why))


def _echo(ref: bytes) -> bytes:
    """The name as the client sent it, which is how it finds its line, unless it could harm the
    client's terminal or forge a field.
    """
    try:
        ref.decode()
    except UnicodeDecodeError:
        return _NOT_LINE.sub(b"?", ref).replace(b" ", b"?")
    return _NOT_ECHOED.sub(b"?", ref)


def _parse_command(line: bytes) -> Command:
    match = _COMMAND.fullmatch(line)
    if match is None:
        kind = (
            "push certificates are not offered"
            if line.startswith(b"push-cert")
            else "expected '<old> <new> <ref>'"
        )
        raise WireError(f"command list: {kind}, got {line[:60]!r}")
    return Command(parse_oid(match[1]), parse_oid(match[2]), match[3])


def _parse_capabilities(words: bytes) -> frozenset[bytes]:
    asked = frozenset(word for word in words.split(b" ") if word)
    for word in asked:
        if word not in _WORDS and _FREE_WORD.fullmatch(word) is None:
            raise WireError(f"capability {word[:60]!r} was not offered")
    return asked
