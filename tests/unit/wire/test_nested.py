"""Nested names in JSON and YAML become keys and come back; nothing is guessed at."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.errors import UsageError
from gitkv.model.content import Put
from gitkv.wire.nested import JSON_TYPE, read_json, read_yaml, write_json, write_yaml

Entries = list[tuple[str, bytes, str]]


def _entries(puts: dict[str, Put]) -> Entries:
    return [(key, bytes(put.value), put.ctype) for key, put in puts.items()]  # type: ignore[arg-type]


def test_names_join_to_keys_and_what_is_no_text_keeps_its_spelling() -> None:
    text = b"""{"app": {"host": "db\\u00e9", "port": 5432, "ratio": 1.0, "on": true, "none": null,
        "list": [1, {"a": 1e400}], "empty": {}}, "a/b": "x"}"""
    assert dict(read_json(text, "/")) == {
        "app/host": Put("dbé".encode()),
        "app/port": Put(b"5432", JSON_TYPE),
        "app/ratio": Put(b"1.0", JSON_TYPE),
        "app/on": Put(b"true", JSON_TYPE),
        "app/none": Put(b"null", JSON_TYPE),
        "app/list": Put(b'[1,{"a":1e400}]', JSON_TYPE),
        "app/empty": Put(b"{}", JSON_TYPE),
        "a/b": Put(b"x"),
    }


_TREES = st.recursive(
    st.text(max_size=5).filter(str.isprintable)
    | st.integers()
    | st.booleans()
    | st.none()
    | st.lists(st.integers() | st.text("ab", max_size=3), max_size=3),
    lambda inner: st.dictionaries(st.text("ab.", min_size=1, max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("ab.", min_size=1, max_size=3), _TREES, max_size=4))
def test_json_that_came_in_goes_out_as_the_same_json(tree: dict[str, object]) -> None:
    text = json.dumps(tree).encode()
    assert json.loads(write_json(_entries(dict(read_json(text, "/"))), "/")) == tree


@given(
    st.dictionaries(
        st.text("ab:é-", min_size=1, max_size=4), st.text(max_size=12).map(str.encode), max_size=5
    )
)
def test_any_text_goes_through_both_formats_unchanged(values: dict[str, bytes]) -> None:
    entries = [(key, value, "") for key, value in values.items()]
    for write, read in ((write_json, read_json), (write_yaml, read_yaml)):
        assert dict(read(write(entries, "/"), "/")) == {key: Put(values[key]) for key in values}


@pytest.mark.parametrize(
    "text",
    [
        "\x85  ",
        "a\x85\x85b",
        "\u2028",
        " \n x",
        "\ufeff",
        "\x07\x1b",
        "\U0001f600",
        "no",
        "1",
        "~",
        "'\"",
    ],
)
def test_yaml_keeps_what_its_readers_would_fold_or_take_for_another_type(text: str) -> None:
    written = write_yaml([("k", text.encode(), "")], "/")
    assert dict(read_yaml(written, "/")) == {"k": Put(text.encode())}


def test_yaml_scalars_are_the_text_that_stands_there() -> None:
    text = b"a:\n  no: no\n  port: 0012\n  day: 2027-01-01\n  empty:\n  'q': \"1\\n\"\nl: [x, 1]\n"
    assert dict(read_yaml(text, ".")) == {
        "a.no": Put(b"no"),
        "a.port": Put(b"0012"),
        "a.day": Put(b"2027-01-01"),
        "a.empty": Put(b""),
        "a.q": Put(b"1\n"),
        "l": Put(b'["x","1"]', JSON_TYPE),
    }


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[1]",
        b'"x"',
        b'{"a": 1',
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a/b": 1, "a": {"b": 2}}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'{"a":' * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ],
)
def test_json_that_cannot_be_meant_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        list(read_json(text, "/"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"- a",
        b"a: 1\na: 2",
        b"a: &x 1\nb: *x",
        b"a: !!int 1",
        b"a: !!python/object:os.system {}",
        b"? [a]\n: 1",
        b"a: 1\n--- \nb: 2",
        b"a: [",
        b"a: \x00",
        b"<<: {a: 1}\n<<: {b: 2}",
        b"[" * 5000,
        b"{a: " * 300 + b"}" * 300,
    ],
)
def test_yaml_that_cannot_be_meant_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        list(read_yaml(text, "/"))


@pytest.mark.parametrize("order", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_key_that_would_hold_another_is_refused_in_any_order(order: tuple[str, str]) -> None:
    entries: Entries = [(key, b"x", "") for key in order]
    with pytest.raises(UsageError, match="exclude each other"):
        write_json(entries, "/")
    assert json.loads(write_json(entries, ".")) == dict.fromkeys(order, "x")


def test_bytes_that_are_no_text_are_refused_by_name() -> None:
    for write in (write_json, write_yaml):
        with pytest.raises(UsageError, match="value of k is not UTF-8"):
            write([("k", b"\xff", "")], "/")


def test_a_value_that_is_called_json_and_is_none_stays_text() -> None:
    entries: Entries = [
        ("a", b"{", JSON_TYPE),
        ("b", b'{"c":1}', JSON_TYPE),
        ("d", b'"e"', JSON_TYPE),
    ]
    assert json.loads(write_json(entries, "/")) == {"a": "{", "b": '{"c":1}', "d": '"e"'}
