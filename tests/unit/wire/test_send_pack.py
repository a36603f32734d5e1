from __future__ import annotations

import pytest
from unit.wire.feeding import every_way

from gitkv.model.oid import ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.wire import send_pack as client
from gitkv.wire.pkt_line import FLUSH_PKT, NEED_DATA, WireError, pkt
from gitkv.wire.send_pack import (
    Advertisement,
    AdvertisementReader,
    Answer,
    AnswerReader,
    RemoteRefusal,
    TruncatedAnswer,
)

ONE = parse_oid(b"6623605142a878f2de7d19db3572a548e8039ccf")
TWO = parse_oid(b"1bdf57b53019e0d94da971f2958ba2c59dd6939d")
ONE_HEX = ONE.hex().encode()

# What the receive-pack of stock git 2.39.5 sent: its refs; then, in another push with a hook, its
# answer.
STOCK_REFS = (
    b"00b46623605142a878f2de7d19db3572a548e8039ccf refs/kv-index/main\x00report-status "
    b"report-status-v2 delete-refs side-band-64k quiet"
    b" atomic ofs-delta object-format=sha1 agent=git/2.39.5\n"
    b"003a1bdf57b53019e0d94da971f2958ba2c59dd6939d refs/kv/main\n0000"
)
STOCK_EMPTY = (
    b"00b10000000000000000000000000000000000000000 capabilities^{}\x00report-status "
    b"report-status-v2 delete-refs side-band-64k quiet"
    b" atomic ofs-delta object-format=sha1 agent=git/2.39.5\n0000"
)
STOCK_ANSWER = (
    b"0019\x02hello from the hook\n005b\x02error: cannot lock ref 'refs/kv/a/b': 'refs/kv/a' "
    b"exists; cannot create 'refs/kv/a/b'\n"
    b"0050\x01000eunpack ok\n0011ok refs/kv/a\n0028ng refs/kv/a/b failed to update ref\n00000000"
)
STOCK_LINES = [
    b"hello from the hook",
    b"error: cannot lock ref 'refs/kv/a/b': 'refs/kv/a' exists; cannot create 'refs/kv/a/b'",
]
STOCK_RESULT = Answer(
    b"ok", {Ref(b"refs/kv/a"): None, Ref(b"refs/kv/a/b"): b"failed to update ref"}
)
REPORT = b"000eunpack ok\n0011ok refs/kv/a\n0000"


def test_the_refs_of_stock_git_are_read_whole_and_byte_by_byte() -> None:
    for seen in every_way(AdvertisementReader, STOCK_REFS):
        assert seen.refs == {b"refs/kv-index/main": ONE, b"refs/kv/main": TWO}
        assert {b"atomic", b"side-band-64k", b"object-format=sha1"} < seen.capabilities


def test_an_empty_repository_has_capabilities_and_no_refs() -> None:
    for seen in every_way(AdvertisementReader, STOCK_EMPTY):
        assert (seen.refs, b"atomic" in seen.capabilities) == ({}, True)


def test_what_follows_the_advertisement_is_handed_out() -> None:
    seen = AdvertisementReader().feed(STOCK_REFS + b"more")
    assert isinstance(seen, Advertisement)
    assert seen.rest == b"more"


def test_alternates_and_head_are_not_refs() -> None:
    data = (
        pkt(ONE_HEX + b" HEAD\0atomic")
        + pkt(ONE_HEX + b" .have")
        + pkt(ONE_HEX + b" .have")
        + FLUSH_PKT
    )
    seen = AdvertisementReader().feed(data)
    assert isinstance(seen, Advertisement)
    assert (seen.refs, seen.capabilities) == (dict[Ref, Oid](), frozenset({b"atomic"}))


def test_an_error_line_is_the_servers_refusal_in_printable_words() -> None:
    with pytest.raises(RemoteRefusal, match=r"^not leader: ask kv-2\\x1b$"):
        AdvertisementReader().feed(pkt(b"ERR not leader: ask kv-2\x1b\n"))


