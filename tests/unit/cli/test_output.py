"""What leaves the program: exact bytes, safe lines, whole files."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.cli.moments import remaining, utc
from gitkv.cli.output import json_line, safe, subject, value_field, write_file


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


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(0o600)
    write_file(str(target), b"new\0")
    assert target.read_bytes() == b"new\0"
    assert target.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["out"]


def test_a_symbolic_link_stays_one_and_its_target_is_written(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    write_file(str(link), b"x")
    assert link.is_symlink()
    assert target.read_bytes() == b"x"


def test_a_pipe_or_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    try:
        write_file(str(pipe), b"value")
        assert os.read(reader, 100) == b"value"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_failed_write_leaves_no_draft_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write_file(str(tmp_path / "missing" / "out"), b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_file(str(tmp_path / "folder"), b"x")
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == []


@pytest.mark.parametrize(
    ("left_s", "shown"),
    [(1, "1s"), (59, "59s"), (60, "1m"), (86399, "23h"), (86400 * 30 - 1, "29d"), (0, "expired")],
)
def test_what_is_left_of_a_life_is_rounded_down(left_s: int, shown: str) -> None:
    assert remaining(1_700_000_000 + left_s, 1_700_000_000) == shown


def test_a_key_that_does_not_expire_shows_a_dash_and_times_are_utc() -> None:
    assert remaining(0, 1_700_000_000) == "-"
    assert utc(1_700_000_000) == "2023-11-14 22:13:20Z"
