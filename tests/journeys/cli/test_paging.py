"""The pager and the colours, by git's settings; none where no person looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import GitRunner
from support.command import Command

import gitkv


@pytest.fixture
def kv(repo: Path) -> Command:
    gitkv.init(repo)
    kv = Command(repo)
    kv("set", "a", "1")
    return kv


@pytest.fixture
def pager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that keeps what it is to show in `shown`, beside it."""
    script = tmp_path / "a pager"
    script.write_text(f'#!/bin/sh\necho "$LESS" > "{tmp_path}/less"\ncat > "{tmp_path}/shown"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PAGER", f"'{script}'")
    monkeypatch.setenv("TERM", "xterm")
    return tmp_path / "shown"


@pytest.mark.parametrize("words", ["log", "list", "history a", "blame", "diff @0"])
def test_a_long_answer_on_a_terminal_goes_through_the_pager(
    kv: Command, pager: Path, words: str
) -> None:
    code = 1 if words.startswith("diff") else 0
    assert kv(*words.split(), terminal=True, code=code).out == b""
    assert b"a" in pager.read_bytes()
    assert pager.with_name("less").read_text() == "FRX\n"


@pytest.mark.parametrize("words", ["get a", "log --json", "status"])
def test_other_answers_do_not(kv: Command, pager: Path, words: str) -> None:
    assert kv(*words.split(), terminal=True).out
    assert not pager.exists()


def test_a_pipe_or_file_gets_neither_pager_nor_colour(kv: Command, pager: Path) -> None:
    assert b"\x1b" not in kv("log").out
    assert not pager.exists()


@pytest.mark.parametrize(
    ("setting", "value", "paged"),
    [
        ("pager.kv-log", "false", False),
        ("pager.kv", "no", False),
        ("pager.kv-blame", "false", True),
        ("core.pager", "cat", False),
    ],
)
def test_settings_of_git_decide(
    kv: Command, pager: Path, git: GitRunner, setting: str, value: str, paged: bool
) -> None:
    git("config", setting, value, cwd=kv.folder)
    kv("log", terminal=True)
    assert pager.exists() == paged


def test_a_pager_that_needs_a_shell_is_not_started_and_the_answer_comes(
    kv: Command, git: GitRunner, tmp_path: Path
) -> None:
    git("config", "core.pager", f"touch {tmp_path}/pwned | cat", cwd=kv.folder)
    answer = kv("list", terminal=True)
    assert (answer.out, "without a shell" in answer.err) == (b"a\n", True)
    assert not (tmp_path / "pwned").exists()


def test_a_pager_that_is_missing_or_left_early_is_no_error(
    kv: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "/nonexistent/pager")
    assert kv("list", terminal=True).out == b"a\n"
    with gitkv.open(kv.folder) as store:
        store.update({f"key:{number:05}": b"" for number in range(20_000)})
    monkeypatch.setenv("PAGER", "true")
    assert kv("list", terminal=True) == (0, b"", "")


@pytest.mark.parametrize(
    ("settings", "env", "coloured"),
    [
        ({}, {"TERM": "xterm"}, True),
        ({}, {"TERM": "dumb"}, False),
        ({}, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"color.ui": "never"}, {"TERM": "xterm"}, False),
        ({"color.ui": "always"}, {"TERM": "xterm", "NO_COLOR": "1"}, True),
    ],
)
def test_colours_follow_git_and_no_color(
    kv: Command,
    git: GitRunner,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    env: dict[str, str],
    coloured: bool,
) -> None:
    for name, value in settings.items():
        git("config", name, value, cwd=kv.folder)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for words in (["log"], ["history", "a"], ["blame"], ["diff", "-p", "@0"]):
        shown = kv(*words, terminal=True, code=1 if words[0] == "diff" else 0).out
        assert (b"\x1b[" in shown) == coloured, words
    assert b"\x1b" not in kv("log", "--json", terminal=True).out


def test_a_diff_is_coloured_as_git_colours_it(kv: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    kv("set", "a", "--", "-- x")
    shown = kv("diff", "a", "@1", "@2", code=1, terminal=True).text
    assert "\x1b[31m-1\x1b[m\n\x1b[32m+-- x\x1b[m\n" in shown
    assert "\x1b[36m@@" in shown and "\x1b[1m--- a (@1)\x1b[m" in shown
