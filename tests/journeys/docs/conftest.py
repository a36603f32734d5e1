"""Places and shells for the stories of the documentation pages."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.page import ROOT, Shell

from gitkv.testing.world import Person, World


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH in which `git-kv` and `python` are those of this checkout."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, words in {"git-kv": "-m gitkv ", "python": ""}.items():
        script = folder / name
        source = shlex.quote(str(ROOT / "src"))
        script.write_text(
            f'#!/bin/sh\nPYTHONPATH={source} exec {shlex.quote(sys.executable)} {words}"$@"\n'
        )
        script.chmod(0o755)
    return folder


@pytest.fixture
def alone(tmp_path: Path, tools: Path) -> Shell:
    """Somebody whom git knows by name, in an empty directory, and a bare repository to push to."""
    home = tmp_path / "home"
    home.mkdir()
    hub = tmp_path / "forge.git"
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", str(hub)], check=True)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ann\n\temail = ann@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    env = World(tmp_path).base_env() | {"HOME": str(home), "PATH": f"{tools}:{os.environ['PATH']}"}
    work = tmp_path / "work"
    work.mkdir()
    return Shell(env, work)


def shell_of(person: Person, tools: Path) -> Shell:
    """The shell of somebody in a world, at home."""
    return Shell(person.env | {"PATH": f"{tools}:{os.environ['PATH']}"}, person.home)
