"""Consul's export and `.env` files: what is read is what was meant, and the rest is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.errors import UsageError
from gitkv.model.content import Put
from gitkv.wire.flat import read_consul, read_env, write_consul, write_env


def test_what_consul_exports_is_read() -> None:
    text = b"""[
\t{"key": "app/", "flags": 0, "value": ""},
\t{"key": "app/a", "flags": 42, "value": "AP8="},
\t{"key": "app/b", "flags": 0, "value": null, "namespace": "x", "partition": "default"}
]"""
    assert dict(read_consul(text)) == {
        "app/": Put(b""),
        "app/a": Put(b"\x00\xff"),
        "app/b": Put(b""),
    }


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.binary(max_size=9), max_size=4))
def test_consul_gets_back_what_it_gave(values: dict[str, bytes]) -> None:
    try:
        text = b"".join(write_consul((key, value, "") for key, value in values.items()))
        assert dict(read_consul(text)) == {key: Put(value) for key, value in values.items()}
        assert {entry["flags"] for entry in json.loads(text)} <= {0}
    except UnicodeEncodeError:
        pytest.fail("a key is text")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{"value": ""}]',
        b'[{"key": 1, "value": ""}]',
        b'[{"key": "a", "value": "A"}]',
        b'[{"key": "a", "value": "A A="}]',
        b'[{"key": "a", "value": 1}]',
        b'[{"key": "a", "value": "", "extra": 1}]',
        b'[{"key": "a", "key": "b", "value": ""}]',
        b'[{"key": "a", "value": ""}, {"key": "a", "value": ""}]',
    ],
)
def test_another_text_is_no_export_of_consul(text: bytes) -> None:
    with pytest.raises(UsageError):
        list(read_consul(text))


def test_the_lines_of_an_env_file_are_read() -> None:
    text = b"""# a comment
A=word
 export B='single "$x" \\n'   # told apart

C="double \\"q\\" \\$x \\\\ \\n."
D=
E='two
lines'
F=a:b/c-d@e.f,g+h%i\r
G="last\""""
    assert {name: put.value for name, put in read_env(text)} == {
        "A": b"word",
        "B": b'single "$x" \\n',
        "C": b'double "q" $x \\ \n.',
        "D": b"",
        "E": b"two\nlines",
        "F": b"a:b/c-d@e.f,g+h%i",
        "G": b"last",
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"A=1\nnoise\n", 2),
        (b"A B=1\n", 1),
        (b"1A=1\n", 1),
        (b"A = 1\n", 1),
        (b"A=two words\n", 1),
        (b"A=$HOME\n", 1),
        (b'A="$HOME"\n', 1),
        (b'\n\nA="`id`"\n', 3),
        (b"A='open\n", 1),
        (b'A="open\n', 1),
        (b"A='a''b'\n", 1),
        (b"A=\\x\n", 1),
    ],
)
def test_what_a_shell_would_expand_or_nobody_can_read_is_refused(text: bytes, line: int) -> None:
    with pytest.raises(UsageError, match=f"line {line}: "):
        list(read_env(text))


def test_a_name_that_stands_twice_and_bytes_that_are_no_text_are_refused() -> None:
    for text in (b"A=1\nA=1\n", b"A=\xff\n"):
        with pytest.raises(UsageError):
            list(read_env(text))
    for key, value in (("a-b", b""), ("1", b""), ("a", b"\xff"), ("a", b"\0"), ("a", b"\r")):
        with pytest.raises(UsageError):
            list(write_env([(key, value, "")]))
