"""One developer, one repository, no service: the whole command line against real git.

Every command is a process of its own, as a script would start it. What stock git sees of the result
is checked with stock git.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

GitRunner = Callable[..., bytes]


class Answer(NamedTuple):
    code: int
    out: bytes
    err: str

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Store:
    """`store("get", "k")` runs `git kv get k` in the repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *words: str, stdin: bytes = b"", code: int = 0, env: dict[str, str] | None = None
    ) -> Answer:
        answer = self.run(*words, stdin=stdin, env=env)
        assert answer.code == code, (
            f"git kv {' '.join(words)} ended with {answer.code}: {answer.err}"
        )
        return answer

    def run(self, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Answer:
        path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        command = [sys.executable, "-m", "gitkv", *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            env={**os.environ, **path, **(env or {})},
        )
        return Answer(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture
def store(repo: Path) -> Store:
    store = Store(repo)
    store("init")
    return store


def _etag(store: Store, key: str) -> str:
    return str(store("get", key, "--json").lines()[0]["etag"])


def test_init_prints_the_first_commit_and_doing_it_again_changes_nothing(
    repo: Path, git: GitRunner
) -> None:
    store = Store(repo)
    first = store("init")
    assert first.out.strip() == git("rev-parse", "refs/kv/main", cwd=repo).strip()
    again = store("init", "--json").lines()[0]
    assert (again["commit"], again["created"], again["ns"]) == (
        first.out.decode().strip(),
        False,
        "main",
    )


def test_a_command_before_init_says_what_to_do(repo: Path) -> None:
    answer = Store(repo).run("get", "k")
    assert answer.code not in (0, 129)
    assert answer.err.startswith("error: ")
    assert "git kv init" in answer.err
    assert "defect" not in answer.err


def test_outside_a_repository_the_error_is_one_of_ours(tmp_path: Path) -> None:
    answer = Store(tmp_path).run("init")
    assert answer.code == 5
    assert answer.err.startswith("error: ")
    assert "defect" not in answer.err


@pytest.mark.parametrize("value", [b"", b"text", b"\x00\xff\r\n\n", b"x" * 300_000])
def test_a_value_comes_back_bit_for_bit_from_every_source(
    store: Store, value: bytes, tmp_path: Path
) -> None:
    source = tmp_path / "value"
    source.write_bytes(value)
    store("set", "from:stdin", "-", stdin=value)
    store("set", "from:file", "--file", str(source))
    assert store("get", "from:stdin").out == value
    assert store("get", "from:file").out == value


def test_set_prints_the_commit_that_the_ledgers_ref_then_names(
    store: Store, git: GitRunner
) -> None:
    commit = store("set", "cfg:a", "one", "-m", "first value").out.decode().strip()
    assert git("rev-parse", "refs/kv/main", cwd=store.folder).decode().strip() == commit
    assert git("show", "-s", "--format=%s", commit, cwd=store.folder) == b"first value\n"


def test_setting_the_same_value_again_makes_no_commit_and_prints_the_present_one(
    store: Store,
) -> None:
    first = store("set", "k", "v").out
    again = store("set", "k", "v")
    assert again.out == first
    assert "nothing changed" in again.err


def test_get_in_json_says_what_the_value_is_and_where_it_was_read(
    store: Store, git: GitRunner
) -> None:
    commit = store("set", "k", "v", "--ctype", "text/plain").out.decode().strip()
    etag = git("hash-object", "--stdin", cwd=store.folder, input=b"v").decode().strip()
    found = store("get", "k", "--json").lines()[0]
    assert found == {
        "key": "k", "value": "v", "etag": etag, "ctype": "text/plain",
        "expires": 0, "created": 1, "mod": 1, "versions": 1, "commit": commit, "seq": 1,
    }  # fmt: skip
    store("set", "k", "-", stdin=b"\xff")
    assert store("--json", "get", "k").lines()[0]["value_b64"] == "/w=="


def test_get_into_a_file_replaces_it_and_a_failed_get_leaves_it_alone(store: Store) -> None:
    target = store.folder / "out"
    store("set", "k", "v")
    assert store("get", "k", "-o", "out").out == b""
    assert target.read_bytes() == b"v"
    store("get", "missing", "-o", "out", code=1)
    assert target.read_bytes() == b"v"


def test_earlier_states_stay_readable_by_number_and_by_commit(store: Store) -> None:
    first = store("set", "k", "one").out.decode().strip()
    store("set", "k", "two")
    store("del", "k")
    assert store("get", "k", "--at", "@1").out == b"one"
    assert store("get", "k", "--at", first[:12]).out == b"one"
    assert store("get", "k", "--at", "@2").out == b"two"
    assert "'k'" in store("get", "k", code=1).err or "k" in store("get", "k", code=1).err
    assert store.run("get", "k", "--at", "@99").code not in (0, 130)


def test_delete_is_all_or_none(store: Store) -> None:
    store(
        "mset",
        "-",
        stdin=b'{"op":"set","key":"a","value":"1"}\n{"op":"set","key":"b","value":"2"}\n',
    )
    store("del", "a", "missing", code=1)
    assert store("list").out == b"a\nb\n"
    store("del", "a", "missing", "--missing-ok")
    assert store("list").out == b"b\n"


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 241, "e\u0301"])
def test_an_invalid_key_is_exit_4_wherever_it_is_given(store: Store, key: str) -> None:
    store("set", key, "v", code=4)
    store("get", key, code=4)
    store("del", key, code=4)
    store("mset", "-", stdin=json.dumps({"op": "set", "key": key, "value": "v"}).encode(), code=4)
    assert store("list").out == b""


