"""Reading many keys: forms for people and for programs, and what a terminal is shown."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command import Command

import gitkv
from gitkv.cli.get_many import file_name
from gitkv.cli.output import eye_text, one_line
from gitkv.cli.tree import draw_tree
from gitkv.errors import KeyInvalidError
from gitkv.model.key import encode_key

HOSTILE_KEYS = [
    "--json",
    "-o",
    "a\u202eb",
    "a\u2066",
    "line\u2028sep",
    "../up",
    ".hidden",
    "~x",
    "e",
]
HOSTILE_VALUES = [b"\x1b[2J", b"\x9b31m", b"\xc2\x9b", "\u202e".encode(), b"\0", b"\xff\r", b"\x07"]


@pytest.fixture
def kv(repo: Path) -> Command:
    gitkv.init(repo)
    return Command(repo)


def _fill(kv: Command, values: dict[str, bytes]) -> None:
    with gitkv.open(kv.folder) as store:
        store.update(values)


def test_several_values_are_lines_that_tell_each_byte(kv: Command) -> None:
    _fill(kv, {"a": b"one\ntwo\\", "b": b"\xff", "c": b"x"})
    assert kv("get", "b", "a").text == "b\t\\xff\na\tone\\ntwo\\\\\n"
    assert kv("get", "--prefix", "c").text == "c\tx\n"
    assert kv("get", "--prefix", "zz").out == b""


def test_a_missing_key_is_found_before_anything_is_printed(kv: Command) -> None:
    _fill(kv, {"a": b"1", "b": b"2"})
    answer = kv("get", "a", "missing", "b", code=1)
    assert answer.out == b"" and "missing" in answer.err


def test_all_values_come_from_one_state_and_an_earlier_one_if_asked(kv: Command) -> None:
    _fill(kv, {"a": b"1", "b": b"1"})
    _fill(kv, {"a": b"2"})
    found = kv("get", "b", "a", "--json", "--at", "@1").lines()
    assert [(entry["key"], entry["value"], entry["seq"]) for entry in found] == [
        ("b", "1", 1),
        ("a", "1", 1),
    ]
    assert [entry["value"] for entry in kv("--json", "get", "--prefix", "").lines()] == ["2", "1"]


def test_records_end_in_nul_and_a_value_with_one_is_refused(kv: Command) -> None:
    _fill(kv, {"a": b"1\n2", "b": b"", "nul": b"x\0y"})
    assert kv("get", "a", "b", "-z").out == b"a\n1\n2\0b\n\0"
    assert "nul" in kv("get", "nul", "-z", code=129).err


def test_an_expired_key_is_left_out_of_a_prefix_and_refused_by_name(kv: Command) -> None:
    with gitkv.open(kv.folder) as store:
        store.write({"p:a": gitkv.Put(b"1"), "p:b": gitkv.Put(b"2", "", 1)})
    assert kv("get", "--prefix", "p:").text == "p:a\t1\n"
    kv("get", "p:a", "p:b", code=7)
    assert kv("get", "p:a", "p:b", "--allow-expired").text == "p:a\t1\np:b\t2\n"


def test_a_folder_gets_every_key_or_stays_away(kv: Command, tmp_path: Path) -> None:
    keys = ["a", "A", "a/b", "../../etc/passwd", ".", "..", "-rf", "x" * 240, "é" * 120]
    _fill(kv, {key: key.encode() for key in keys})
    target = tmp_path / "out"
    told = kv("get", "--prefix", "", "--output-dir", str(target), "--json").lines()
    assert {entry["key"]: (target / entry["file"]).read_text() for entry in told} == {
        key: key for key in keys
    }
    assert sorted(os.listdir(target)) == sorted(entry["file"] for entry in told)
    assert all("value" not in entry for entry in told)
    before = sorted(os.listdir(tmp_path))
    kv("get", "a", "--output-dir", str(target), code=129)
    kv("get", "a", "missing", "--output-dir", str(tmp_path / "other"), code=1)
    assert sorted(os.listdir(tmp_path)) == before


@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=2, unique=True))
def test_no_two_keys_share_a_file_and_none_leads_out_of_its_folder(texts: list[str]) -> None:
    try:
        names = [file_name(text) for text in texts]
        names += [file_name(encode_key(text).decode()[:240]) for text in texts]
    except KeyInvalidError:
        return
    assert names[0] != names[1]
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_:@+=,%~][A-Za-z0-9_:@+=,.%~-]{0,254}", name)


def test_long_keys_that_begin_alike_have_files_of_their_own() -> None:
    names = {file_name("k" * 239 + letter) for letter in "ab"}
    assert len(names) == 2 and max(map(len, names)) <= 255


def test_a_terminal_gets_a_line_end_and_a_pipe_does_not(kv: Command) -> None:
    _fill(kv, {"a": b"v", "ends": b"v\n", "none": b""})
    assert kv("get", "a").out == b"v"
    assert kv("get", "a", terminal=True).out == b"v\n"
    assert kv("get", "ends", terminal=True).out == b"v\n"
    assert kv("get", "none", terminal=True).out == b"\n"


def test_a_value_that_is_shown_escaped_says_so(kv: Command) -> None:
    _fill(kv, {"a": b"\x1b[31m"})
    answer = kv("get", "a", terminal=True)
    assert (answer.out, "-o FILE" in answer.err) == (b"\\x1b[31m\n", True)
    assert kv("get", "a").out == b"\x1b[31m"


def _is_harmless(shown: bytes) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in shown.decode())


READING = [
    ("get", "--prefix", ""),
    ("list",),
    ("list", "-l"),
    ("list", "--tree"),
    ("list", "--delimiter", "a"),
    ("history", "e"),
    ("log",),
    ("diff", "@0"),
    ("get", "--prefix", "", "--json"),
    ("list", "--json"),
    ("log", "--json"),
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_nothing_that_others_wrote_reaches_a_terminal_raw(
    kv: Command, words: tuple[str, ...]
) -> None:
    with gitkv.open(kv.folder) as store:
        values = {key: HOSTILE_VALUES[at % 7] for at, key in enumerate(HOSTILE_KEYS)}
        changes = {key: gitkv.Put(value, "text/x") for key, value in values.items()}
        store.write(changes, message="say \u202e\n\nmore \u2066")
    answer = kv(*words, terminal=True, code=1 if words[0] == "diff" else 0)
    assert answer.out and _is_harmless(answer.out) and _is_harmless(answer.err.encode())


def test_every_hostile_value_is_harmless_on_a_terminal(kv: Command) -> None:
    _fill(kv, {f"k{at}": value for at, value in enumerate(HOSTILE_VALUES)})
    for at in range(len(HOSTILE_VALUES)):
        assert _is_harmless(kv("get", f"k{at}", terminal=True).out)


@given(st.binary(max_size=40))
def test_values_for_eyes_are_harmless_and_one_line_forms_differ(value: bytes) -> None:
    assert _is_harmless(eye_text(value).encode())
    assert one_line(value).isprintable()


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_two_values_never_have_the_same_line(one: bytes, other: bytes) -> None:
    assert (one_line(one) == one_line(other)) == (one == other)


def test_the_prefix_is_an_operand_or_an_option(kv: Command) -> None:
    _fill(kv, {"cfg:a": b"1", "cfg:b": b"2", "x": b"3"})
    assert kv("list", "cfg:").out == kv("list", "--prefix", "cfg:").out == b"cfg:a\ncfg:b\n"
    assert kv("list", "cfg:", "-z").out == b"cfg:a\0cfg:b\0"


def test_a_delimiter_shows_what_keys_have_in_common_once(kv: Command) -> None:
    keys = ["a", "cfg:", "cfg:db:host", "cfg:db:port", "cfg:x", "flag:on", "z/1:b"]
    _fill(kv, dict.fromkeys(keys, b"v"))
    assert kv("list", "--delimiter", ":").text.split() == ["a", "cfg:", "flag:", "z/1:"]
    assert kv("list", "cfg:", "--delimiter", ":").text.split() == ["cfg:", "cfg:db:", "cfg:x"]
    told = kv("list", "--delimiter", ":", "--json", "--limit", "2").lines()
    assert [entry.get("key", entry.get("prefix")) for entry in told] == ["a", "cfg:"]
    assert set(told[1]) == {"prefix"}
    assert kv("list", "--delimiter", ":", "--after", "cfg:").text.split() == ["flag:", "z/1:"]
    assert kv("list", "-l", "--delimiter", ":").text.splitlines()[2].split() == [*"-----", "cfg:"]


def test_a_tree_shows_every_key_once() -> None:
    keys = ["a/b", "cfg:", "cfg:db:host", "cfg:db:port", "cfg:x", "flag"]
    assert list(draw_tree(keys)) == [
        "a/",
        "└── b",
        "cfg:",
        "├── (itself)",
        "├── db:",
        "│   ├── host",
        "│   └── port",
        "└── x",
        "flag",
    ]
    assert list(draw_tree(["a.b", "a.c:d"], ".")) == ["a.", "├── b", "└── c:d"]
    deep = list(draw_tree([":" * 240, ":" * 239 + "a"]))
    assert len(deep) == 241


def test_forty_keys_are_one_answer(kv: Command) -> None:
    keys = [f"k{at:02}" for at in range(40)]
    _fill(kv, {key: key.encode() for key in keys})
    assert kv("get", *reversed(keys)).text.split("\n")[0] == "k39\tk39"
    assert [json.loads(line)["key"] for line in kv("get", *keys, "--json").out.splitlines()] == keys
