from __future__ import annotations

import pytest
from unit.wire.feeding import every_way

from gitkv.model.oid import ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Ref
from gitkv.wire import receive_pack as server
from gitkv.wire import side_band
from gitkv.wire.pkt_line import FLUSH_PKT, NEED_DATA, WireError, pkt
from gitkv.wire.receive_pack import Command, CommandReader, ProposedCommands

ONE = parse_oid(b"6623605142a878f2de7d19db3572a548e8039ccf")
TWO = parse_oid(b"1bdf57b53019e0d94da971f2958ba2c59dd6939d")
ZERO_HEX, ONE_HEX, TWO_HEX = (oid.hex().encode() for oid in (ZERO_OID, ONE, TWO))

# What stock git 2.39.5 sent for `git push --atomic`, asked for nothing but what it was offered.
FROM_STOCK_GIT = (
    b"00b00000000000000000000000000000000000000000 6623605142a878f2de7d19db3572a548e8039ccf "
    b"refs/kv/main\x00"
    b" report-status side-band-64k quiet atomic object-format=sha1 agent=git/2.39.5"
    b"00680000000000000000000000000000000000000000 6623605142a878f2de7d19db3572a548e8039ccf "
    b"refs/kv-index/main0000"
)


def command_list(*commands: bytes) -> bytes:
    return b"".join(pkt(command) for command in commands) + FLUSH_PKT


def update(ref: bytes, words: bytes | None = None) -> bytes:
    return b"%b %b %b" % (ONE_HEX, TWO_HEX, ref) + (b"" if words is None else b"\0" + words)


def read(data: bytes) -> ProposedCommands:
    return next(every_way(CommandReader, data))


def test_an_empty_repository_is_advertised_as_capabilities_alone() -> None:
    assert (
        server.advertisement({}, b"atomic quiet")
        == b"004a" + ZERO_HEX + b" capabilities^{}\x00atomic quiet\n0000"
    )


def test_refs_are_advertised_sorted_with_capabilities_on_the_first() -> None:
    shown = server.advertisement(
        {Ref(b"refs/kv/main"): TWO, Ref(b"refs/kv-index/main"): ONE}, b"atomic"
    )
    assert (
        shown
        == pkt(ONE_HEX + b" refs/kv-index/main\0atomic\n")
        + pkt(TWO_HEX + b" refs/kv/main\n")
        + b"0000"
    )


def test_deletions_and_push_options_are_not_offered() -> None:
    offered = set(server.CAPABILITIES.split(b" "))
    assert {
        b"report-status",
        b"side-band-64k",
        b"atomic",
        b"ofs-delta",
        b"quiet",
        b"object-format=sha1",
        b"kv-report",
    } < offered
    assert not {b"delete-refs", b"push-options", b"push-cert", b"report-status-v2"} & offered


def test_the_commands_of_stock_git_are_read_whole_and_byte_by_byte() -> None:
    for proposed in every_way(CommandReader, FROM_STOCK_GIT):
        assert proposed.commands == (
            Command(ZERO_OID, ONE, b"refs/kv/main"),
            Command(ZERO_OID, ONE, b"refs/kv-index/main"),
        )
        assert proposed.capabilities >= {
            b"atomic",
            b"report-status",
            b"side-band-64k",
            b"agent=git/2.39.5",
        }
        assert (proposed.shallow, proposed.command_count, proposed.pack_follows, proposed.rest) == (
            False,
            2,
            True,
            b"",
        )


def test_what_follows_the_flush_is_the_start_of_the_pack() -> None:
    proposed = CommandReader().feed(FROM_STOCK_GIT + b"PACK\x00\x00\x00\x02")
    assert proposed is not NEED_DATA
    assert proposed.rest == b"PACK\x00\x00\x00\x02"


def test_an_immediate_flush_is_a_push_of_nothing() -> None:
    assert read(FLUSH_PKT) == ProposedCommands((), frozenset(), False, 0, False, b"")


