from __future__ import annotations

import pytest
from unit.wire.feeding import every_way

from gitkv.model.oid import Oid
from gitkv.model.refs import Namespace
from gitkv.wire.pkt_line import FLUSH_PKT, NEED_DATA, WireError, pkt
from gitkv.wire.receive_pack import CommandReader
from gitkv.wire.turn import (
    PACK_BYTES_MAX,
    TurnReader,
    TurnRequest,
    is_busy,
    objects,
    offer,
    request,
    waiting,
)

MAIN = Namespace("main")
HAVES = (Oid(b"\1" * 20), Oid(b"\2" * 20))


@pytest.mark.parametrize("haves", [(), HAVES[:1], HAVES, HAVES * 4])
def test_a_request_comes_back_as_it_was_made(haves: tuple[Oid, ...]) -> None:
    for read in every_way(CommandReader, request(MAIN, haves)):
        assert read == TurnRequest(MAIN, haves)


def test_a_request_for_more_than_eight_commits_is_not_made() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        request(MAIN, HAVES * 5)


@pytest.mark.parametrize(
    "line",
    [
        b"kv-turn ",
        b"kv-turn main ",
        b"kv-turn Main",
        b"kv-turn ma..in",
        b"kv-turn main " + b"0" * 39,
        b"kv-turn main  " + b"0" * 40,
        b"kv-turn main " + b"A" * 40,
        b"kv-turn main" + b" " + b" ".join([b"1" * 40] * 9),
        b"kv-turn main\0",
        b"kv-turn main\nkv-turn main",
    ],
)
def test_a_malformed_request_drops_the_connection(line: bytes) -> None:
    with pytest.raises(WireError):
        CommandReader().feed(pkt(line) + FLUSH_PKT)


@pytest.mark.parametrize("extra", [pkt(b"kv-turn main"), pkt(b"1" * 40 + b" " + b"2" * 40 + b" r")])
def test_nothing_may_stand_beside_a_request(extra: bytes) -> None:
    for stream in (
        pkt(b"kv-turn main") + extra + FLUSH_PKT,
        extra + pkt(b"kv-turn main") + FLUSH_PKT,
        pkt(b"kv-turn main") + FLUSH_PKT + extra,
    ):
        with pytest.raises(WireError):
            CommandReader().feed(stream)


@pytest.mark.parametrize("pack", [b"", b"PACK", b"x" * 70_000])
def test_the_objects_of_a_turn_come_after_any_words_about_waiting(pack: bytes) -> None:
    stream = waiting(12) + waiting(3) + objects(pack)
    reader = TurnReader()
    assert reader.feed(stream[:-1]) is NEED_DATA
    assert reader.others == 3
    assert reader.feed(stream[-1:] + b"greeting") == pack
    assert reader.take_rest() == b"greeting"


@pytest.mark.parametrize(
    "packet", [b"\x02kv-waiting x\n", b"\x02anything", b"\x03gone", b"\x04x", b"", b"PACK"]
)
def test_anything_else_before_a_turn_is_refused(packet: bytes) -> None:
    with pytest.raises(WireError):
        TurnReader().feed(pkt(packet) + FLUSH_PKT)


def test_the_objects_of_a_turn_are_bounded() -> None:
    reader = TurnReader()
    piece = objects(b"x" * (1 << 20)).removesuffix(FLUSH_PKT)
    with pytest.raises(WireError, match="at most"):
        for _ in range((PACK_BYTES_MAX >> 20) + 1):
            reader.feed(piece)


def test_a_greeting_says_where_others_write() -> None:
    none = frozenset(offer([], is_crowded=False))
    some = frozenset(offer([Namespace("a"), MAIN], is_crowded=False))
    crowd = frozenset(offer([], is_crowded=True))
    assert [is_busy(MAIN, words) for words in (none, some, crowd)] == [False, True, True]
    assert not is_busy(Namespace("b"), some)
