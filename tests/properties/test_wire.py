from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.model.verdict import Reason, Verdict, reason
from gitkv.wire import receive_pack as server
from gitkv.wire import send_pack as client
from gitkv.wire import side_band
from gitkv.wire.answer_lines import Receipt, parse_line, reason_line, receipt_line
from gitkv.wire.pkt_line import FLUSH, FLUSH_PKT, NEED_DATA, PktReader, WireError, pkt
from gitkv.wire.push_grammar import classify

oids = st.binary(min_size=20, max_size=20).map(Oid)
real_oids = oids.filter(lambda oid: oid != ZERO_OID)
refs = st.from_regex(rb"refs/[!-~\x80-\xff]{1,40}", fullmatch=True).map(Ref)
plain_refs = st.from_regex(rb"refs/[!-~]{1,40}", fullmatch=True)
texts = st.text(max_size=250)
reasons = st.builds(
    Reason,
    st.integers(1, 255),
    st.from_regex(r"[a-z0-9._-]{1,80}", fullmatch=True),
    texts,
    texts,
    texts,
    texts,
)
cuts = st.lists(st.integers(1, 40), max_size=60)
NOISE = st.one_of(
    st.binary(max_size=200), st.lists(st.binary(max_size=120).map(pkt), max_size=5).map(b"".join)
)


def portions(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` cut into pieces of these sizes, the rest in one; no piece is empty."""
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in [*pieces, data] if piece]


@given(st.lists(st.one_of(st.binary(max_size=300), st.just(FLUSH))), st.binary(max_size=3), cuts)
def test_lines_survive_framing_in_any_portions(
    items: list[Any], rest: bytes, sizes: list[int]
) -> None:
    data = b"".join(FLUSH_PKT if item is FLUSH else pkt(item) for item in items) + rest
    reader, seen = PktReader(), []
    for piece in portions(data, sizes):
        reader.feed(piece)
        while (item := reader.next()) is not NEED_DATA:
            seen.append(item)
    assert (seen, reader.take_rest()) == (items, rest)


@given(st.dictionaries(refs, real_oids, max_size=12), cuts)
def test_the_client_reads_every_advertisement_of_the_server(
    shown: dict[Ref, Oid], sizes: list[int]
) -> None:
    reader = client.AdvertisementReader()
    *waits, seen = [reader.feed(piece) for piece in portions(server.advertisement(shown), sizes)]
    assert all(wait is NEED_DATA for wait in waits)
    assert isinstance(seen, client.Advertisement)
    assert (seen.refs, seen.capabilities, seen.rest) == (
        shown,
        frozenset(server.CAPABILITIES.split(b" ")),
        b"",
    )


@given(st.lists(st.builds(RefUpdate, refs, oids, oids), max_size=8), st.binary(max_size=50))
def test_the_server_reads_every_command_list_of_the_client(
    updates: list[RefUpdate], pack: bytes
) -> None:
    proposed = server.CommandReader().feed(
        client.commands(updates, [b"atomic", b"kv-report"]) + pack
    )
    assert isinstance(proposed, server.ProposedCommands)
    assert [(ref, old, new) for old, new, ref in proposed.commands] == updates
    assert proposed.rest == pack
    assert proposed.capabilities == ({b"atomic", b"kv-report"} if updates else set())


@given(
    st.dictionaries(plain_refs, st.none() | st.binary(max_size=99), max_size=8), st.booleans(), cuts
)
def test_the_client_reads_every_report_of_the_server(
    results: dict[bytes, bytes | None], sideband: bool, sizes: list[int]
) -> None:
    data = side_band.progress(b"one\ntwo\n") * sideband + server.report(
        b"ok", list(results.items()), sideband
    )
    reader = client.AnswerReader(sideband)
    lines = [line for piece in portions(data, sizes) for line in reader.feed(piece)]
    answer = reader.finish()
    assert lines == [b"one", b"two"] * sideband
    assert {ref: why is None for ref, why in answer.results.items()} == {
        ref: why is None for ref, why in results.items()
    }


@given(reasons)
def test_a_reason_survives_its_line(entry: Reason) -> None:
    line = reason_line(entry)
    assert parse_line(line) == reason(*entry)
    assert line.isascii()
    assert line.decode().isprintable()


@given(st.integers(0, 10**18 - 1), oids, oids, st.binary(min_size=1, max_size=300))
def test_a_receipt_survives_its_line(seq: int, ledger: Oid, watchlog: Oid, entry: bytes) -> None:
    receipt = Receipt(seq, ledger, watchlog, entry)
    assert parse_line(receipt_line(receipt)) == receipt


@given(
    st.lists(
        st.sampled_from([b"%", b"2", b"0", b"5", b"D", b"-", b"a", b" ", b"\xe9", b"\n"]),
        max_size=12,
    ).map(b"".join)
)
def test_a_line_that_is_accepted_is_the_only_spelling(noise: bytes) -> None:
    with suppress(WireError):
        entry = parse_line(b"kv-reason 3 a b c %b -" % noise)
        assert isinstance(entry, Reason)
        assert reason_line(entry) == b"kv-reason 3 a b c %b -" % noise


@given(NOISE, cuts)
def test_noise_is_refused_or_waits_and_nothing_else(noise: bytes, sizes: list[int]) -> None:
    readers = [
        server.CommandReader(),
        client.AdvertisementReader(),
        client.AnswerReader(True),
        client.AnswerReader(False),
    ]
    for reader in readers:
        with suppress(WireError):
            for piece in portions(noise, sizes):
                reader.feed(piece)  # type: ignore[attr-defined]  # they have no other ancestor than object
    with suppress(WireError):
        parse_line(b"kv-reason " + noise)


@given(
    st.lists(st.builds(server.Command, oids, oids, st.binary(min_size=1, max_size=60)), max_size=9),
    st.booleans(),
)
def test_a_push_that_is_no_known_tuple_is_refused_with_printable_reasons(
    commands: list[server.Command], atomic: bool
) -> None:
    words = frozenset({b"atomic"} if atomic else ())
    verdict = classify(
        server.ProposedCommands(tuple(commands), words, False, len(commands), True, b"")
    )
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted
    assert all(entry.text().isascii() and entry.text().isprintable() for entry in verdict.reasons)
