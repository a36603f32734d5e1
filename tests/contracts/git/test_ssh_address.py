"""Addresses that ssh reaches: git's spellings, git's rewriting, and nothing that could be read in
another way.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitkv.git.repository import discover
from gitkv.git.ssh_address import rewritten


@pytest.mark.parametrize(
    "url",
    ["gate:a.git", "gate:long/a.git", "ssh://gate/a.git", "git@host:a.git", "gate", "other:a.git"],
)
def test_an_address_is_rewritten_as_git_rewrites_a_push_url(repo: Path, url: str) -> None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=repo, check=True, capture_output=True, text=True)
        return done.stdout.rstrip("\n")

    for base, beginning in (
        ("ssh://git@Host.example:2222/", "gate:"),
        ("ssh://git@long.example/", "gate:long/"),
        ("ssh://git@first.example/", "ssh://gate/"),
        ("ssh://git@second.example/", "ssh://gate/"),
    ):
        git("config", "--add", f"url.{base}.insteadOf", beginning)
    git("config", "url.ssh://never.example/.pushInsteadOf", "gate:")
    git("config", "remote.origin.url", "/elsewhere")
    git("config", "remote.origin.pushurl", url)

    config_all = discover(str(repo), os.environ).config_all
    assert rewritten(url, config_all) == git("remote", "get-url", "--push", "origin")
