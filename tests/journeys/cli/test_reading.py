"""Reading many keys: forms for people and for programs, and what a terminal is shown."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from support.command import Command

import gitkv

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
    assert kv("get", "--prefix", "p:", "--allow-expired").text == "p:a\t1\np:b\t2\n"
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
    ours = re.sub(rb"\x1b\[(?:1|3[1-6])?m", b"", shown)  # our own colours
    return all(char.isprintable() or char in "\n\t" for char in ours.decode())


READING = [
    ("get", "--prefix", ""),
    ("list",),
    ("list", "-l"),
    ("list", "--tree"),
    ("list", "--delimiter", "a"),
    ("history", "e"),
    ("log",),
    ("diff", "@0"),
    ("diff", "-p", "@0"),
    ("diff", "a\u202eb", "@0", "@1"),
    ("blame",),
    ("log", "--prefix", "a"),
    ("diff", "-p", "@0", "--json"),
    ("get", "--prefix", "", "--json"),
    ("list", "--json"),
    ("log", "--json"),
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_nothing_that_others_wrote_reaches_a_terminal_raw(
    kv: Command, words: tuple[str, ...]
) -> None:
    with gitkv.open(kv.folder) as store:
        values = {key: HOSTILE_VALUES[at % 7] + b"\nx" for at, key in enumerate(HOSTILE_KEYS)}
        changes = {key: gitkv.Put(value, "text/x") for key, value in values.items()}
        store.write(changes, message="say \u202e\n\nmore \u2066")
    answer = kv(*words, terminal=True, code=1 if words[0] == "diff" else 0)
    assert answer.out and _is_harmless(answer.out) and _is_harmless(answer.err.encode())


def test_every_hostile_value_is_harmless_on_a_terminal(kv: Command) -> None:
    _fill(kv, {f"k{at}": value for at, value in enumerate(HOSTILE_VALUES)})
    for at in range(len(HOSTILE_VALUES)):
        assert _is_harmless(kv("get", f"k{at}", terminal=True).out)


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


def test_forty_keys_are_one_answer(kv: Command) -> None:
    keys = [f"k{at:02}" for at in range(40)]
    _fill(kv, {key: key.encode() for key in keys})
    assert kv("get", *reversed(keys)).text.split("\n")[0] == "k39\tk39"
    assert [json.loads(line)["key"] for line in kv("get", *keys, "--json").out.splitlines()] == keys


def test_diff_shows_values_by_their_type(kv: Command) -> None:
    with gitkv.open(kv.folder) as store:
        old = {
            "doc": gitkv.Put(b'{"b":1,"a":[1]}', "application/json"),
            "text": gitkv.Put(b"one\ntwo\n"),
            "bin": gitkv.Put(b"\0"),
            "gone": gitkv.Put(b"x"),
            "kind": gitkv.Put(b"k"),
        }
        store.write(old)
        new = {
            "doc": gitkv.Put(b'{"a": [1, 2], "b": 1}', "application/json"),
            "text": gitkv.Put(b"one\n2\n"),
            "bin": gitkv.Put(b"\0\1"),
            "gone": None,
            "kind": gitkv.Put(b"k", "text/plain", 4_000_000_000),
            "new": gitkv.Put(b"x\x1b"),
        }
        store.write(new)
    shown = kv("diff", "-p", "@1", "@2", code=1).text
    assert "diff --git-kv bin\nbinary values differ: 1 -> 2 bytes\n" in shown
    assert "     1\n-    1\n" not in shown and "+    2\n" in shown and '"b": 1' in shown
    assert "-two\n+2\n" in shown and " one\n" in shown
    assert "deleted key\n--- gone (@1)\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n" in shown
    assert "type none -> text/plain\nexpires never -> 2096-10-02 07:06:40Z\n" in shown
    assert "new key\n--- /dev/null\n+++ new (@2)\n@@ -0,0 +1 @@\n+x\\x1b\n" in shown
    alone = kv("diff", "text", "@1", "@2", code=1).text
    assert alone.startswith("diff --git-kv text\n--- text (@1)\n+++ text (@2)\n")
    told = kv("diff", "-p", "@1", "--json", code=1).lines()
    assert {entry["key"]: (entry.get("old_value"), entry.get("new_value")) for entry in told}[
        "text"
    ] == ("one\ntwo\n", "one\n2\n")
    assert kv("diff", "text", "@2", "@2").out == b""


def test_json_that_only_stands_otherwise_is_compared_as_text(kv: Command) -> None:
    for value in (b'{"a":1}', b'{ "a": 1 }', b"[" * 9000):
        with gitkv.open(kv.folder) as store:
            store.set("doc", value, ctype="application/x+json")
    assert '-{"a":1}\n+{ "a": 1 }\n' in kv("diff", "doc", "@1", "@2", code=1).text
    assert "-{" in kv("diff", "doc", "@2", "@3", code=1).text


def test_a_value_that_is_too_long_is_named_with_its_size(kv: Command) -> None:
    _fill(kv, {"lines": b"a\n" * 2001, "large": b"x" * ((1 << 20) + 1)})
    shown = kv("diff", "-p", "@0", code=1).text
    assert "too many lines to compare: 0 -> 4002 bytes" in shown
    assert "too large to show: 0 -> 1048577 bytes" in shown


def test_a_line_end_at_the_end_is_told_where_it_makes_the_difference(kv: Command) -> None:
    for value in (b"a", b"a\n", b"b"):
        _fill(kv, {"k": value})
    assert " a\n-\\ no line end\n" in kv("diff", "k", "@1", "@2", code=1).text
    assert "line end" not in kv("diff", "k", "@1", "@3", code=1).text


def test_one_state_with_a_key_is_told_how_to_ask(kv: Command) -> None:
    assert "git kv diff KEY REV REV" in kv("diff", "cfg:a", "@0", code=129).err


def test_blame_names_the_last_change_of_each_key(kv: Command) -> None:
    with gitkv.open(kv.folder) as store:
        store.write(dict.fromkeys(["a", "b:1", "b:2"], gitkv.Put(b"1")), message="begin")
        store.set("b:2", b"2", message="second\n\nat length")
        store.delete(["a"])
    lines = kv("blame").text.splitlines()
    assert [line.split()[0] for line in lines] == ["@1", "@2"]
    assert lines[1].endswith("Test Person <test@example.invalid>  b:2  (second)")
    told = kv("blame", "b:", "--json").lines()
    assert [(entry["key"], entry["seq"]) for entry in told] == [("b:1", 1), ("b:2", 2)]
    assert told[0]["text"] == "begin"
    assert [entry["seq"] for entry in kv("blame", "b:", "--json", "--at", "@1").lines()] == [1, 1]


def test_log_shows_what_touched_a_key_or_a_prefix(kv: Command) -> None:
    with gitkv.open(kv.folder) as store:
        store.write(dict.fromkeys(["a", "b:1", "b:2"], gitkv.Put(b"1")))
        store.set("a", b"2")
        store.delete(["b:1"])
        store.set("b:1", b"3")

    def seqs(*words: str) -> list[int]:
        return [entry["seq"] for entry in kv("log", *words, "--json").lines()]

    assert seqs("a") == [2, 1]
    assert seqs("b:1") == seqs("--prefix", "b:") == [4, 3, 1]
    assert seqs("--prefix", "b:", "-n", "2") == [4, 3]
    assert seqs("--author", "test PERSON") == [4, 3, 2, 1, 0]
    assert seqs("--author", "nobody") == seqs("--signer", "alice") == seqs("b") == []
