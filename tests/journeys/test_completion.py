"""Completion in a real bash on a real terminal: a key that others chose is completed, never run."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

import gitkv

GIT_COMPLETION = next(
    (
        path
        for path in map(
            Path,
            (
                "/usr/share/bash-completion/completions/git",
                "/usr/lib/git-core/git-completion.bash",
                "/usr/share/git/completion/git-completion.bash",
            ),
        )
        if path.exists()
    ),
    None,
)
HOSTILE = [
    "q$(touch pwned)",
    "q`touch pwned`",
    "q;touch pwned;",
    "q|touch pwned",
    "q&touch pwned&",
    "q two  words ",
    "q'single'",
    'q"double"',
    "q\\back\\slash",
    "q*?[a-z]{1,2}",
    "q~root",
    "q!history!!",
    "q#comment",
    "q>pwned",
    "q<(touch pwned)",
    "q${HOME}",
    "q\u00e9\u4e2d",
    "q:a:b",
    "q=a=b",
    "q@a@b",
    "q:$(touch pwned):x y",
    "q/dir/\u00fc'\"$`\\",
]


class Bash:
    """An interactive bash in the repository, with git's completion and ours."""

    def __init__(self, folder: Path, programs: Path) -> None:
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PS1": "<ready>",
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "HISTFILE": "",
        }
        self._terminal, inner = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=folder,
            env=environment,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self._until(b"<ready>")
        self.run("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; stty -echo")
        self.run(f". {GIT_COMPLETION}")
        self.run(f". {files('gitkv.cli').joinpath('git-kv-completion.bash')}")

    def run(self, line: str) -> bytes:
        """Types the line, with its tabs, and Enter; what is shown until the prompt."""
        os.write(self._terminal, line.encode() + b"\n")
        return self._until(b"<ready>")

    def _until(self, end: bytes) -> bytes:
        shown, deadline_s = b"", time.monotonic() + 60
        while not shown.endswith(end):
            assert time.monotonic() < deadline_s, shown
            if select.select([self._terminal], [], [], 1)[0]:
                shown += os.read(self._terminal, 65536)
        return shown

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with `git-kv` in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = os.pathsep.join(entry for entry in sys.path if entry)
    script = folder / "git-kv"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec {sys.executable} -m gitkv "$@"\n')
    script.chmod(0o755)
    return folder


@pytest.fixture
def bash(repo: Path, programs: Path) -> Iterator[Bash]:
    assert GIT_COMPLETION is not None, "git's completion for bash is not installed"
    gitkv.init(repo)
    shell = Bash(repo, programs)
    yield shell
    shell.close()


def _typed(key: str) -> str:
    """The first letters of the key as a person would type them, beyond a first colon or the
    like.
    """
    found = re.match(r"[0-9]+q(?:[:=@](?:a[:=@])?)?", key)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("quote", ["", "'", '"'], ids=["bare", "single", "double"])
def test_hostile_keys_are_completed_and_read_and_never_run(
    bash: Bash, repo: Path, quote: str
) -> None:
    special = "$`'\"\\" if quote else ""
    keys = [
        f"{number}{key}"
        for number, key in enumerate(HOSTILE, 10)
        if not special or (set(special) & set(key) and not (quote == '"' and "!" in key))
    ]
    with gitkv.open(repo) as store:
        store.update({key: b"<%d>" % at for at, key in enumerate(keys)})
    before = sorted(os.listdir(repo))
    for at, key in enumerate(keys):
        shown = bash.run(f"git kv get {quote}{_typed(key)}\t")
        assert b"<%d>" % at in shown, (key, shown)
    assert sorted(os.listdir(repo)) == before


def test_what_is_completed_so_far_is_kept_and_completed_further(bash: Bash, repo: Path) -> None:
    with gitkv.open(repo) as store:
        store["a b:$x/one"], store["a b:$y/two"] = b"<one>", b"<two>"
    assert b"<two>" in bash.run("git kv get a\\ b:\\$y\t")
    assert b"<one>" in bash.run("git kv get a\tx\t")
    assert b"<one>" in bash.run("git kv get 'a b:$x\t")


def test_a_key_that_looks_like_an_option_is_offered_after_two_dashes_only(
    bash: Bash, repo: Path
) -> None:
    with gitkv.open(repo) as store:
        store["--output=pwned"], store["other"] = b"<dashes>", b"<other>"
    assert b"<other>" in bash.run("git kv get \t")
    assert b"<dashes>" in bash.run("git kv get -- --o\t")
    assert not (repo / "pwned").exists()
