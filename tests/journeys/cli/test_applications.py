"""env and render from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import Command

import gitkv


@pytest.fixture
def kv(repo: Path) -> Command:
    gitkv.init(repo)
    with gitkv.open(repo) as store:
        store.update({"app:db:host": b"h1", "app:x y": b"l1\nl2", "app:home-page": b"\xff"})
    return Command(repo)


def _env(kv: Command, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """In a process of its own, which becomes another program."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, "-m", "gitkv", "env", *words],
        cwd=kv.folder,
        env={**os.environ, "PYTHONPATH": path, **more},
        capture_output=True,
    )


def test_a_program_gets_the_keys_of_a_prefix_and_its_exit_code_counts(kv: Command) -> None:
    show = 'printf "%s|%s|%s" "$DB_HOST" "$X_Y" "$HOME_PAGE"; exit 7'
    done = _env(kv, "--prefix", "app:", "--", "sh", "-c", show)
    assert (done.returncode, done.stdout) == (7, b"h1|l1\nl2|\xff")


def test_the_environment_comes_first_unless_told(kv: Command) -> None:
    words = ("--prefix", "app:", "--", "sh", "-c", "echo $DB_HOST")
    assert _env(kv, *words, DB_HOST="mine").stdout == b"mine\n"
    assert _env(kv, "--override", *words, DB_HOST="mine").stdout == b"h1\n"
    kept = _env(kv, "--keep-prefix", "--prefix", "app:", "--", "sh", "-c", "echo $APP_DB_HOST")
    assert kept.stdout == b"h1\n"


def test_a_program_that_is_not_there_is_127_and_a_name_that_nobody_may_set_3(kv: Command) -> None:
    assert _env(kv, "--", "nosuchprogram").returncode == 127
    kv("set", "bad:ld_preload", "x.so")
    done = _env(kv, "--prefix", "bad:", "--", "true")
    assert done.returncode == 3 and b"LD_PRELOAD" in done.stderr


def test_a_template_is_filled_from_one_state(kv: Command, tmp_path: Path) -> None:
    template = tmp_path / "t"
    template.write_text("host={{ app:db:host }} {{ app:none ? - }}\n")
    assert kv("render", str(template)).text == "host=h1 -\n"
    kv("set", "app:db:host", "h2")
    assert kv("render", str(template), "--at", "@1").text == "host=h1 -\n"
    assert kv("render", "-", stdin=b"{{app:db:host}}").out == b"h2"
    told = kv("render", str(template), "-o", str(tmp_path / "out"), "--json").lines()[0]
    assert told["size"] == 10 and (tmp_path / "out").read_text() == "host=h2 -\n"


def test_a_missing_key_leaves_the_file_alone(kv: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")
    words = ("render", "-", "-o", str(tmp_path / "out"))
    assert "nope" in kv(*words, stdin=b"{{ nope }}", code=1).err
    kv(*words, stdin=b"{{ nope", code=129)
    assert (tmp_path / "out").read_text() == "before"


def test_a_rendered_value_cannot_steer_the_terminal(kv: Command) -> None:
    kv("set", "esc", "-", stdin=b"\x1b[2J")
    assert kv("render", "-", stdin=b"{{esc}}", terminal=True).out == b"\\x1b[2J\n"