FIRST = ONE_HEX + b" refs/kv/a\0atomic\n"
HOSTILE_REFS = {
    "nothing": [],
    "short oid": [ONE_HEX[1:] + b" refs/kv/a"],
    "upper-case oid": [ONE_HEX.upper() + b" refs/kv/a"],
    "sha256 oid": [ONE_HEX + b"0" * 24 + b" refs/kv/a"],
    "zero oid": [b"0" * 40 + b" refs/kv/a"],
    "no ref": [ONE_HEX],
    "line feed in a ref": [ONE_HEX + b" refs/kv/a\nb"],
    "escape in a ref": [ONE_HEX + b" refs/kv/\x1b[2J"],
    "space in a ref": [ONE_HEX + b" refs/kv/a b"],
    "ref outside of refs": [ONE_HEX + b" ../config"],
    "endless ref": [ONE_HEX + b" refs/" + b"a" * 2000],
    "one ref twice": [FIRST, ONE_HEX + b" refs/kv/a"],
    "capabilities twice": [FIRST, ONE_HEX + b" refs/kv/b\0atomic"],
    "refs after none": [b"0" * 40 + b" capabilities^{}\0", ONE_HEX + b" refs/kv/a"],
    "none after refs": [FIRST, b"0" * 40 + b" capabilities^{}"],
    "shallow repository": [FIRST, b"shallow " + ONE_HEX],
    "sha256 repository": [ONE_HEX + b" refs/kv/a\0object-format=sha256"],
    "two formats": [ONE_HEX + b" refs/kv/a\0object-format=sha1 object-format=sha256"],
    "escape in capabilities": [ONE_HEX + b" refs/kv/a\0agent=\x1b[2J"],
    "protocol version 1": [b"version 1\n", FIRST],
}


@pytest.mark.parametrize("lines", HOSTILE_REFS.values(), ids=HOSTILE_REFS.keys())
def test_an_advertisement_no_honest_server_sends_is_refused_for_good(lines: list[bytes]) -> None:
    reader = AdvertisementReader()
    with pytest.raises(WireError):
        reader.feed(b"".join(map(pkt, lines)) + FLUSH_PKT)
    with pytest.raises(WireError):
        reader.feed(STOCK_REFS)


@pytest.mark.parametrize("first", [ONE_HEX + b" refs/kv/a\0atomic", ONE_HEX + b" HEAD\0atomic"])
def test_a_hundred_thousand_refs_are_read_and_one_more_is_refused(first: bytes) -> None:
    reader = AdvertisementReader()
    reader.feed(
        pkt(first) + b"".join(pkt(b"%b refs/kv/%d" % (ONE_HEX, number)) for number in range(99_999))
    )
    with pytest.raises(WireError, match="100000"):
        reader.feed(pkt(ONE_HEX + b" refs/kv/b"))


def test_endless_alternates_are_refused() -> None:
    with pytest.raises(WireError, match="100000"):
        AdvertisementReader().feed(pkt(ONE_HEX + b" .have") * 100_001)


def test_commands_have_the_bytes_of_stock_git() -> None:
    updates = [
        RefUpdate(Ref(ref), ZERO_OID, ONE) for ref in (b"refs/kv/main", b"refs/kv-index/main")
    ]
    words = [
        b"report-status",
        b"side-band-64k",
        b"quiet",
        b"atomic",
        b"object-format=sha1",
        b"agent=git/2.39.5",
    ]
    assert client.commands(updates, words) == (
        b"00b00000000000000000000000000000000000000000 6623605142a878f2de7d19db3572a548e8039ccf "
        b"refs/kv/main\x00"
        b" report-status side-band-64k quiet atomic object-format=sha1 agent=git/2.39.5"
        b"00680000000000000000000000000000000000000000 6623605142a878f2de7d19db3572a548e8039ccf "
        b"refs/kv-index/main0000"
    )


def test_no_updates_are_an_immediate_flush() -> None:
    assert client.commands([], [b"atomic"]) == FLUSH_PKT


@pytest.mark.parametrize(
    ("ref", "old"), [(b"refs/a\0b", ONE), (b"refs/a\n", ONE), (b"a", ONE), (b"refs/a", b"")]
)
def test_an_update_that_would_forge_a_line_is_not_sent(ref: bytes, old: bytes) -> None:
    with pytest.raises(ValueError, match="not a ref update"):
        client.commands([RefUpdate(Ref(ref), old, TWO)], [])


def fed(reader: AnswerReader, data: bytes, step: int) -> list[bytes]:
    return [line for at in range(0, len(data), step) for line in reader.feed(data[at : at + step])]


@pytest.mark.parametrize("trailing", [b"", b"trailing", b"0001"])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_the_answer_of_stock_git_is_read_in_any_portions(step: int, trailing: bytes) -> None:
    reader = AnswerReader(sideband=True)
    assert fed(reader, STOCK_ANSWER + trailing, step) == STOCK_LINES
    assert reader.finish() == STOCK_RESULT


@pytest.mark.parametrize("step", [1, 10_000])
def test_a_bare_report_is_read_without_bands(step: int) -> None:
    reader = AnswerReader(sideband=False)
    assert fed(reader, REPORT, step) == []
    assert reader.finish() == Answer(b"ok", {Ref(b"refs/kv/a"): None})


