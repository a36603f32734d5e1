"""revert, edit, mv, cp and --dry-run, from the command line in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import GitRunner
from support.command import Command

import gitkv


@pytest.fixture
def kv(repo: Path) -> Command:
    gitkv.init(repo)
    return Command(repo)


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A script that stands for a person at an editor; write its commands, the file is "$1"."""
    script = tmp_path / "an editor"
    monkeypatch.setenv("GIT_EDITOR", f"'{script}'")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return script


def _says(editor: Path, commands: str) -> None:
    editor.write_text(f"#!/bin/sh\n{commands}\n")
    editor.chmod(0o755)


def test_a_transaction_is_undone_with_types_and_expiries(kv: Command) -> None:
    with gitkv.open(kv.folder) as store:
        before = {
            "a": gitkv.Put(b"1", "text/plain", 4_000_000_000),
            "b": gitkv.Put(b"2"),
        }
        store.write(before)
        store.write({"a": gitkv.Put(b"x"), "b": None, "c": gitkv.Put(b"3")}, message="wrong\n\nx")
    kv("revert", "@2")
    told = kv("get", "--prefix", "", "--json").lines()
    assert [(one["key"], one["value"], one["ctype"], one["expires"]) for one in told] == [
        ("a", "1", "text/plain", 4_000_000_000),
        ("b", "2", "", 0),
    ]
    assert kv("log", "-n", "1", "--json").lines()[0]["text"].strip() == "revert @2: wrong"
    assert "nothing changed" in kv("revert", "@2", "--force").err


def test_what_has_changed_since_is_refused_unless_told(kv: Command) -> None:
    for value in ("1", "2"):
        kv("set", "a", value)
    kv("mset", "-", stdin=b'{"op":"set","key":"a","value":"3"}\n{"op":"set","key":"b","value":"3"}')
    kv("set", "a", "4")
    answer = kv("revert", "@3", code=2)
    assert "changed since @3: a" in answer.err and "--force" in answer.err
    kv("revert", "b@3")
    assert kv("list").text == "a\n"
    kv("revert", "a@3", "-f", "-m", "back")
    assert kv("get", "a").out == b"2"
    assert kv("log", "-n", "1", "--json").lines()[0]["text"].strip() == "back"


@pytest.mark.parametrize(
    ("what", "code"), [("b@1", 1), ("@0", 129), ("@9", 129), ("@2", 129), ("a", 129)]
)
def test_what_cannot_be_undone_says_why(kv: Command, what: str, code: int) -> None:
    kv("set", "a", "1")
    assert kv("revert", what, code=code).err.startswith("error: ")


def test_a_key_whose_name_has_an_at_sign_is_reverted(kv: Command) -> None:
    kv("set", "a@1", "x")
    kv("revert", "a@1@1")
    assert kv("list").out == b""


def test_moving_and_copying_take_type_and_expiry_along(kv: Command) -> None:
    kv("set", "a", "1", "--ctype", "text/plain", "--expires", "2090-01-01")
    expires = kv("get", "a", "--json").lines()[0]["expires"]
    kv("mv", "a", "b")
    kv("cp", "b", "c")
    told = kv("get", "b", "c", "--json").lines()
    assert [(one["value"], one["ctype"], one["expires"]) for one in told] == [
        ("1", "text/plain", expires)
    ] * 2
    kv("get", "a", code=1)
    assert "-f replaces c" in kv("mv", "b", "c", code=2).err
    kv("mv", "b", "c", "-f")
    kv("cp", "missing", "x", code=1)
    kv("cp", "c", "c", code=129)
    assert kv("list").text == "c\n"


def test_an_earlier_value_is_brought_back(kv: Command) -> None:
    for value in ("1", "2", "3"):
        kv("set", "a", value)
    kv("cp", "-f", "--at", "@1", "a", "a")
    assert kv("get", "a").out == b"1"


def test_a_value_is_edited_and_keeps_its_type(kv: Command, editor: Path) -> None:
    kv("set", "a", "one", "--ctype", "application/json")
    _says(editor, 'case "$1" in *.json) ;; *) exit 9 ;; esac; echo two > "$1"')
    kv("edit", "a")
    told = kv("get", "a", "--json").lines()[0]
    assert (told["value"], told["ctype"]) == ("two", "application/json")
    _says(editor, 'printf "l1\\nl2\\n" > "$1"')
    kv("edit", "new")
    assert kv("get", "new").out == b"l1\nl2"
    assert list(editor.parent.glob("git-kv-*")) == []


