"""Places and shells for the stories of the documentation pages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.page import ROOT, Shell
from support.world import Person, World


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH in which `git-kv` is this checkout's."""
    folder = tmp_path / "tools"
    folder.mkdir()
    script = folder / "git-kv"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT / "src"} exec {sys.executable} -m gitkv "$@"\n')
    script.chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
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
