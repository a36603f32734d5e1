"""The batch of mset: strict, all problems at once, each with its line."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.work import work_of

from gitkv.model.content import BytesContent, Content, Put
from gitkv.wire.batch import BatchError, read_batch

NOW_S = 1_700_000_000
LARGE = BytesContent(b"\x00 large")


def _find(name: str) -> bytes | Content:
    if name == "value":
        return b"\x00from a file"
    if name == "large":
        return LARGE
    if "\0" in name:
        raise ValueError("embedded null byte")
    raise FileNotFoundError(2, "No such file or directory", name)


def _read(*lines: bytes) -> dict[str, Put | None]:
    return read_batch([line + b"\n" for line in lines], "b.jsonl", NOW_S, _find)


def _problems(*lines: bytes) -> list[str]:
    with pytest.raises(BatchError) as caught:
        _read(*lines)
    return [reason.text() for reason in caught.value.reasons]


def test_sets_and_deletions_come_out_by_key() -> None:
    assert _read(
        b'{"op":"set","key":"a","value":"\\u00e9","ctype":"text/plain","ttl":"30d"}',
        b'{"op":"set","key":"b","value_b64":"AP8="}',
        b'{"op":"set","key":"c","file":"value"}',
        b'{"op":"del","key":"d"}',
        b'{"op":"set","key":"e","value":""}',
        b'{"op":"set","key":"f","value":"","expires":"2027-01-01T02:00:00+02:00"}',
        b'{"op":"set","key":"g","value":"","expires":1798761600}',
        b'{"op":"set","key":"h","file":"large","ctype":"a/b"}',
    ) == {
        "a": Put("é".encode(), "text/plain", NOW_S + 30 * 86400),
        "b": Put(b"\x00\xff"),
        "c": Put(b"\x00from a file"),
        "d": None,
        "e": Put(b""),
        "f": Put(b"", "", 1_798_761_600),
        "g": Put(b"", "", 1_798_761_600),
        "h": Put(LARGE, "a/b"),
    }


def test_blank_lines_and_carriage_returns_do_no_harm_and_an_empty_batch_is_a_batch() -> None:
    assert _read(b"", b" \t\r", b'{"op":"del","key":"k"}\r') == {"k": None}
    assert read_batch([], "b", NOW_S, _find) == {}


def test_a_last_line_without_a_line_feed_counts() -> None:
    assert read_batch([b'{"op":"del","key":"k"}'], "b", NOW_S, _find) == {"k": None}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"op":"set","key":"a","value":"1","value":"2"}', "'value' is there twice"),
        (b'{"op":"set","key":"a","value":"1"', "one JSON object"),
        (b'{"op":"set","key":"a","value":"1"} {}', "one JSON object"),
        (b'[{"op":"del","key":"a"}]', "one JSON object"),
        (b"null", "one JSON object"),
        (b"NaN", "NaN is not valid JSON"),
        (b'{"op":"set","key":"a","value":1e999}', '"value" to be a string, got float'),
        (b'{"op":"set","key":"a","value":null}', '"value" to be a string, got null'),
        (b'{"op":"set","key":["a"],"value":"1"}', '"key" to be a string, got list'),
        (b'{"op":"set","value":"1"}', 'the field "key"'),
        (b'{"key":"a","value":"1"}', 'the field "op"'),
        (b'{"op":"put","key":"a","value":"1"}', '"op" to be "set" or "del", got \'put\''),
        (b'{"op":"set","key":"a","value":"1","tll":"3d"}', "got 'tll'"),
        (b'{"op":"del","key":"a","value":"1"}', "got 'value'"),
        (b'{"op":"set","key":"a"}', "got none of them"),
        (b'{"op":"set","key":"a","value":"1","value_b64":"MQ=="}', "got value and value_b64"),
        (b'{"op":"set","key":"a","value_b64":"MQ"}', "base64"),
        (b'{"op":"set","key":"a","value_b64":"M Q=="}', "base64"),
        ('{"op":"set","key":"a","value_b64":"é"}'.encode(), "base64"),
        (b'{"op":"set","key":"a","value":"\\ud800"}', "surrogate"),
        (b'{"op":"set","key":"a","value":"\xff"}', "UTF-8"),
        (b'\xef\xbb\xbf{"op":"del","key":"a"}', "one JSON object"),
        (b'{"op":"set","key":"a","value":"1","ttl":30}', '"ttl" to be a string'),
        (b'{"op":"set","key":"a","value":"1","ttl":"30"}', '"ttl"'),
        (b'{"op":"set","key":"a","value":"1","ttl":"0s"}', '"ttl" of 1s'),
        (b'{"op":"set","key":"a","value":"1","ttl":"9999999999w"}', '"ttl" of 1s'),
        (b'{"op":"set","key":"a","value":"1","ttl":"-1d"}', '"ttl"'),
        (b'{"op":"set","key":"a","value":"1","ttl":"1d","expires":"2027-01-01"}', "got both"),
        (b'{"op":"set","key":"a","value":"1","expires":"soon"}', '"expires" to be a date'),
        (b'{"op":"set","key":"a","value":"1","expires":"2027-01-01T00:00"}', '"expires"'),
        (b'{"op":"set","key":"a","value":"1","expires":true}', '"expires"'),
        (b'{"op":"set","key":"a","value":"1","expires":1.5e9}', '"expires"'),
        (b'{"op":"set","key":"a","value":"1","expires":253402300800}', '"expires"'),
        (b'{"op":"set","key":"a","value":"1","expires":1700000000}', "after now"),
        (b'{"op":"set","key":"a","value":"1","expires":"2023-11-14"}', "after now"),
        (b'{"op":"set","key":"a","value":"1","ctype":""}', '"ctype"'),
        (b'{"op":"set","key":"a","value":"1","ctype":"a\\nb"}', '"ctype"'),
        (b'{"op":"set","key":"a","file":"a\\u0000b"}', "a file's name"),
        (b"[" * 100_000, "nested too deep"),
        (b"9" * 5000, "one JSON object"),
    ],
)
def test_a_malformed_line_is_named_with_its_number_and_reason(line: bytes, told: str) -> None:
    problems = _problems(b'{"op":"del","key":"fine"}', b"", line)
    assert len(problems) == 1
    assert problems[0].startswith("[129 batch.form] line 3: expected ")
    assert told in problems[0]


def test_a_key_that_is_there_twice_is_refused_naming_both_lines() -> None:
    (problem,) = _problems(b'{"op":"set","key":"k","value":"1"}', b'{"op":"del","key":"k"}')
    assert "line 2" in problem
    assert "'k', which line 1 has too" in problem


def test_all_problems_are_told_at_once_up_to_twenty() -> None:
    assert len(_problems(*[b"{}"] * 3, b'{"op":"del","key":"ok"}', b"x")) == 4
    assert len(_problems(*[b"{}"] * 50)) == 20


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([b'{"op":"del","key":""}'], 4),
        ([b'{"op":"set","key":"k","file":"/nonexistent/x"}'], 5),
        ([b'{"op":"set","key":"k","file":"/nonexistent/x"}', b'{"op":"del","key":"a\\n"}'], 4),
        ([b'{"op":"del","key":""}', b"{}"], 129),
    ],
)
def test_the_exit_code_is_that_of_the_gravest_problem(lines: list[bytes], code: int) -> None:
    with pytest.raises(BatchError) as caught:
        _read(*lines)
    assert caught.value.exit_code == code


def test_hostile_text_in_a_line_cannot_steer_the_terminal_it_is_reported_on() -> None:
    for line in (
        b'{"op":"\\u001b[2J","key":"k"}',
        b"\x1b[2J",
        b'{"op":"set","key":"k","file":"\\u001b]0;x\\u0007"}',
    ):
        assert all(text.isprintable() for text in _problems(line))


@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=5))
def test_no_bytes_make_the_reader_fail_in_another_way(lines: list[bytes]) -> None:
    try:
        read_batch(lines, "b", NOW_S, _find)
    except BatchError as error:
        assert 1 <= len(error.reasons) <= 20


@given(
    st.dictionaries(
        st.text("abc:/é ", min_size=1, max_size=8),
        st.none() | st.binary(max_size=20) | st.text(max_size=20),
        max_size=8,
    )
)
def test_what_is_written_as_json_is_read_back(batch: dict[str, bytes | str | None]) -> None:
    lines, expected = [], {}
    for key, value in batch.items():
        operation: dict[str, str] = {"op": "del" if value is None else "set", "key": key}
        if isinstance(value, str):
            operation["value"] = value
        elif value is not None:
            operation["value_b64"] = b64encode(value).decode()
        lines.append(json.dumps(operation).encode() + b"\n")
        expected[key] = (
            None if value is None else Put(value.encode() if isinstance(value, str) else value)
        )
    assert read_batch(lines, "b", NOW_S, _find) == expected


def test_an_object_of_many_fields_costs_what_it_is_long() -> None:
    def work(count: int) -> int:
        fields = b"".join(b'"%d":1,' % number for number in range(count))
        return work_of(lambda: _problems(b"{" + fields + b'"last":1,"last":2}'))

    assert work(4000) < 6 * work(1000)
