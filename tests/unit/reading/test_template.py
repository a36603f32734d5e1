"""Templates and environment variables: exact, and nobody runs programs by writing a key."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.errors import KeyNotFoundError, PolicyError, UsageError
from gitkv.reading.answers import Value
from gitkv.reading.template import filled, parse_template
from gitkv.reading.variables import variable_name, variables


def _render(text: str | bytes, values: Mapping[str, bytes]) -> bytes:
    def read(keys: Sequence[str]) -> dict[str, bytes]:
        return {key: values[key] for key in keys if key in values}

    return filled(parse_template(text.encode() if isinstance(text, str) else text), read)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", b""),
        ("a {{ k }} b {{k}}", b"a v'1 b v'1"),
        ('{{"k"}}{{ "k" | json }}', b"v'1\"v'1\""),
        ("{{k|shell}} {{ k | base64 }}", b"'v'\\''1' dicx"),
        ("{{ none ? x y }}|{{none|json?}}", b"x y|"),
        ("{{{{ k }} }} {", b"{{ k }} }} {"),
        ("\u00e9{{ k }}\u00e9", "\u00e9v'1\u00e9".encode()),
        ('{{ "a }} b" }}', b"inside"),
        (b"\xff{{ bin }}\xff", b"\xff\x00\xfe\xff"),
    ],
)
def test_a_place_is_filled(text: str | bytes, expected: bytes) -> None:
    values = {"k": b"v'1", "a }} b": b"inside", "bin": b"\0\xfe"}
    assert _render(text, values) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n{{ k", "line 2: expected }}"),
        ("{{ }}", "a key after {{"),
        ("{{ k | upper }}", "one of json, shell, base64"),
        ("{{ k x }}", "after the key"),
        ('{{ "k }}', "JSON string"),
        (b"{{ \xff }}", "a key after {{"),
        ("{{ bin | json }}", "bin: a value that is not UTF-8"),
        ("{{ nul | shell }}", "NUL"),
    ],
)
def test_what_is_malformed_is_named_with_its_line(text: str | bytes, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        _render(text, {"k": b"", "bin": b"\xff", "nul": b"\0"})


def test_all_missing_keys_are_named_at_once() -> None:
    with pytest.raises(KeyNotFoundError, match=r"a, c$"):
        _render("{{a}}{{b}}{{c}}{{d?}}", {"b": b""})


@given(st.text(max_size=30), st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_a_key_in_quotes_and_a_value_come_through_whole(key: str, value: str) -> None:
    place = json.dumps(key)
    assert _render(f"<{{{{ {place} }}}}>", {key: value.encode()}) == b"<" + value.encode() + b">"
    assert shlex.split(_render(f"{{{{{place}|shell}}}}", {key: value.encode()}).decode()) == [value]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_template_or_refused(text: bytes) -> None:
    try:
        parts = parse_template(text)
    except UsageError:
        return
    if b"{{" not in text:
        assert b"".join(part for part in parts if isinstance(part, bytes)) == text


def _values(keys: Mapping[str, bytes]) -> list[Value]:
    return [Value(key, value, "", "", 0, 0, 0, 0, "", 0) for key, value in keys.items()]


@pytest.mark.parametrize(
    ("key", "name"),
    [("app:db-host", "DB_HOST"), ("app:9", "_9"), ("app:x.y/z", "X_Y_Z"), ("app:\u00e9", "_")],
)
def test_a_key_names_a_variable(key: str, name: str) -> None:
    assert variable_name(key, "app:") == name


@pytest.mark.parametrize(
    "name",
    ["PATH", "ld-preload", "LD_LIBRARY_PATH", "git:ssh.command", "pythonpath", "bash/env", "ifs"],
)
def test_what_would_run_something_else_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match="steers what programs load or run"):
        variables(_values({f"app:{name}": b"x"}), "app:")
    assert variables(_values({f"app:{name}": b"x"}), "") != {}


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"app:a-b": b"", "app:a.b": b""}, "are both A_B"),
        ({"app:": b""}, "nothing after the prefix"),
        ({"app:a": b"\0"}, "NUL"),
    ],
)
def test_what_cannot_be_a_variable_is_refused(keys: dict[str, bytes], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        variables(_values(keys), "app:")
