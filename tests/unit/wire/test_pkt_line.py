from __future__ import annotations

import tracemalloc

import pytest

from gitkv.wire.pkt_line import FLUSH, NEED_DATA, PAYLOAD_BYTES_MAX, PktReader, WireError, pkt


def test_lines_have_the_bytes_of_the_protocol_documentation() -> None:
    assert [pkt(b"a\n"), pkt(b"a"), pkt(b"foobar\n"), pkt(b"")] == [
        b"0006a\n",
        b"0005a",
        b"000bfoobar\n",
        b"0004",
    ]


def test_the_longest_line_is_65520_bytes() -> None:
    line = pkt(bytes(PAYLOAD_BYTES_MAX))
    assert (len(line), line[:4]) == (65520, b"fff0")
    reader = PktReader()
    reader.feed(line)
    assert reader.next() == bytes(PAYLOAD_BYTES_MAX)
    with pytest.raises(ValueError, match="65516"):
        pkt(bytes(PAYLOAD_BYTES_MAX + 1))


def test_a_reader_gives_lines_the_flush_and_the_rest_whole() -> None:
    reader = PktReader()
    reader.feed(b"0006a\n00040000PACK\x00")
    assert [reader.next(), reader.next(), reader.next()] == [b"a\n", b"", FLUSH]
    assert (reader.take_rest(), reader.next()) == (b"PACK\x00", NEED_DATA)


def test_a_reader_gives_the_same_byte_by_byte() -> None:
    reader, seen = PktReader(), []
    for byte in b"0006a\n00000005b":
        reader.feed(bytes([byte]))
        while (item := reader.next()) is not NEED_DATA:
            seen.append(item)
    assert seen == [b"a\n", FLUSH, b"b"]


def test_upper_case_digits_are_a_length_too() -> None:
    reader = PktReader()
    reader.feed(b"000A123456")
    assert reader.next() == b"123456"


@pytest.mark.parametrize(
    "header",
    [
        b"0001",
        b"0002",
        b"0003",
        b"fff1",
        b"ffff",
        b"00g0",
        b"0x10",
        b"+010",
        b" 010",
        b"-001",
        b"1_00",
        b"010\n",
        b"\xd9\xa300",
        b"PACK",
    ],
)
def test_a_bad_length_is_refused_and_stays_refused(header: bytes) -> None:
    reader = PktReader()
    reader.feed(header + b"0000")
    for _ in range(2):
        with pytest.raises(WireError):
            reader.next()


def test_a_line_over_the_callers_limit_is_refused_before_it_arrives() -> None:
    reader = PktReader(payload_bytes_max=16)
    reader.feed(b"0015")
    with pytest.raises(WireError, match="at most 20, got 21"):
        reader.next()


def test_a_line_of_the_callers_limit_passes() -> None:
    reader = PktReader(payload_bytes_max=16)
    reader.feed(pkt(bytes(16)))
    assert reader.next() == bytes(16)


def test_lines_that_were_handed_out_take_no_memory() -> None:
    reader, line = PktReader(), pkt(bytes(60_000))
    tracemalloc.start()
    try:
        for _ in range(100):
            reader.feed(line)
            assert reader.next() == line[4:]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
