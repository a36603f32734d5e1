"""Public keys in a policy: one structure, checked before anyone relies on it."""

from __future__ import annotations

import binascii
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.model.identity import PublicKey
from gitkv.model.openpgp_packets import dearmour, enarmour, packets, take_mpi
from gitkv.model.public_key import parse_openpgp_key, parse_ssh_key
from gitkv.model.ssh_wire import key_fields, positive_mpint, put_string, read_strings

VECTORS = Path(__file__).parents[2] / "vectors" / "signatures"
SSH_LINES = {path.stem: path.read_bytes() for path in sorted(VECTORS.glob("*.pub"))}
OPENPGP_BLOCKS = {path.stem: path.read_bytes() for path in sorted(VECTORS.glob("*.asc"))}
TITLE = b"PUBLIC KEY BLOCK"


def line_of(*fields: bytes) -> bytes:
    return fields[0] + b" " + binascii.b2a_base64(b"".join(map(put_string, fields)))


def ed25519_line() -> bytes:
    return SSH_LINES["ssh-ed25519"]


def test_comment_and_line_end_do_not_make_another_key() -> None:
    kind, text, _ = ed25519_line().split(b" ")
    expected = parse_ssh_key(ed25519_line())
    assert {
        parse_ssh_key(kind + b" " + text + rest) for rest in (b"", b"\n", b" ", b" a b \xc3\xa9\n")
    } == {expected}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"ssh-ed25519",
        b" " + ed25519_line(),
        ed25519_line() * 2,
        ed25519_line() + b"\n",
        ed25519_line().replace(b" ", b"  ", 1),
        ed25519_line().replace(b" ", b"\t", 1),
        ed25519_line().replace(b"\n", b"\r\n"),
        b"no-touch-required " + ed25519_line(),
        ed25519_line().replace(b"ssh-ed25519", b"ssh-rsa"),
        SSH_LINES["ssh-rsa"].replace(b"ssh-rsa", b"rsa-sha2-256", 1),
        line_of(b"ssh-dss", b"\1", b"\1", b"\1", b"\1"),
        line_of(b"ssh-ed25519", bytes(31)),
        line_of(b"ssh-ed25519", bytes(32), b""),
        line_of(b"ssh-rsa", b"\1\0\1", b"\0" + b"\x80" + bytes(127)),
        line_of(b"ssh-rsa", b"\0\1\0\1", b"\0" + b"\x80" + bytes(255)),
        line_of(b"ssh-rsa", b"\1", b"\0" + b"\x80" + bytes(255)),
        line_of(b"ecdsa-sha2-nistp256", b"nistp384", b"\4" + bytes(96)),
        line_of(b"ecdsa-sha2-nistp256", b"nistp256", b"\2" + bytes(32)),
    ],
)
def test_ssh_line_with_any_flaw_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_ssh_key(line)


def test_ssh_line_with_padding_bits_set_is_refused() -> None:
    line = next(line for line in SSH_LINES.values() if b"= " in line)
    at = line.index(b"=") - 1
    with pytest.raises(ValueError, match="only form"):
        parse_ssh_key(line[:at] + bytes([line[at] + 1]) + line[at + 1 :])


def test_openpgp_block_may_lack_its_last_lf_and_have_headers() -> None:
    block = OPENPGP_BLOCKS["openpgp-ed25519"]
    commented = block.replace(b"-----\n\n", b"-----\nComment: exported by hand\n\n", 1)
    expected = parse_openpgp_key(block)
    assert parse_openpgp_key(block[:-1]) == expected
    assert parse_openpgp_key(commented) == PublicKey("openpgp", commented, expected.fingerprint)


def block_data(name: str = "openpgp-ed25519") -> bytes:
    return dearmour(OPENPGP_BLOCKS[name]).data


def repacked(tag: int, body: bytes) -> bytes:
    return bytes([0x80 | tag << 2, len(body)]) + body


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"", "one armoured"),
        (OPENPGP_BLOCKS["openpgp-ed25519"] * 2, "one armoured"),
        (enarmour(TITLE, block_data() + block_data("openpgp-rsa")), "exactly one"),
        (enarmour(b"SIGNATURE", block_data()), "PUBLIC KEY BLOCK"),
        (enarmour(b"PRIVATE KEY BLOCK", block_data()), "private key"),
        (enarmour(TITLE, repacked(5, packets(block_data())[0].body)), "exactly one"),
        (enarmour(TITLE, block_data() + repacked(7, packets(block_data())[0].body)), "no part of"),
        (enarmour(TITLE, repacked(6, b"\6" + packets(block_data())[0].body[1:])), "version 6"),
        (enarmour(TITLE, repacked(6, b"\3" + packets(block_data())[0].body[1:])), "version 3"),
        (enarmour(TITLE, block_data()[:-1]), "cut short"),
        (OPENPGP_BLOCKS["openpgp-ed25519"].replace(b"\n=", b"\n=AAAA\n=", 1), "one armoured"),
        (b"x" * 300_000, "at most"),
    ],
)
def test_openpgp_block_with_any_flaw_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_openpgp_key(block)


def test_short_rsa_openpgp_key_is_refused() -> None:
    body = b"\4\0\0\0\0\1" + (1024).to_bytes(2, "big") + b"\x80" + bytes(127) + b"\0\x11\1\0\1"
    with pytest.raises(ValueError, match="1024 bits"):
        parse_openpgp_key(enarmour(TITLE, repacked(6, body)))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_error_and_not_a_crash(data: bytes) -> None:
    for parse, text in [
        (parse_ssh_key, data),
        (parse_ssh_key, b"ssh-rsa " + binascii.b2a_base64(data)),
        (parse_openpgp_key, data),
        (parse_openpgp_key, enarmour(TITLE, data)),
        (parse_openpgp_key, enarmour(TITLE, b"\x98\x40\4" + data)),
        (key_fields, put_string(b"ssh-rsa") + data),
    ]:
        try:
            parse(text)
        except ValueError as error:
            assert str(error)


@given(st.integers(1, 1 << 600))
def test_a_number_has_one_mpint(value: int) -> None:
    field = value.to_bytes(value.bit_length() // 8 + 1, "big")
    assert positive_mpint(field) == value
    with pytest.raises(ValueError, match="shortest"):
        positive_mpint(b"\0" + field)
    number = value.bit_length().to_bytes(2, "big") + value.to_bytes(
        (value.bit_length() + 7) // 8, "big"
    )
    assert take_mpi(number, 0) == (value, len(number))
    with pytest.raises(ValueError, match="length is wrong"):
        take_mpi((value.bit_length() + 8).to_bytes(2, "big") + b"\0" + number[2:], 0)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_string_fields_survive_the_wire_and_nothing_may_follow(fields: list[bytes]) -> None:
    data = b"".join(map(put_string, fields))
    assert read_strings(data) == fields
    for rest in (b"\0", b"\0\0\0", b"\0\0\0\1"):
        with pytest.raises(ValueError, match="cut short"):
            read_strings(data + rest)


@given(st.binary(min_size=1, max_size=300))
def test_armour_keeps_its_content(data: bytes) -> None:
    assert dearmour(enarmour(TITLE, data)) == (TITLE, b"", data, True)
