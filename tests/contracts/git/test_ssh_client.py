"""The ssh client and how it is called: as git calls it, which is asked in the same test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.git.process import start
from gitkv.git.ssh_address import parse_ssh_url
from gitkv.git.ssh_client import remote_command, ssh_client, ssh_environment

URL = "ssh://git@host:22/a.git"


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """A folder with clients of many names, which note their arguments; the simple one does not know
    -G.
    """
    folder = tmp_path / "clients with a space"
    folder.mkdir()
    for name in ("ssh", "plink", "tortoiseplink.exe", "other", "simple-minded"):
        script = folder / name
        knows = 1 if "simple" in name else 0
        script.write_text(
            f'#!/bin/sh\nfor word; do case "$word" in -G) exit {knows};; esac; done\n'
            'for word; do printf "%s\\n" "$word"; done > "$RECORD"\nexit 1\n'
        )
        script.chmod(0o755)
    return folder


def _gits(env: dict[str, str], settings: dict[str, str], record: Path, url: str) -> str:
    record.unlink(missing_ok=True)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = ["git", *options, "push", url, "HEAD:refs/heads/x"]
    subprocess.run(command, env=env, capture_output=True, check=False)
    return record.read_text() if record.exists() else ""


def _ours(env: dict[str, str], settings: dict[str, str], record: Path, url: str) -> str:
    record.unlink(missing_ok=True)
    target = parse_ssh_url(url)
    config = {name.lower(): value for name, value in settings.items()}
    try:
        client = ssh_client(target, env, config)
        command = client.call(target, remote_command("git-receive-pack", target.path))
    except ToolError:
        return ""
    start(command, ssh_environment(env)).communicate()
    return record.read_text() if record.exists() else ""


@pytest.mark.parametrize("url", [URL, "git@host:a/b.git", "ssh://[::1]/a.git", "[host:2222]:a.git"])
@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({"GIT_SSH_COMMAND": "'{}/ssh' -i \"$HOME/.ssh/k\" -o 'A B'"}, {}),
        ({"GIT_SSH_COMMAND": "X=1; '{}/ssh' -4"}, {}),
        ({"GIT_SSH_COMMAND": "'{}/ssh' `echo -v` ~/x # the rest goes"}, {}),
        ({"GIT_SSH": "{}/ssh"}, {}),
        ({"GIT_SSH": "{}/plink"}, {}),
        ({"GIT_SSH": "{}/tortoiseplink.exe"}, {}),
        ({"GIT_SSH": "{}/other"}, {}),
        ({"GIT_SSH": "{}/simple-minded"}, {}),
        ({"GIT_SSH": "{}/simple-minded", "GIT_SSH_VARIANT": "ssh"}, {}),
        ({"GIT_SSH": "{}/ssh", "GIT_SSH_VARIANT": "simple"}, {}),
        ({"GIT_SSH": "{}/other"}, {"ssh.variant": "putty"}),
        ({"GIT_SSH": "{}/other"}, {"ssh.variant": "auto"}),
        ({"GIT_SSH": "{}/simple-minded"}, {"ssh.variant": "unheard-of"}),
        ({"GIT_SSH": "/nonexistent"}, {"core.sshCommand": "'{}/ssh' -l me"}),
        ({"GIT_SSH_COMMAND": "'{}/ssh' -1"}, {"core.sshCommand": "'{}/ssh' -2"}),
        ({"GIT_SSH_COMMAND": "'{}/simple-minded'"}, {}),
        ({"GIT_SSH_COMMAND": "'{}/other' -x"}, {}),
        ({}, {}),
    ],
)
def test_the_client_gets_what_git_gives_it(
    recorder: Path,
    tmp_path: Path,
    url: str,
    variables: dict[str, str],
    settings: dict[str, str],
) -> None:
    record = tmp_path / "record"
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_SSH")}
    env |= {"RECORD": str(record), "PATH": f"{recorder}:{env['PATH']}", "HOME": "/etc/a b"}
    env |= {name: value.format(recorder) for name, value in variables.items()}
    settings = {name: value.format(recorder) for name, value in settings.items()}
    repository = tmp_path / "r"
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    commit = ["git", "-C", str(repository), "commit", "--quiet", "--allow-empty", "-m", "x"]
    subprocess.run(commit, check=True)
    env["GIT_DIR"] = str(repository / ".git")
    wanted = _gits(env, settings, record, url)
    assert _ours(env, settings, record, url) == wanted
    assert wanted or "simple" in str(variables)


def test_settings_for_one_command_are_not_for_ssh() -> None:
    env = {"GIT_CONFIG_COUNT": "0", "GIT_CONFIG_PARAMETERS": "'a.b'='c'", "GIT_DIR": "x", "A": "1"}
    got = ssh_environment(env)
    assert not env.keys() - {"A"} & got.keys()
    assert got["A"] == "1"