def test_no_pack_follows_when_everything_is_deleted() -> None:
    deletion = b"%b %b refs/kv/a" % (ONE_HEX, ZERO_HEX)
    assert not read(command_list(deletion, deletion)).pack_follows
    assert read(command_list(deletion, update(b"refs/kv/b"))).pack_follows


def test_a_pack_follows_even_when_the_command_that_brings_it_is_not_kept() -> None:
    deletions = [b"%b %b refs/kv/a" % (ONE_HEX, ZERO_HEX)] * 20
    assert read(command_list(*deletions, update(b"refs/kv/b"))).pack_follows


def test_one_line_feed_at_the_end_is_framing_and_any_other_is_the_name() -> None:
    assert read(command_list(update(b"refs/kv/main\n"))).commands[0].ref == b"refs/kv/main"
    assert read(command_list(update(b"refs/kv/main\n\n"))).commands[0].ref == b"refs/kv/main\n"
    assert (
        read(command_list(update(b"refs/kv/main\n", b"atomic"))).commands[0].ref
        == b"refs/kv/main\n"
    )
    assert read(command_list(update(b"a\nb"))).commands[0].ref == b"a\nb"


def test_names_are_raw_bytes_that_nothing_was_done_to() -> None:
    for name in (
        b"\xff\xfe",
        b"refs/kv/%2f",
        b"--upload-pack=x",
        b"$(id)",
        b" x ",
        "refs/kv/é".encode(),
    ):
        assert read(command_list(update(name))).commands[0].ref == name


def test_a_push_from_a_shallow_clone_is_marked() -> None:
    proposed = read(command_list(b"shallow " + ONE_HEX, update(b"refs/kv/main", b" atomic")))
    assert (proposed.shallow, proposed.capabilities) == (True, frozenset({b"atomic"}))


def test_five_thousand_commands_are_counted_but_not_kept() -> None:
    proposed = CommandReader().feed(command_list(*[update(b"refs/kv/a")] * 5000))
    assert proposed is not NEED_DATA
    assert (proposed.command_count, len(proposed.commands)) == (5000, 9)


@pytest.mark.parametrize("line", [update(b"refs/kv/a"), b"shallow " + ONE_HEX])
def test_more_than_ten_thousand_lines_drop_the_client(line: bytes) -> None:
    assert CommandReader().feed(pkt(line) * 10_000) is NEED_DATA
    with pytest.raises(WireError, match="10000"):
        CommandReader().feed(pkt(line) * 10_001)


MALFORMED = {
    "upper-case oid": ONE_HEX.upper() + b" " + TWO_HEX + b" refs/kv/a",
    "short oid": ONE_HEX[1:] + b" " + TWO_HEX + b" refs/kv/a",
    "sha256 oid": ONE_HEX + b"0" * 24 + b" " + TWO_HEX + b"0" * 24 + b" refs/kv/a",
    "no name": ONE_HEX + b" " + TWO_HEX,
    "empty name": ONE_HEX + b" " + TWO_HEX + b" ",
    "empty line": b"",
    "two separators": ONE_HEX + b"  " + TWO_HEX + b" refs/kv/a",
    "line feed for a space": ONE_HEX + b"\n" + TWO_HEX + b" refs/kv/a",
    "push certificate": b"push-cert\0atomic",
    "push certificate line": b"push-cert-end",
    "shallow with rubbish": b"shallow " + ONE_HEX + b" x",
    "too long": update(b"refs/kv/" + b"a" * 8192),
    "second NUL": update(b"refs/kv/a", b"atomic\0atomic"),
    "unknown capability": update(b"refs/kv/a", b"atomic push-options"),
    "deletion capability": update(b"refs/kv/a", b"delete-refs"),
    "capability in another case": update(b"refs/kv/a", b"Atomic"),
    "sha256 repository": update(b"refs/kv/a", b"object-format=sha256"),
    "control in agent": update(b"refs/kv/a", b"agent=a\x1b[2J"),
    "line feed in agent": update(b"refs/kv/a", b"agent=a\nb"),
    "endless agent": update(b"refs/kv/a", b"agent=" + b"a" * 300),
}


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_line_drops_the_client_for_good(line: bytes) -> None:
    reader = CommandReader()
    with pytest.raises(WireError):
        reader.feed(command_list(line))
    with pytest.raises(WireError):
        reader.feed(FROM_STOCK_GIT)
    with pytest.raises(WireError):
        reader.finish()