def test_a_batch_lands_whole_in_one_commit(store: Store, git: GitRunner) -> None:
    store("set", "old", "x")
    (store.folder / "value.bin").write_bytes(b"\x00\x01")
    batch = b"""\
{"op":"set","key":"a","value":"1","ctype":"text/plain"}
{"op":"set","key":"b","value_b64":"/w=="}

{"op":"set","key":"c","file":"value.bin"}
{"op":"del","key":"old"}
"""
    (store.folder / "batch.jsonl").write_bytes(batch)
    before = git("rev-parse", "refs/kv/main", cwd=store.folder).decode().strip()
    written = store("mset", "--file", "batch.jsonl", "-m", "a batch", "--json").lines()[0]
    assert (written["changed"], written["keys_set"], written["keys_del"], written["seq"]) == (
        True,
        3,
        1,
        2,
    )
    assert git("rev-list", f"{before}..refs/kv/main", cwd=store.folder).decode().split() == [
        written["commit"]
    ]
    assert [entry["key"] for entry in store("list", "--json").lines()] == ["a", "b", "c"]
    assert store("get", "c").out == b"\x00\x01"


def test_a_bad_batch_names_its_lines_and_changes_nothing(store: Store, git: GitRunner) -> None:
    before = git("for-each-ref", cwd=store.folder)
    answer = store(
        "mset",
        "-",
        stdin=b'{"op":"set","key":"a","value":"1"}\n{"op":"del"}\nx\n{"op":"del","key":"a"}\n',
        code=129,
    )
    assert [
        line.split(":")[1].split("]")[1]
        for line in answer.err.splitlines()
        if line.startswith("error")
    ] == [
        " line 2",
        " line 3",
        " line 4",
    ]
    assert git("for-each-ref", cwd=store.folder) == before


def test_an_empty_batch_is_success_without_a_commit(store: Store, git: GitRunner) -> None:
    before = git("for-each-ref", cwd=store.folder)
    assert store("mset", "-", "--json", stdin=b"\n").lines()[0]["changed"] is False
    assert git("for-each-ref", cwd=store.folder) == before


