"""A key with a passphrase: asked for once, however often a command signs, and forgotten after."""

from __future__ import annotations

import gc
import os
import subprocess
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.model.public_key import parse_ssh_key
from gitkv.sign.locked import is_locked
from gitkv.sign.signers import signer_from_config
from gitkv.sign.unlocked import UnlockedKey

PAYLOADS = (b"one\n", b"two\n", b"three\n")


@pytest.fixture
def locked(tmp_path: Path, ssh_keygen_tool: str) -> Path:
    """A key whose passphrase is `open sesame`."""
    key = tmp_path / "my keys" / "id"
    key.parent.mkdir()
    words = [ssh_keygen_tool, "-q", "-t", "ed25519", "-N", "open sesame", "-C", "", "-f", key]
    subprocess.run(words, check=True)
    return key


class Asked:
    """A program that answers for a person, and counts how often it was asked."""

    def __init__(self, folder: Path, answer: str) -> None:
        folder.mkdir()
        self._log = folder / "asked"
        script = folder / "ask me"
        script.write_text(f'#!/bin/sh\necho "$1" >> "{self._log}"\necho "{answer}"\n')
        script.chmod(0o755)
        self.env = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        self.env |= {
            "SSH_ASKPASS": str(script),
            "SSH_ASKPASS_REQUIRE": "force",
            "TMPDIR": str(folder),
        }
        self.folder = folder

    @property
    def times(self) -> int:
        return self._log.read_text().count("\n") if self._log.exists() else 0

    def left(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if "git-kv" in path.name]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked(tmp_path / "t", "open sesame")
    monkeypatch.setattr("tempfile.tempdir", str(made.folder))
    return made


def test_one_command_asks_once_however_often_it_signs(
    locked: Path, asked: Asked, verifier, tmp_path: Path
) -> None:
    config = {"gpg.format": "ssh", "user.signingkey": str(locked)}
    signer = signer_from_config(config, asked.env, str(tmp_path))
    assert signer is not None
    public = parse_ssh_key(locked.with_suffix(".pub").read_bytes().strip())
    for payload in PAYLOADS:
        assert verifier.verify(payload, signer.sign(payload), [public], 1).status == "good"
    assert asked.times == 1
    del signer
    gc.collect()
    assert asked.left() == []


def test_a_wrong_answer_is_an_error_and_not_asked_for_for_ever(
    locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(tmp_path / "t", "guess")
    monkeypatch.setattr("tempfile.tempdir", str(asked.folder))
    config = {"gpg.format": "ssh", "user.signingkey": str(locked)}
    signer = signer_from_config(config, asked.env, str(tmp_path))
    assert signer is not None
    with pytest.raises(ToolError, match="stays locked") as caught:
        signer.sign(b"x")
    assert "ssh-add" in caught.value.hint
    assert asked.times == 1
    assert asked.left() == []


def test_a_key_that_an_agent_holds_or_that_has_no_passphrase_is_not_asked_for(
    locked: Path, asked: Asked, ssh_key
) -> None:
    assert not is_locked(str(ssh_key.private), asked.env)
    assert not is_locked(str(locked.with_suffix(".pub")), asked.env)
    assert not is_locked("/nonexistent", asked.env)
    assert is_locked(str(locked), asked.env)
    from gitkv.sign.process import Start

    held = UnlockedKey(str(locked), Start(asked.env, ""))
    assert not is_locked(str(locked), asked.env | {"SSH_AUTH_SOCK": held.socket})
    assert os.stat(os.path.dirname(held.socket)).st_mode & 0o077 == 0
