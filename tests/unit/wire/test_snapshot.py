"""A snapshot reads back exactly, and whatever was done to it on the way is noticed."""

from __future__ import annotations

import io
from hashlib import sha256
from json import dumps

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.errors import GitKvError, IntegrityError, UsageError
from gitkv.model.content import Put
from gitkv.model.key import encode_key
from gitkv.wire.snapshot import Header, SnapshotWriter, check_snapshot, read_entries

HEADER = Header("main", 7, "ab" * 20)


def _lines(text: bytes) -> list[bytes]:
    return list(io.BytesIO(text))


def _written(puts: dict[str, Put]) -> bytes:
    writer = SnapshotWriter()
    text = writer.header(HEADER)
    for key in sorted(puts, key=encode_key):
        value, ctype, expires = puts[key]
        assert isinstance(value, bytes)
        text += writer.entry(key, value, ctype, expires)
    return text + writer.trailer()


def _sealed(*entries: bytes) -> list[bytes]:
    """A snapshot by another program, which seals what it likes."""
    head = dumps({"git-kv-snapshot": 1, **HEADER._asdict()}).encode() + b"\n"
    body = head + b"".join(line + b"\n" for line in entries)
    trailer = {"keys": len(entries), "sha256": sha256(body).hexdigest()}
    return _lines(body + dumps(trailer).encode() + b"\n")


SMALL = _written(
    {
        "a": Put(b"text", "text/plain", 2_000_000_000),
        "b": Put(b"\x00\xff"),
        "c": Put("é\u2028\U0001f600\x1b".encode()),
    }
)


@given(
    st.dictionaries(
        st.text("abé/.\u202e", min_size=1, max_size=6).filter(lambda key: key != "\u0301"),
        st.builds(
            Put,
            st.binary(max_size=20) | st.text(max_size=9).map(str.encode),
            st.sampled_from(["", "text/plain", 'a"b\\']),
            st.sampled_from([0, 1, 253402300799]),
        ),
        max_size=6,
    )
)
def test_what_was_written_reads_back_exactly(puts: dict[str, Put]) -> None:
    text = _written(puts)
    assert text.isascii()
    assert check_snapshot(_lines(text)) == (HEADER, len(puts))
    assert dict(read_entries(_lines(text))) == puts


def test_a_snapshot_cut_short_anywhere_is_refused() -> None:
    for size in range(1, len(SMALL)):
        with pytest.raises((IntegrityError, UsageError)):
            check_snapshot(_lines(SMALL[:size]))
    lines = _lines(SMALL)
    for gone in range(1, len(lines)):
        with pytest.raises(IntegrityError):
            check_snapshot(lines[:gone] + lines[gone + 1 :])


def test_every_flipped_bit_is_noticed() -> None:
    for at in range(len(SMALL)):
        spoiled = bytearray(SMALL)
        spoiled[at] ^= 1
        with pytest.raises(GitKvError):
            check_snapshot(_lines(bytes(spoiled)))


def test_lines_in_another_order_or_behind_the_end_are_noticed() -> None:
    lines = _lines(SMALL)
    for changed in ([lines[0], lines[2], lines[1], *lines[3:]], [*lines, b"\n"], [*lines, *lines]):
        with pytest.raises(IntegrityError):
            check_snapshot(changed)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"{}\n",
        b'{"op":"set","key":"a","value":"1"}\n',
        b"PK\x03\x04",
        b"[" * 100_000,
        b'{"git-kv-snapshot":2,"ns":"main","seq":7,"commit":"","prefix":""}\n',
        b'{"git-kv-snapshot":true,"ns":"main","seq":7,"commit":"","prefix":""}\n',
    ],
)
def test_another_text_is_no_snapshot(text: bytes) -> None:
    with pytest.raises(UsageError, match="snapshot"):
        check_snapshot(_lines(text))


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([b'{"key":"b","value":""}', b'{"key":"a","value":""}'], "ascending"),
        ([b'{"key":"a","value":""}', b'{"key":"a","value":""}'], "ascending"),
        ([b'{"key":"a"}'], "one of value"),
        ([b'{"key":"a","value":"","value_b64":""}'], "one of value"),
        ([b'{"key":"a","value_b64":"A"}'], "line 2: "),
        ([b'{"key":"a","value":1}'], "line 2: "),
        ([b'{"key":"a","value":"\\ud800"}'], "line 2: "),
        ([b'{"key":"a","value":"","ttl":"1d"}'], "line 2: "),
        ([b'{"key":"a","value":"","value":""}'], "twice"),
        ([b'{"key":"a","value":"","expires":0}'], "expires"),
        ([b'{"key":"a","value":"","expires":253402300800}'], "expires"),
        ([b'{"key":"a","value":"","expires":true}'], "line 2: "),
        ([b'{"key":"a","value":"","ctype":""}'], "ctype"),
        ([b"null"], "one JSON object"),
        ([b'{"key":"","value":""}'], "empty"),
        ([b'{"key":"a\\n","value":""}'], "control"),
    ],
)
def test_a_sealed_text_with_other_lines_is_refused(entries: list[bytes], why: str) -> None:
    lines = _sealed(*entries)
    assert check_snapshot(lines) == (HEADER, len(entries))
    with pytest.raises(GitKvError, match=why):
        list(read_entries(lines))
