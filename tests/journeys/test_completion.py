"""Completion in a real bash on a real terminal: a key that others chose is completed, never run."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
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


_AFTER = re.compile(rb"(?:\x1b\[[0-9;?]*[A-Za-z]|[\r ])*\Z")  # what a shell sends after its prompt


class Bash:
    """An interactive shell in the repository; bash, unless it is said which."""

    def __init__(
        self,
        folder: Path,
        programs: Path,
        command: Sequence[str] = ("bash", "--norc", "--noprofile", "-i"),
    ) -> None:
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PS1": "<ready>",
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "HISTFILE": "",
            "PAGER": "cat",
        }
        self._terminal, inner = pty.openpty()
        self._process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=environment,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self._until(b"<ready>")

    def prepare(self) -> None:
        """Loads git's completion and ours, for bash."""
        self.run("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; stty -echo")
        self.run(f". {GIT_COMPLETION}")
        self.run(f". {files('gitkv.cli').joinpath('git-kv-completion.bash')}")

    def run(self, line: str) -> bytes:
        """Types the line, with its tabs, and Enter; what is shown until the prompt."""
        os.write(self._terminal, line.encode() + b"\n")
        return self._until(b"<ready>")

    def _until(self, end: bytes) -> bytes:
        shown, deadline_s = b"", time.monotonic() + 60
        while not _AFTER.sub(b"", shown).endswith(end):
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
    shell.prepare()
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


def test_options_their_values_and_states_are_completed_in_bash(bash: Bash, repo: Path) -> None:
    with gitkv.open(repo) as store:
        store["a"] = b"<one>"
        store["a"] = b"<two>"
    assert b"<one>" in bash.run("git kv get a --read-fr\tloc\t --at @1\t")
    assert b"a" in bash.run("git kv li\t--lon\t")
    assert b"<one>" in bash.run("git kv diff -p @1\t || true")


def test_every_hostile_key_is_offered_by_fish_and_none_is_run(
    repo: Path, programs: Path, fish_tool: str
) -> None:
    gitkv.init(repo)
    keys = [f"{number}{key}" for number, key in enumerate(HOSTILE, 10)]
    with gitkv.open(repo) as store:
        store.update(dict.fromkeys([*keys, "--output=pwned"], b"v"))
    before = sorted(os.listdir(repo))
    script = "git kv completion fish | source; complete -C 'git kv get '; complete -C 'git-kv se'"
    done = subprocess.run(
        [fish_tool, "--no-config", "-c", script],
        cwd=repo,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
    )
    offered = done.stdout.splitlines()
    assert sorted(offered[:-1]) == sorted(keys), done.stderr
    assert offered[-1] == "set\tset one key"
    assert sorted(os.listdir(repo)) == before


def test_zsh_completes_a_hostile_key_and_does_not_run_it(
    repo: Path, programs: Path, zsh_tool: str, tmp_path: Path
) -> None:
    gitkv.init(repo)
    keys = [f"{number}{key}" for number, key in enumerate(HOSTILE, 10) if "!" not in key]
    with gitkv.open(repo) as store:
        store.update({key: b"<%d>" % at for at, key in enumerate(keys)})
    before = sorted(os.listdir(repo))
    functions = tmp_path / "functions"
    functions.mkdir()
    script = files("gitkv.cli").joinpath("git-kv-completion.zsh").read_bytes()
    (functions / "_git-kv").write_bytes(script)
    (functions / ".zshrc").write_text(
        f"PS1='<ready>'; unset zle_bracketed_paste; setopt no_prompt_cr no_prompt_sp no_beep\n"
        f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D\n"
    )
    settings = ["env", f"ZDOTDIR={functions}", "TERM=xterm"]
    shell = Bash(repo, programs, [*settings, zsh_tool, "-d", "-i"])
    try:
        for at, key in enumerate(keys):
            shown = shell.run(f"git kv get {_typed(key)}\t")
            assert b"<%d>" % at in shown, (key, shown)
    finally:
        shell.close()
    assert sorted(os.listdir(repo)) == before
