"""Signers follow git's configuration, with the real programs, and their work is what the verifier
accepts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv.errors import ToolError
from gitkv.model.public_key import parse_openpgp_key, parse_ssh_key
from gitkv.sign.signers import signer_from_config

PAYLOAD = (
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b.invalid> 1700000000 +0000\n\n"
    b"subject\n"
)


@pytest.fixture(scope="session")
def user_gnupg(gpg_tool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a person with one OpenPGP key, `Pat <pat@example.invalid>`."""
    home = tmp_path_factory.mktemp("pat")
    home.chmod(0o700)
    environ = {**os.environ, "GNUPGHOME": str(home)}
    make = [
        gpg_tool,
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-gen-key",
        "Pat <pat@example.invalid>",
        "ed25519",
        "sign",
        "0",
    ]
    subprocess.run(make, env=environ, check=True, capture_output=True)
    yield environ
    subprocess.run(["gpgconf", "--kill", "all"], env=environ, check=True, capture_output=True)


@pytest.fixture
def agent(ssh_key, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a person whose ssh-agent holds `ssh_key`."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not socket.exists() and time.monotonic() < deadline:
            os.sched_yield()
        environ = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(
            ["ssh-add", "-q", str(ssh_key.private)], env=environ, check=True, capture_output=True
        )
        yield environ
    finally:
        process.terminate()
        process.wait()


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_ssh_key_file_signs_what_the_verifier_accepts(ssh_key, verifier, tmp_path: Path) -> None:
    signer = signer_from_config(
        {"gpg.format": "ssh", "user.signingkey": str(ssh_key.private)}, os.environ, str(tmp_path)
    )
    outcome = verifier.verify(
        PAYLOAD, signer.sign(PAYLOAD), [parse_ssh_key(ssh_key.public.encode())], 1
    )
    assert outcome.status == "good"


@pytest.mark.parametrize("spelling", ["~/keys/writer", "keys/writer", "keys/writer.pub"])
def test_ssh_key_path_is_found_from_home_or_from_the_directory(
    spelling: str, ssh_key, tmp_path: Path
) -> None:
    (tmp_path / "keys").symlink_to(ssh_key.private.parent)
    environ = {**os.environ, "HOME": str(tmp_path)}
    signer = signer_from_config(
        {"gpg.format": "ssh", "user.signingkey": spelling}, environ, str(tmp_path)
    )
    assert signer.sign(PAYLOAD).startswith(b"-----BEGIN SSH SIGNATURE-----\n")


def test_literal_ssh_key_the_agent_does_not_hold_is_an_error_that_speaks_of_the_agent(
    agent, other_ssh_key, tmp_path: Path
) -> None:
    config = {"gpg.format": "ssh", "user.signingkey": f"key::{other_ssh_key.public}"}
    with pytest.raises(ToolError, match="agent"):
        signer_from_config(config, agent, str(tmp_path)).sign(PAYLOAD)


@pytest.mark.parametrize("prefix", ["", "key::"])
def test_literal_ssh_key_is_signed_with_by_the_agent(
    prefix: str, agent, ssh_key, verifier, tmp_path: Path
) -> None:
    signer = signer_from_config(
        {"gpg.format": "ssh", "user.signingkey": prefix + ssh_key.public}, agent, str(tmp_path)
    )
    outcome = verifier.verify(
        PAYLOAD, signer.sign(PAYLOAD), [parse_ssh_key(ssh_key.public.encode())], 1
    )
    assert outcome.status == "good"


def test_openpgp_key_signs_what_the_verifier_accepts(
    user_gnupg, gpg_tool: str, verifier, tmp_path: Path
) -> None:
    exported = subprocess.run(
        [gpg_tool, "--export", "--armor"], env=user_gnupg, check=True, capture_output=True
    ).stdout
    signer = signer_from_config(
        {"user.signingkey": "pat@example.invalid"}, user_gnupg, str(tmp_path)
    )
    outcome = verifier.verify(
        PAYLOAD, signer.sign(PAYLOAD), [parse_openpgp_key(exported)], int(time.time())
    )
    assert outcome.status == "good", outcome


def test_persons_gpg_settings_do_not_change_the_spelling(
    user_gnupg, vector, tmp_path: Path
) -> None:
    (Path(user_gnupg["GNUPGHOME"]) / "gpg.conf").write_text("comment hello\nemit-version\n")
    try:
        armour = signer_from_config({"user.signingkey": "pat"}, user_gnupg, str(tmp_path)).sign(
            PAYLOAD
        )
    finally:
        (Path(user_gnupg["GNUPGHOME"]) / "gpg.conf").unlink()
    assert armour.startswith(b"-----BEGIN PGP SIGNATURE-----\n\n")


def test_other_openpgp_programs_spelling_is_made_ours(vector, tmp_path: Path) -> None:
    case = vector("openpgp-ed25519")
    bare = b"\n".join(line for line in case.armour.split(b"\n") if not line.startswith(b"="))
    (tmp_path / "signature").write_bytes(bare)
    program = script(
        tmp_path / "sq",
        f"cat >/dev/null; echo '[GNUPG:] SIG_CREATED D' >&2; cat '{tmp_path}/signature'\n",
    )
    signer = signer_from_config(
        {"gpg.program": program, "user.signingkey": "x"}, os.environ, str(tmp_path)
    )
    assert bare != case.armour and signer.sign(PAYLOAD) == case.armour


def test_commit_signed_by_us_is_good_to_git(ssh_key, repo: Path, git, tmp_path: Path) -> None:
    head = f"tree {git('hash-object', '-w', '-t', 'tree', '--stdin', cwd=repo).decode().strip()}\n"
    person = "T <t@example.invalid> 1700000000 +0000"
    lines = f"author {person}\ncommitter {person}\n"
    config = {"gpg.format": "ssh", "user.signingkey": str(ssh_key.private)}
    armour = signer_from_config(config, os.environ, str(tmp_path)).sign(
        f"{head}{lines}\nsubject\n".encode()
    )
    header = "gpgsig " + armour.decode().rstrip("\n").replace("\n", "\n ") + "\n"
    commit = git(
        "hash-object",
        "-w",
        "-t",
        "commit",
        "--stdin",
        cwd=repo,
        input=f"{head}{lines}{header}\nsubject\n".encode(),
    )
    (tmp_path / "allowed").write_text(f"t@example.invalid {ssh_key.public}\n")
    git(
        "-c",
        f"gpg.ssh.allowedSignersFile={tmp_path / 'allowed'}",
        "verify-commit",
        commit.decode().strip(),
        cwd=repo,
    )


@pytest.mark.parametrize("config", [{}, {"gpg.format": "ssh"}, {"user.signingkey": ""}])
def test_without_a_signing_key_there_is_no_signer(config: dict[str, str], tmp_path: Path) -> None:
    assert signer_from_config(config, os.environ, str(tmp_path)) is None


def test_x509_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="x509"):
        signer_from_config(
            {"gpg.format": "x509", "user.signingkey": "x"}, os.environ, str(tmp_path)
        )


