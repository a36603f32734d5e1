"""The in-process signer is indistinguishable from ssh-keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.model.public_key import parse_ssh_key
from gitkv.sign.gateway_key import Ed25519Signer, generate

PAYLOAD = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\naccept config@1\n"


def test_signature_is_byte_for_byte_that_of_ssh_keygen(ssh_key, ssh_keygen_tool: str) -> None:
    argv = [ssh_keygen_tool, "-q", "-Y", "sign", "-n", "git", "-f", str(ssh_key.private)]
    theirs = subprocess.run(argv, input=PAYLOAD, check=True, capture_output=True).stdout
    signer = Ed25519Signer(ssh_key.private.read_bytes())
    assert signer.sign(PAYLOAD) == theirs
    assert signer.public_line == ssh_key.public.encode() + b"\n"


def test_generated_key_signs_what_ssh_keygen_accepts(ssh_keygen_tool: str, tmp_path: Path) -> None:
    private, public_line = generate()
    (tmp_path / "signature").write_bytes(Ed25519Signer(private).sign(PAYLOAD))
    (tmp_path / "allowed").write_bytes(b"gateway " + public_line)
    files = ["-f", str(tmp_path / "allowed"), "-s", str(tmp_path / "signature")]
    argv = [ssh_keygen_tool, "-Y", "verify", "-I", "gateway", "-n", "git", *files]
    assert subprocess.run(argv, input=PAYLOAD, capture_output=True).returncode == 0


def test_generated_keys_differ_and_their_line_is_a_policy_key() -> None:
    lines = {generate()[1] for _ in range(2)}
    assert len({parse_ssh_key(line).fingerprint for line in lines}) == 2


@pytest.mark.parametrize(
    "options",
    [["-t", "ed25519", "-N", "secret"], ["-t", "ecdsa", "-N", ""]],
    ids=["encrypted", "not ed25519"],
)
def test_key_the_gateway_cannot_use_says_how_to_make_one(
    options, ssh_keygen_tool: str, tmp_path: Path
) -> None:
    subprocess.run(
        [ssh_keygen_tool, "-q", *options, "-f", str(tmp_path / "key")],
        check=True,
        capture_output=True,
    )
    with pytest.raises(ToolError) as caught:
        Ed25519Signer((tmp_path / "key").read_bytes())
    assert "ssh-keygen -t ed25519" in caught.value.hint


def test_what_is_no_key_is_a_tool_error() -> None:
    with pytest.raises(ToolError):
        Ed25519Signer(b"hello")
