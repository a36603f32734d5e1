"""A developer whose git signs with OpenPGP: the SSH key opens the door, the OpenPGP key signs the
transactions.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import require_tool
from support.policies import replaced

from gitkv.testing.world import Person, World, run


@pytest.fixture
def team(tmp_path: Path) -> Iterator[World]:
    require_tool("gpg")
    world = World(tmp_path).create(writers=("carol",)).start()
    yield world
    world.close()


def _use_openpgp(person: Person) -> str:
    """A fresh key that git is configured with; its armoured public half."""
    home = person.home / ".gnupg"
    home.mkdir(mode=0o700)
    person.env["GNUPGHOME"] = str(home)
    gpg = ["gpg", "--batch", "--quiet"]
    run(
        [
            *gpg,
            "--passphrase",
            "",
            "--quick-gen-key",
            f"{person.name} <{person.name}@example.com>",
            "ed25519",
            "sign",
            "never",
        ],
        person.env,
        home,
    )
    listed = run([*gpg, "--with-colons", "--list-keys"], person.env, home).out.decode()
    fingerprint = next(
        line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")
    )
    person.git("config", "--global", "gpg.format", "openpgp")
    person.git("config", "--global", "user.signingkey", fingerprint)
    return run([*gpg, "--armor", "--export", fingerprint], person.env, home).out.decode()


def test_openpgp_signatures_are_made_checked_named_and_verified_again(team: World) -> None:
    alice, carol = team.person("alice").clone(), team.person("carol")
    armour = _use_openpgp(carol)
    try:
        policy = alice.clone_dir / ".kv" / "policy.yaml"
        ssh_line = "      - " + " ".join(carol.public_key.read_text().split()[:2]) + "\n"
        block = "      - openpgp: |\n" + "".join(
            f"          {line}\n" for line in armour.strip().splitlines()
        )
        policy.write_bytes(replaced(policy.read_bytes(), ssh_line, ssh_line + block))
        alice.git("commit", "--quiet", "-S", "-am", "carol: her OpenPGP key")
        alice.git("push", "--quiet", "origin", "HEAD:main")
        team.wait_for_mirror()

        carol.clone()
        oid = carol.kv("set", "cfg:pgp", "signed", "-m", "with OpenPGP").out.decode().strip()
        assert b"BEGIN PGP SIGNATURE" in carol.git("cat-file", "commit", oid).out
        assert alice.kv("get", "cfg:pgp", "--read-from=stargate").out == b"signed"
        [told] = [
            json.loads(line) for line in alice.kv("history", "cfg:pgp", "--json").out.splitlines()
        ]
        assert told["principal"] == "carol"
        alice.kv("wait", "--oid", oid)
        assert "carol" in alice.kv("verify").out.decode()
        carol.git("verify-commit", oid)
    finally:
        subprocess.run(
            ["gpgconf", "--kill", "all"], env=carol.env, check=False
        )  # an agent would outlive the test


def test_a_standalone_store_signs_as_git_is_configured(tmp_path: Path) -> None:
    require_tool("gpg")
    person = World(tmp_path).person("dora")
    _use_openpgp(person)
    try:
        person.git("init", "--quiet", str(person.clone_dir))
        told = person.kv("init")
        assert "sign" not in told.err.lower() or "openpgp" in (told.out.decode() + told.err).lower()
        oid = person.kv("set", "a", "1").out.decode().strip()
        person.git("verify-commit", oid)
        assert person.kv("get", "a").out == b"1"
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=person.env, check=False)
