"""What leaves the program: exact bytes, safe lines, whole files."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.cli.moments import remaining, utc
from gitkv.cli.output import json_line, safe, subject, value_field


@given(st.binary(max_size=40))
def test_a_value_in_json_can_always_be_turned_back_into_its_bytes(value: bytes) -> None:
    field = value_field(value)
    assert list(field) in (["value"], ["value_b64"])
    assert (
        field["value"].encode()
        if "value" in field
        else b64decode(field["value_b64"], validate=True)
    ) == value


def test_a_value_with_a_nul_or_without_utf8_is_base64_and_other_text_is_not() -> None:
    assert value_field(b"a\0b") == {"value_b64": "YQBi"}
    assert value_field(b"\xff") == {"value_b64": "/w=="}
    assert value_field("é\n".encode()) == {"value": "é\n"}


@given(st.text())
def test_safe_text_is_one_printable_line(text: str) -> None:
    assert safe(text).isprintable()


def test_escapes_and_direction_marks_are_shown_not_obeyed() -> None:
    assert safe("a\x1b[2J\x9b\u202eb") == "a\\x1b[2J\\x9b\\u202eb"
    assert subject("first\tline\nsecond") == "first\\tline"


@given(st.text())
def test_json_is_one_printable_line_that_means_what_was_put_in(text: str) -> None:
    line = json_line({"text": text, text: [1]})
    assert line.isprintable()
    assert json.loads(line) == {"text": text, text: [1]}


@pytest.mark.parametrize(
    "char", ["\x00", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066", "\U000e0041"]
)
def test_what_could_steer_a_terminal_is_escaped_in_json(char: str) -> None:
    assert (
        json_line({"k": f"é{char}"})
        == '{"k":"é' + json.dumps(char)[1:-1].replace("\x7f", "\\u007f") + '"}'
    )


@pytest.mark.parametrize(
    ("left_s", "shown"),
    [(1, "1s"), (59, "59s"), (60, "1m"), (86399, "23h"), (86400 * 30 - 1, "29d"), (0, "expired")],
)
def test_what_is_left_of_a_life_is_rounded_down(left_s: int, shown: str) -> None:
    assert remaining(1_700_000_000 + left_s, 1_700_000_000) == shown


def test_a_key_that_does_not_expire_shows_a_dash_and_times_are_utc() -> None:
    assert remaining(0, 1_700_000_000) == "-"
    assert utc(1_700_000_000) == "2023-11-14 22:13:20Z"