def test_capabilities_after_the_first_command_drop_the_client() -> None:
    with pytest.raises(WireError, match="first command"):
        read(command_list(update(b"refs/kv/a"), update(b"refs/kv/b", b"atomic")))


def test_a_shallow_line_after_a_command_drops_the_client() -> None:
    with pytest.raises(WireError, match="out of place"):
        read(command_list(update(b"refs/kv/a"), b"shallow " + ONE_HEX))


def test_a_client_that_hangs_up_inside_its_list_is_noticed() -> None:
    reader = CommandReader()
    reader.feed(FROM_STOCK_GIT[:-1])
    with pytest.raises(WireError, match="hung up"):
        reader.finish()
    reader.feed(FROM_STOCK_GIT[-1:])
    reader.finish()
    with pytest.raises(WireError, match="over"):
        reader.feed(b"PACK")


def test_a_report_has_the_bytes_of_stock_git() -> None:
    results = [(b"refs/kv/main", None), (b"refs/kv-index/main", None)]
    plain = b"000eunpack ok\n0014ok refs/kv/main\n001aok refs/kv-index/main\n0000"
    assert server.report(b"ok", results, sideband=False) == plain
    assert server.report(b"ok", results, sideband=True) == b"0045\x01" + plain + b"0000"


def test_a_hostile_name_cannot_forge_a_line_or_a_field_of_the_report() -> None:
    hostile = b"refs/kv/a\nok refs/kv/main\x1b[2J\xc2\x9b"
    shown = server.report(
        b"bad\npack", [(hostile, b"no\nok x\x00"), (b"\xff a", b"")], sideband=False
    )
    assert shown == (
        pkt(b"unpack bad?pack\n")
        + pkt(b"ng refs/kv/a?ok?refs/kv/main?[2J? no?ok x?\n")
        + pkt(b"ng ??a rejected\n")
        + FLUSH_PKT
    )


def test_a_name_in_another_script_is_echoed_so_that_git_finds_its_line() -> None:
    ref = "refs/heads/né".encode()
    assert (
        server.report(b"ok", [(ref, b"no")], sideband=False)
        == pkt(b"unpack ok\n") + pkt(b"ng " + ref + b" no\n") + FLUSH_PKT
    )


def test_a_reason_without_end_is_cut() -> None:
    assert len(server.report(b"ok", [(b"refs/kv/a", b"x" * 100_000)], sideband=True)) < 5000


def test_progress_keeps_lines_and_nothing_that_moves_a_cursor() -> None:
    assert side_band.progress(b"one\r\x1b[31m\ntwo\t\xe9\n") == pkt(b"\x02one??[31m\ntwo??\n")
    assert side_band.progress(b"") == b""


def test_long_progress_is_split_at_the_size_of_a_packet() -> None:
    shown = side_band.progress(b"x" * 65516)
    assert shown == pkt(b"\x02" + b"x" * 65515) + pkt(b"\x02x")


def test_a_long_report_is_split_over_packets() -> None:
    results = [(b"refs/kv/%b%d" % (b"a" * 4000, number), None) for number in range(20)]
    shown = server.report(b"ok", results, sideband=True)
    assert shown.startswith(b"fff0\x01000eunpack ok\n")
    assert shown.endswith(b"00000000")


def test_fatal_and_refusal_are_one_line() -> None:
    assert side_band.fatal(b"gone\nok") == pkt(b"\x03gone?ok")
    assert server.refusal("not leader: é") == pkt(b"ERR not leader: \\xe9")


def test_an_oid_is_not_a_string() -> None:
    assert read(FROM_STOCK_GIT).commands[0].new == Oid(bytes.fromhex(ONE_HEX.decode()))