def test_compare_and_swap_wins_once(store: Store) -> None:
    store("cas", "set", "k", "-", "--expect-blob", "0" * 40, stdin=b"one")
    store("cas", "set", "k", "-", "--expect-blob", "0" * 40, stdin=b"other", code=2)
    seen = _etag(store, "k")
    store("cas", "set", "k", "-", "--expect-blob", seen, stdin=b"two")
    conflict = store(
        "cas", "set", "k", "-", "--expect-blob", seen, "--json", stdin=b"three", code=2
    )
    assert json.loads(conflict.err)["kind"] == "ConflictError"
    assert conflict.out == b""
    assert store("get", "k").out == b"two"


def test_set_conditions_hold_or_nothing_happens(store: Store, git: GitRunner) -> None:
    store("set", "k", "one", "--if-absent")
    tree = git("rev-parse", "refs/kv/main^{tree}", cwd=store.folder).decode().strip()
    store("set", "k", "two", "--if-absent", code=2)
    store("set", "k", "two", "--if-match", "0" * 39 + "1", code=2)
    store("set", "k", "two", "--if-match", _etag(store, "k"), "--expect-tree", tree)
    store("set", "k", "three", "--expect-tree", tree, code=2)
    assert store("get", "k").out == b"two"


def test_list_takes_a_prefix_pages_and_shows_a_table(store: Store) -> None:
    keys = ["a", "cfg:1", "cfg:2", "cfg:3", "cfh", "é"]
    store(
        "mset",
        "-",
        stdin=b"".join(
            json.dumps({"op": "set", "key": key, "value": key * 3}).encode() + b"\n" for key in keys
        ),
    )
    ordered = store("list").out.decode().splitlines()
    assert sorted(ordered) == sorted(keys)
    assert store("list", "--prefix", "cfg:").out == b"cfg:1\ncfg:2\ncfg:3\n"
    assert store("list", "--prefix", "cfg:", "--limit", "2").out == b"cfg:1\ncfg:2\n"
    assert store("list", "--prefix", "cfg:", "--after", "cfg:2").out == b"cfg:3\n"
    assert store("list", "--prefix", "nothing").out == b""
    head, *rows = store("list", "-l", "--prefix", "cfg:").out.decode().splitlines()
    assert head.split() == ["SIZE", "CHANGED", "VERS.", "EXPIRES", "TYPE", "KEY"]
    assert rows[0].split() == ["15", "@1", "1", "-", "-", "cfg:1"]


def test_an_expiring_key_is_listed_with_what_is_left(store: Store) -> None:
    store("set", "session", "x", "--ttl", "30d")
    assert store("list", "-l").out.decode().splitlines()[1].split()[3] in ("29d", "30d")
    assert store("get", "session", "--json").lines()[0]["expires"] > 1_700_000_000


def test_a_moment_of_expiry_is_taken_with_its_zone_and_refused_without(store: Store) -> None:
    store("set", "k", "x", "--expires", "2127-01-01T02:00:00+02:00")
    assert store("get", "k", "--json").lines()[0]["expires"] == 4_954_435_200
    for words, why in (
        (["--expires", "2127-01-01T02:00:00"], "expected a date such as"),
        (["--expires", "2020-01-01"], "expected a moment after now"),
        (["--expires", "2127-01-01", "--ttl", "3d"], "not allowed with"),
        (["--ttl", "0s"], "expected 1s to 36525d"),
        (["--ttl", "-3d"], "expected a number and a unit"),
        (["--ttl", "99999999999d"], "expected a number and a unit"),
    ):
        assert why in store("set", "k", "y", *words, code=129).err
    assert store("get", "k").out == b"x"


def test_history_tells_every_version_newest_first(store: Store) -> None:
    store("set", "k", "one", "-m", "begin")
    store("set", "other", "x")
    store("set", "k", "two", "-m", "more")
    store("del", "k", "-m", "end")
    told = [
        (entry["seq"], entry["op"], entry["text"].strip())
        for entry in store("history", "k", "--json").lines()
    ]
    assert told == [(4, "delete", "end"), (3, "set", "more"), (1, "set", "begin")]
    lines = store("history", "k", "-n", "2").out.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["@4", "@3"]
    assert "Test Person" in lines[0]
    store("history", "never", code=1)


