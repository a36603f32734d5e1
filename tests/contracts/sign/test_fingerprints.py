"""The fingerprint of a key is the one that ssh-keygen and gpg show."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitkv.model.public_key import openpgp_keys, parse_openpgp_key, parse_ssh_key

VECTORS = Path(__file__).parents[2] / "vectors" / "signatures"
SSH_LINES = {path.stem: path.read_bytes() for path in sorted(VECTORS.glob("*.pub"))}
OPENPGP_BLOCKS = {path.stem: path.read_bytes() for path in sorted(VECTORS.glob("*.asc"))}


@pytest.mark.parametrize("name", SSH_LINES)
def test_fingerprint_of_an_ssh_key_is_what_ssh_keygen_shows(
    name: str, ssh_keygen_tool: str
) -> None:
    shown = subprocess.run(
        [ssh_keygen_tool, "-l", "-f", str(VECTORS / f"{name}.pub")], check=True, capture_output=True
    ).stdout
    assert parse_ssh_key(SSH_LINES[name]).fingerprint.encode() == shown.split(b" ")[1]


@pytest.mark.parametrize("name", OPENPGP_BLOCKS)
def test_fingerprint_of_an_openpgp_key_is_what_gpg_shows(
    name: str, gpg_tool: str, tmp_path: Path
) -> None:
    argv = [
        gpg_tool,
        "--homedir",
        str(tmp_path),
        "--batch",
        "--no-autostart",
        "--with-colons",
        "--show-keys",
        str(VECTORS / f"{name}.asc"),
    ]
    shown = subprocess.run(argv, check=True, capture_output=True).stdout
    fingerprints = [
        line.split(b":")[9].decode() for line in shown.split(b"\n") if line.startswith(b"fpr:")
    ]
    assert [key.fingerprint for key in openpgp_keys(OPENPGP_BLOCKS[name])] == fingerprints
    assert parse_openpgp_key(OPENPGP_BLOCKS[name]).fingerprint == fingerprints[0]