def test_an_answer_cut_anywhere_before_its_report_is_whole_is_an_unknown_outcome() -> None:
    whole_at = len(STOCK_ANSWER) - len(FLUSH_PKT)
    for at in range(whole_at):
        reader = AnswerReader(sideband=True)
        reader.feed(STOCK_ANSWER[:at])
        with pytest.raises(TruncatedAnswer):
            reader.finish()


def test_an_answer_cut_after_its_report_is_an_answer() -> None:
    reader = AnswerReader(sideband=True)
    reader.feed(STOCK_ANSWER[: -len(FLUSH_PKT)])
    assert reader.finish() == STOCK_RESULT


def test_a_report_split_over_packets_between_progress_is_put_together() -> None:
    data = (
        pkt(b"\x02a")
        + b"".join(pkt(b"\x01" + bytes([byte])) + pkt(b"\x02b") for byte in REPORT)
        + FLUSH_PKT
    )
    reader = AnswerReader(sideband=True)
    assert reader.feed(data) == [b"a" + b"b" * len(REPORT)]
    assert reader.finish().results == {b"refs/kv/a": None}


def test_progress_that_rewrites_its_line_comes_as_lines() -> None:
    assert AnswerReader(sideband=True).feed(pkt(b"\x021%\r2%\r\n\x1b[K") + FLUSH_PKT) == [
        b"1%",
        b"2%",
        b"\x1b[K",
    ]


def test_the_servers_last_word_is_kept_with_the_unknown_outcome() -> None:
    reader = AnswerReader(sideband=True)
    reader.feed(pkt(b"\x03disk full\x1b\n"))
    with pytest.raises(TruncatedAnswer, match=r"gave up: disk full\\x1b$") as caught:
        reader.finish()
    assert caught.value.fatal == "disk full\\x1b"


HOSTILE_ANSWERS = {
    "no unpack line": [b"ok refs/kv/a\n"],
    "unpack twice": [b"unpack ok\n", b"unpack ok\n"],
    "one ref twice": [b"unpack ok\n", b"ok refs/kv/a\n", b"ng refs/kv/a no\n"],
    "ng without a reason": [b"unpack ok\n", b"ng refs/kv/a\n"],
    "option lines": [b"unpack ok\n", b"ok refs/kv/a\n", b"option refname refs/kv/b\n"],
    "line feed in a ref": [b"unpack ok\n", b"ok refs/kv/a\nb\n"],
    "two lines in one": [b"unpack ok\n", b"ng refs/kv/a no\nok refs/kv/b\n"],
    "rubbish": [b"\xff"],
    "too many": [b"unpack ok\n", *(b"ok refs/kv/%d\n" % number for number in range(101))],
}


@pytest.mark.parametrize("lines", HOSTILE_ANSWERS.values(), ids=HOSTILE_ANSWERS.keys())
def test_a_malformed_report_never_becomes_an_answer(lines: list[bytes]) -> None:
    report = b"".join(map(pkt, lines)) + FLUSH_PKT
    for reader, data in (
        (AnswerReader(False), report),
        (AnswerReader(True), pkt(b"\x01" + report) + FLUSH_PKT),
    ):
        with pytest.raises(WireError):
            reader.feed(data)
        with pytest.raises(WireError):
            reader.feed(REPORT)
            reader.finish()


def test_bytes_after_the_report_are_refused() -> None:
    with pytest.raises(WireError, match="out of place"):
        AnswerReader(sideband=True).feed(pkt(b"\x01" + REPORT + pkt(b"ok refs/kv/b\n")))


@pytest.mark.parametrize("packet", [b"", b"\x00", b"\x04x", b"ok refs/kv/a\n"])
def test_an_unknown_band_is_refused(packet: bytes) -> None:
    with pytest.raises(WireError, match="band"):
        AnswerReader(sideband=True).feed(pkt(packet))


def test_a_progress_line_without_end_is_refused() -> None:
    reader = AnswerReader(sideband=True)
    assert reader.feed(pkt(b"\x02" + b"x" * 60_000)) == []
    with pytest.raises(WireError, match="65536"):
        reader.feed(pkt(b"\x02" + b"x" * 60_000))


def test_no_answer_is_there_before_the_first_byte() -> None:
    assert AdvertisementReader().feed(b"") is NEED_DATA
    with pytest.raises(TruncatedAnswer, match="ended early"):
        AnswerReader(sideband=True).finish()


def test_ids_are_raw() -> None:
    seen = AdvertisementReader().feed(STOCK_REFS)
    assert isinstance(seen, Advertisement)
    assert seen.refs[Ref(b"refs/kv/main")] == Oid(bytes.fromhex(TWO.hex()))