def test_log_tells_every_transaction_newest_first(store: Store) -> None:
    store("set", "a", "1", "-m", "hello \u202e world")
    store("mset", "-", stdin=b'{"op":"set","key":"b","value":"1"}\n{"op":"del","key":"a"}\n')
    entries = store("log", "--json").lines()
    assert [(entry["seq"], entry["keys_set"], entry["keys_del"]) for entry in entries] == [
        (2, 1, 1),
        (1, 1, 0),
        (0, 0, 0),
    ]
    lines = store("log", "--limit", "2").out.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["@2", "@1"]
    assert lines[1].endswith("hello \\u202e world")


def test_diff_lists_what_changed_and_its_exit_code_says_whether(store: Store) -> None:
    store(
        "mset",
        "-",
        stdin=b'{"op":"set","key":"a","value":"1"}\n{"op":"set","key":"b","value":"1"}\n',
    )
    store(
        "mset",
        "-",
        stdin=b'{"op":"set","key":"b","value":"22"}\n{"op":"set","key":"c","value":"1"}\n{"op":"del","key":"a"}\n',
    )
    assert store("diff", "@1", "@2", code=1).out == b"D\ta\nM\tb\nA\tc\n"
    assert store("diff", "@1", code=1).out == b"D\ta\nM\tb\nA\tc\n"
    assert store("diff", "@1", "@2", "--prefix", "zz").out == b""
    assert store("diff", "@2", "@2").out == b""
    changed = store("diff", "@1", "@2", "--prefix", "b", "--json", code=1).lines()[0]
    assert (changed["op"], changed["old_size"], changed["new_size"]) == ("change", 1, 2)


def test_namespaces_do_not_see_each_other(store: Store) -> None:
    store("--ns", "staging", "init")
    store("set", "k", "main")
    store("set", "k", "staging", "--ns", "staging")
    assert store("get", "k").out == b"main"
    assert store("get", "k", "--ns=staging").out == b"staging"


def test_the_store_is_found_from_a_folder_below_by_directory_and_by_git_dir(
    store: Store, tmp_path: Path
) -> None:
    store("set", "k", "v")
    below = store.folder / "a" / "b"
    below.mkdir(parents=True)
    elsewhere = Store(tmp_path)
    assert Store(below)("get", "k").out == b"v"
    assert elsewhere("get", "k", "-C", str(store.folder)).out == b"v"
    assert elsewhere("get", "k", env={"GIT_DIR": str(store.folder / ".git")}).out == b"v"


def test_git_runs_it_as_one_of_its_own_commands(store: Store, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "git-kv"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m gitkv "$@"\n')
    script.chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{script.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    store("set", "k", "v")
    done = subprocess.run(
        ["git", "-C", str(store.folder), "kv", "get", "k"], cwd="/", env=env, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"v")


def test_writers_at_the_same_time_all_succeed_and_leave_one_line_of_history(
    store: Store, git: GitRunner
) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: store.run("set", f"k{number}", "v"), range(8)))
    assert [answer.code for answer in answers] == [0] * 8
    assert store("list").out.decode().split() == [f"k{number}" for number in range(8)]
    assert git("rev-list", "--merges", "refs/kv/main", cwd=store.folder) == b""
    assert len(git("rev-list", "refs/kv/main", cwd=store.folder).split()) == 9


def test_a_reader_that_has_seen_enough_ends_a_long_list_quietly(store: Store) -> None:
    lines = b"".join(
        b'{"op":"set","key":"key:%05d","value":""}\n' % number for number in range(20_000)
    )
    store("mset", "-", stdin=lines)
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gitkv", "list"],
        cwd=store.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **path},
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"key:00000\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141