@pytest.mark.parametrize(
    "config",
    [
        {"gpg.format": "SSH", "user.signingkey": "x"},
        {"gpg.format": "ssh", "gpg.ssh.defaultkeycommand": "ssh-add -L"},
        {"gpg.format": "ssh", "user.signingkey": "~nobody-of-that-name/x"},
    ],
)
def test_settings_that_cannot_be_followed_say_what_to_do(
    config: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ToolError) as caught:
        signer_from_config(config, os.environ, str(tmp_path))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["gpg.program", "gpg.openpgp.program", "gpg.ssh.program"])
def test_missing_program_is_named(name: str, tmp_path: Path) -> None:
    style = "ssh" if "ssh" in name else "openpgp"
    config = {"gpg.format": style, "user.signingkey": "x", name: "/nonexistent/signer"}
    signer = signer_from_config(config, os.environ, str(tmp_path))
    with pytest.raises(ToolError, match="/nonexistent/signer is not installed") as caught:
        signer.sign(PAYLOAD)
    assert "apt-get install" in caught.value.hint


@pytest.mark.parametrize("style", ["ssh", "openpgp"])
def test_failing_signer_says_what_its_program_said(style: str, user_gnupg, tmp_path: Path) -> None:
    config = {"gpg.format": style, "user.signingkey": str(tmp_path / "nothing-here")}
    with pytest.raises(ToolError, match="did not sign") as caught:
        signer_from_config(config, user_gnupg, str(tmp_path)).sign(PAYLOAD)
    assert "[GNUPG:]" not in str(caught.value) and "nothing-here" in str(caught.value)
    assert "user.signingkey" in caught.value.hint


def test_programs_words_cannot_drive_the_terminal(tmp_path: Path) -> None:
    program = script(tmp_path / "keygen", "printf 'no\\033[2J key\\n' >&2; exit 1\n")
    config = {"gpg.format": "ssh", "user.signingkey": "x", "gpg.ssh.program": program}
    with pytest.raises(ToolError) as caught:
        signer_from_config(config, os.environ, str(tmp_path)).sign(PAYLOAD)
    assert "\x1b" not in str(caught.value) and "key" in str(caught.value)


@pytest.mark.parametrize("style", ["ssh", "openpgp"])
def test_program_that_prints_no_signature_is_not_believed(style: str, tmp_path: Path) -> None:
    program = script(
        tmp_path / "liar", "cat >/dev/null; echo '[GNUPG:] SIG_CREATED D' >&2; echo hello\n"
    )
    config = {
        "gpg.format": style,
        "user.signingkey": "x",
        "gpg.ssh.program": program,
        "gpg.program": program,
    }
    with pytest.raises(ToolError, match="cannot be accepted"):
        signer_from_config(config, os.environ, str(tmp_path)).sign(PAYLOAD)


def test_gpg_wrapper_that_ends_well_without_signing_is_not_believed(tmp_path: Path) -> None:
    program = script(tmp_path / "wrapper", "cat >/dev/null\n")
    with pytest.raises(ToolError, match="did not sign"):
        signer_from_config(
            {"user.signingkey": "x", "gpg.program": program}, os.environ, str(tmp_path)
        ).sign(PAYLOAD)


def test_importing_signers_costs_no_cryptography() -> None:
    heavy = "{'cryptography', 'json', 'logging', 'asyncio'}"
    code = (
        "import sys, gitkv.sign.signers, gitkv.sign.sshsig, gitkv.sign.verifier; "
        f"sys.exit(bool({heavy} & set(sys.modules)))"
    )
    argv = [sys.executable, "-S", "-c", code]
    assert (
        subprocess.run(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}).returncode
        == 0
    )