def test_an_editor_that_fails_or_saves_nothing_changes_nothing(kv: Command, editor: Path) -> None:
    kv("set", "a", "one")
    before = kv("log").out
    for commands, key, code in (("exit 3", "a", 5), ("true", "a", 0), ("true", "new", 129)):
        _says(editor, commands)
        kv("edit", key, code=code)
    editor.unlink()
    assert "could not be started" in kv("edit", "a", code=5).err
    assert kv("log").out == before
    assert list(editor.parent.glob("git-kv-*")) == []


def test_an_editor_that_needs_a_shell_is_refused(
    kv: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_EDITOR", f"touch {tmp_path}/pwned; true")
    assert "without a shell" in kv("edit", "a", code=5).err
    assert not (tmp_path / "pwned").exists()


def test_a_text_that_came_too_late_is_kept(kv: Command, editor: Path, git: GitRunner) -> None:
    kv("set", "a", "one")
    elsewhere = "import gitkv, sys; gitkv.open(sys.argv[1]).set('a', b'other')"
    script = editor.parent / "elsewhere.py"
    script.write_text(elsewhere)
    paths = ":".join(sys.path)
    _says(
        editor,
        f"PYTHONPATH='{paths}' {sys.executable} {script} '{kv.folder}'\necho mine > \"$1\"",
    )
    answer = kv("edit", "a", code=2)
    [kept] = editor.parent.glob("git-kv-*.txt")
    assert str(kept) in answer.err and kept.read_text() == "mine\n"
    assert kv("get", "a").out == b"other"


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        (("set", "a", "2"), b"", b"M\ta\n"),
        (("set", "a", "1"), b"", b""),
        (("set", "new", "1"), b"", b"A\tnew\n"),
        (("del", "a"), b"", b"D\ta\n"),
        (("cas", "set", "new", "-", "--expect-blob", "0" * 40), b"x", b"A\tnew\n"),
        (("mset", "-"), b'{"op":"del","key":"a"}', b"D\ta\n"),
        (("mv", "a", "b"), b"", b"D\ta\nA\tb\n"),
        (("cp", "a", "b"), b"", b"A\tb\n"),
        (("revert", "@1"), b"", b"D\ta\n"),
    ],
)  # fmt: skip
def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    kv: Command, git: GitRunner, words: tuple[str, ...], stdin: bytes, expected: bytes
) -> None:
    kv("set", "a", "1")
    before = git("for-each-ref", cwd=kv.folder), git("count-objects", "-v", cwd=kv.folder)
    answer = kv(*words, "--dry-run", stdin=stdin)
    assert (answer.out, "nothing was written" in answer.err) == (expected, True)
    told = kv(*words, "--dry-run", "--json", stdin=stdin).lines()[0]
    assert (told["dry_run"], told["allowed"], told["seq"]) == (True, True, 1)
    assert len(told["changes"]) == len(expected.splitlines())
    assert (git("for-each-ref", cwd=kv.folder), git("count-objects", "-v", cwd=kv.folder)) == before


def test_a_dry_run_ends_as_the_write_would(kv: Command) -> None:
    kv("set", "a", "1")
    kv("set", "a", "2", "--if-absent", "--dry-run", code=2)
    kv("del", "missing", "--dry-run", code=1)
    kv("set", "\n", "2", "--dry-run", code=4)


def test_log_takes_a_range_of_times(kv: Command) -> None:
    kv("set", "a", "1")
    assert len(kv("log", "--since", "1h").text.splitlines()) == 2
    assert kv("log", "--until", "2020-01-01").out == b""
    assert kv("log", "--since", "2090-01-01T00:00:00Z").out == b""


def test_a_dry_run_of_a_large_file_writes_nothing_either(kv: Command, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (3 << 20))
    before = kv("log").out
    kv("set", "a", "--file", str(tmp_path / "large"), "--dry-run")
    assert kv("log").out == before


def test_an_interruption_while_the_editor_runs_is_the_editors(kv: Command, editor: Path) -> None:
    """Ctrl-C reaches the whole group of a terminal; editors have their own use for it."""
    kv("set", "a", "one")
    _says(editor, 'kill -INT "$PPID"; echo two > "$1"')
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", "gitkv", "edit", "a"],
        cwd=kv.folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert kv("get", "a").out == b"two"
