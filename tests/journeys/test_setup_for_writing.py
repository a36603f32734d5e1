"""`git kv remote setup` tells now what would fail later: the key that signs is pinned with its
format, found as GnuPG finds it, and let in by Stargate.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkv.testing.world import Person, World


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path).create().start()
    try:
        yield made
    finally:
        made.close()


def _global(person: Person, name: str, value: str) -> None:
    person.git("config", "--global", name, value)


def test_a_later_change_of_the_persons_own_settings_does_not_take_the_key_away(
    scene: World,
) -> None:
    alice = scene.person("alice").clone()
    _global(alice, "gpg.format", "openpgp")
    _global(alice, "user.signingkey", "someone@example.com")
    alice.kv("set", "k", "v")
    local = alice.git("config", "--local", "--list").out.decode()
    assert "gpg.format=ssh\n" in local
    assert f"user.signingkey={alice.key}\n" in local
    assert "git config" not in alice.kv("remote", "setup").out.decode()


def test_a_key_that_ssh_does_not_offer_is_told_at_setup_with_what_to_add(scene: World) -> None:
    alice = scene.person("alice")
    _global(alice, "core.sshCommand", alice.ssh.replace(f"-i {alice.key}", "-i none"))
    alice.git("clone", "--quiet", str(scene.mirror), str(alice.clone_dir), cwd=alice.home)
    told = alice.kv("remote", "setup").out.decode()
    assert "Stargate does not let you in" in told
    assert "ssh offered no key" in told
    assert f"IdentityFile {alice.key}" in told
    _global(alice, "core.sshCommand", alice.ssh)
    assert "let you in" not in alice.kv("remote", "setup").out.decode()
    alice.kv("set", "k", "v")


def test_a_stargate_that_is_away_does_not_stop_the_setup(scene: World) -> None:
    scene.stop()
    alice = scene.person("alice").clone()
    told = alice.kv("remote", "setup").out.decode()
    assert "could not be asked" in told and "Connection refused" in told
    scene.start()
    alice.kv("set", "k", "v")


def test_an_openpgp_key_named_by_an_address_is_found_where_gnupg_finds_it(
    scene: World, gpg_tool: str
) -> None:
    bob = scene.person("bob")
    gnupg = bob.home / "g"
    gnupg.mkdir(mode=0o700)
    bob.env["GNUPGHOME"] = str(gnupg)
    make = [gpg_tool, "--batch", "--quiet", "--passphrase", "", "--quick-gen-key"]
    try:
        subprocess.run(
            [*make, "Bob <bob@else.where>", "ed25519", "sign", "0"],
            env=bob.env,
            check=True,
            capture_output=True,
        )
        block = subprocess.run(
            [gpg_tool, "--export", "--armor"], env=bob.env, check=True, capture_output=True
        ).stdout.decode()
        _add_openpgp_key(scene, bob, block)
        bob.git("clone", "--quiet", str(scene.mirror), str(bob.clone_dir), cwd=bob.home)
        _global(bob, "gpg.format", "openpgp")
        _global(bob, "user.signingkey", "bob@else.where")
        told = bob.kv("remote", "setup").out.decode()
        assert "gpg.format openpgp" in told and "gpg.format ssh" not in told
        bob.kv("set", "k", "v")
        shown = bob.git("cat-file", "commit", "refs/kv/main").out
        assert b"-----BEGIN PGP SIGNATURE-----" in shown
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=bob.env, check=False, capture_output=True)
        shutil.rmtree(gnupg, ignore_errors=True)


def _add_openpgp_key(scene: World, bob: Person, block: str) -> None:
    alice = scene.person("alice").clone()
    file = alice.clone_dir / ".kv" / "policy.yaml"
    text = file.read_text()
    line = " ".join(bob.public_key.read_text().split(" ")[:2])
    row = next(row for row in text.split("\n") if line in row)
    indent = row[: row.index("-")]
    body = "".join(f"{indent}    {part}\n" if part else "\n" for part in block.split("\n")[:-1])
    file.write_text(text.replace(row, f"{row}\n{indent}- openpgp: |\n{body}".rstrip("\n")))
    alice.git("commit", "--quiet", "-S", "-am", "policy")
    alice.git("push", "--quiet", "origin", "HEAD:main")
    scene.wait_for_mirror()
