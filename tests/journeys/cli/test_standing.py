"""Where one stands in a standalone store."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import GitRunner, SshKey
from support.command import Command

import gitkv


@pytest.fixture
def kv(repo: Path) -> Command:
    gitkv.init(repo)
    return Command(repo)


def test_a_standalone_store_reads_and_writes_itself(kv: Command) -> None:
    kv("set", "a", "1")
    told = kv("whoami", "--json").lines()[0]
    assert (told["reads"], told["writes"], told["may_write"]) == (*["this repository"] * 2, True)
    status = kv("status", "--json").lines()[0]
    assert (status["seq"], status["standalone"], status["receipt_seq"]) == (1, True, None)
    assert kv("status").text.startswith(f"main@1  {status['commit']}  ")
    assert {entry["state"] for entry in kv("doctor", "--json").lines()} == {"ok"}
    assert "policy" in kv("policy", "show", code=3).err


def test_the_key_of_a_standalone_store_is_told(
    kv: Command, git: GitRunner, ssh_key: SshKey
) -> None:
    git("config", "gpg.format", "ssh", cwd=kv.folder)
    git("config", "user.signingkey", str(ssh_key.private), cwd=kv.folder)
    assert "signs with ssh SHA256:" in kv("whoami").text
    found = {entry["check"]: entry["text"] for entry in kv("doctor", "--json").lines()}
    assert "test signature was made" in found["signing"]


def test_status_and_doctor_outside_a_store_say_what_to_do(repo: Path) -> None:
    kv = Command(repo)
    assert "git kv init" in kv("status", code=5).err
    found = {entry["check"]: entry for entry in kv("doctor", "--json", code=5).lines()}
    assert (found["store"]["state"], found["store"]["fix"]) == (
        "problem",
        "create one with: git kv init",
    )
