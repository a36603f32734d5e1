"""Turns: how a writer asks to be next, and how it is told that it is (spec/turns).

It is ours, and lies between the greeting and the command list of git's push protocol. A server that
knows it says so in its greeting; a client that does not never sees it. Who is next is left to
`gateway/turns.py`, and when an objects' pack is worth sending to the daemon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gitkv.model.oid import ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Namespace, parse_namespace
from gitkv.model.verdict import printable
from gitkv.wire.pkt_line import FLUSH, FLUSH_PKT, NEED_DATA, NeedData, PktReader, WireError, pkt
from gitkv.wire.side_band import BAND_DATA, BAND_FATAL, BAND_PROGRESS, band, progress

TURN = b"kv-turn"  # in a greeting: turns are handed out here
AGAIN = b"kv-again"  # in a greeting, and in a push: after its answer the client may ask once more
BUSY = b"kv-busy="  # in a greeting: where others write or are about to, so ask for a turn
HAVES_MAX = 8
BUSY_MAX = 16  # namespaces named in one greeting; of more, the first
PACK_BYTES_MAX = 32 << 20  # of the objects that come with a turn

_REQUEST = re.compile(rb"kv-turn ([!-~]{1,63})((?: [0-9a-f]{40}){0,8})")
_WAITING = re.compile(rb"kv-waiting (0|[1-9][0-9]{0,5})")
_ANY = b"*"


class TurnRequest(NamedTuple):
    """`haves`: commits that the client has, with all that they lead to; the objects that come with
    the turn start from there.
    """

    ns: Namespace
    haves: tuple[Oid, ...]


def request(ns: Namespace, haves: Sequence[Oid]) -> bytes:
    """What a client sends. Raises ValueError for more than HAVES_MAX."""
    if len(haves) > HAVES_MAX or ZERO_OID in haves:
        raise ValueError(f"expected at most {HAVES_MAX} commits, got {haves!r}")
    return pkt(b" ".join([TURN, ns.encode(), *(oid.hex().encode() for oid in haves)])) + FLUSH_PKT


def parse_request(line: bytes) -> TurnRequest:
    """Raises WireError for a line that is none."""
    found = _REQUEST.fullmatch(line)
    if found is None:
        raise WireError(f"turn: expected 'kv-turn <namespace> <commit>...', got {line[:60]!r}")
    try:
        ns = parse_namespace(found[1])
    except ValueError as error:
        raise WireError(f"turn: {error}") from None
    return TurnRequest(ns, tuple(parse_oid(word) for word in found[2].split()))


def offer(busy: Sequence[Namespace], *, is_crowded: bool) -> list[bytes]:
    """The capabilities of a server that hands out turns. `busy`: where writers wait; `is_crowded`:
    others were greeted and have not said yet where they write.
    """
    names = [_ANY] if is_crowded else [ns.encode() for ns in busy[:BUSY_MAX]]
    return [TURN, AGAIN, *([BUSY + b",".join(names)] if names else [])]


def is_busy(ns: Namespace, capabilities: frozenset[bytes]) -> bool:
    """Whether a greeting says that this namespace is busy."""
    lists = [word.removeprefix(BUSY) for word in capabilities if word.startswith(BUSY)]
    return any(name in (ns.encode(), _ANY) for words in lists for name in words.split(b","))


def waiting(others: int) -> bytes:
    """What a server says now and then to a client that waits: how many are before it."""
    return progress(b"kv-waiting %d\n" % others)


def objects(pack: bytes) -> bytes:
    """The pack that comes with a turn; empty when the client has all, or had better fetch. It is
    followed by an advertisement.
    """
    return band(BAND_DATA, pack) + FLUSH_PKT


class TurnReader:
    """Reads what comes before the advertisement of a turn."""

    def __init__(self) -> None:
        self._packets = PktReader()
        self._pack = bytearray()
        self._over = False
        self.others = -1  # how many were before us when the server said so last; -1: it did not

    def feed(self, data: bytes) -> bytes | NeedData:
        """The pack once all of it is there; `take_rest` gives what follows. Raises WireError."""
        if self._over:
            raise WireError("bytes were fed to a turn that has come")
        self._packets.feed(data)
        self._over = True  # stays so when a packet below is refused
        while isinstance(packet := self._packets.next(), bytes):
            self._take(packet)
        if packet is not FLUSH:
            self._over = False
            return NEED_DATA
        return bytes(self._pack)

    def take_rest(self) -> bytes:
        """The bytes after the turn: the start of the advertisement."""
        return self._packets.take_rest()

    def _take(self, packet: bytes) -> None:
        kind, data = packet[:1], packet[1:]
        if kind == bytes([BAND_DATA]):
            self._pack += data
            if len(self._pack) > PACK_BYTES_MAX:
                raise WireError(f"turn: expected a pack of at most {PACK_BYTES_MAX} bytes")
        elif kind == bytes([BAND_PROGRESS]):
            found = _WAITING.fullmatch(data.removesuffix(b"\n"))
            if found is None:
                raise WireError(f"turn: expected 'kv-waiting <count>', got {data[:60]!r}")
            self.others = int(found[1])
        elif kind == bytes([BAND_FATAL]):
            raise WireError(f"the server gave up: {printable(data.strip())}")
        else:
            raise WireError(f"turn: expected band 1, 2 or 3, got {kind!r}")
