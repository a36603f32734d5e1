"""Index lines and metadata have one spelling: what is read back is what was written, and nothing
else is read.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.ledger.index_line import (
    EXPIRES_MAX,
    GONE_LEAVES,
    LIVE_LEAVES,
    LiveLine,
    format_gone,
    format_live,
    format_meta,
    is_ctype,
    parse_gone,
    parse_live,
    parse_meta,
)
from gitkv.model.oid import BLOB, Oid, hash_object
from gitkv.model.verdict import FormError

OID = hash_object(BLOB, b"v")
_counts = st.integers(0, 10**15 - 1)
_lines = st.builds(
    LiveLine,
    name=st.sampled_from([b"a", b"cfg:x", b"%C3%A9", b"%2Ehidden"]),
    created=_counts,
    mod=_counts,
    oid=st.binary(min_size=20, max_size=20).map(Oid),
    size=_counts,
    versions=_counts,
    ctype=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=127),
    expires=st.integers(0, EXPIRES_MAX),
    chunks=st.integers(0, 1 << 20),
)


@given(_lines)
def test_a_line_is_canonical_json_and_reads_back(line: LiveLine) -> None:
    text = format_live(line)
    assert parse_live(text) == line
    assert (
        text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )
    assert LIVE_LEAVES.decode(text + format_live(line._replace(name=line.name + b"x")))[0] == (
        line.name,
        text,
    )


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=127),
    st.integers(0, EXPIRES_MAX),
)
def test_metadata_reads_back(ctype: str, expires: int) -> None:
    body = format_meta(ctype, expires)
    assert (body is None) == (not ctype and not expires)
    if body is not None:
        assert parse_meta(body) == (ctype, expires)
        assert json.loads(body) == ({"ctype": ctype} if ctype else {}) | (
            {"expires": expires} if expires else {}
        )


GOOD = format_live(LiveLine(b"k", 1, 2, OID, 3, 4, "text/plain", 5))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n", b""),
        (b"\n", b"\r\n"),
        (b"\n", b"\n\n"),
        (b'"created":1', b'"created":01'),
        (b'"created":1', b'"created":+1'),
        (b'"created":1', b'"created":1.0'),
        (b'"created":1', b'"created":-1'),
        (b'"created":1,', b""),
        (b'"mod":2,', b'"mod": 2,'),
        (b'"mod":2', '"mod":٢'.encode()),
        (b'"key":"k"', b'"key":""'),
        (b'"key":"k"', b'"key":"a b"'),
        (b'"key":"k"', b'"key":"\\u006b"'),
        (b"text/plain", b"text\\/plain"),
        (b"text/plain", b"text\x00plain"),
        (b"text/plain", b""),
        (b"}", b',"x":1}'),
        (b'"size":3', b'"size":3,"size":3'),
    ],
)
def test_any_other_spelling_of_a_line_is_refused(old: bytes, new: bytes) -> None:
    assert old in GOOD
    bent = GOOD.replace(old, new, 1)
    with pytest.raises(FormError):
        parse_live(bent)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b'{"ctype":""}',
        b'{"expires":0}',
        b'{"expires":253402300800}',
        b'{"expires":01}',
        b'{"expires":1e3}',
        b'{"expires":1,"ctype":"a"}',
        b'{"ctype":"a","expires":1 }',
        b'{"ctype":"a"}\n',
        b'{"ctype":"\\u0061"}',
        b'{"ctype":"\\/"}',
        b'{"ctype":"a","ctype":"a"}',
        b'{"ctype":"' + b"a" * 128 + b'"}',
        '{"ctype":"é"}'.encode(),
        b'{"ctype":"a",}',
        b'{"x":1}',
    ],
)
def test_any_other_metadata_is_refused(body: bytes) -> None:
    with pytest.raises(FormError):
        parse_meta(body)


def test_gone_lines_read_back_and_a_page_of_both_kinds_is_refused() -> None:
    assert parse_gone(format_gone(b"k", 7)) == 7
    for line in (b'{"key":"k","mod":07}\n', b'{"key":"k"}\n', b'{"mod":7,"key":"k"}\n', GOOD):
        with pytest.raises(FormError):
            parse_gone(line)
    for page in (GOOD + format_gone(b"z", 1), GOOD + b" " + GOOD, GOOD[:-1], b""):
        with pytest.raises(FormError):
            LIVE_LEAVES.decode(page)
    with pytest.raises(FormError):
        GONE_LEAVES.decode(format_gone(b"b", 1) + format_gone(b"a", 1))


def test_content_types_are_up_to_127_printable_characters() -> None:
    assert [is_ctype(text) for text in ("", "a", "~" * 127, "~" * 128, "a\n", "é", "\x7f")] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_a_key_expires_at_its_second_and_never_without_one() -> None:
    line = LiveLine(b"k", 1, 1, OID, 1, 1, "", 100)
    assert [line.is_expired(now) for now in (99, 100, 101)] == [False, True, True]
    assert not line._replace(expires=0).is_expired(10**12)
