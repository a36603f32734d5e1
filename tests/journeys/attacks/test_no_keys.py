"""Attacks by keys that are none: with the identity point of Ed25519 in a policy, everybody could
sign as its principal; as an admin's only key, one that nobody can use locks all admins out.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.forge import Forge, assert_refused
from support.no_keys import NO_KEYS
from support.policies import add_principal, policy_text, replaced

from gitkv.testing.world import World, run

harmless = pytest.mark.usefixtures("unharmed")
_RULES = ("policy.syntax", "policy.unsound-key")


@harmless
@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_key_stands_for_nobody(world: World, admin_forge: Forge, name: str) -> None:
    line = NO_KEYS[name].decode().strip()
    text = add_principal(policy_text(world), "mallory", key=line)

    assert_refused(admin_forge.push(admin_forge.policy_change(text)), 3, *_RULES)


@harmless
@pytest.mark.parametrize("name", ["identity", "prime modulus"])
def test_what_is_no_key_signs_no_receipts(world: World, admin_forge: Forge, name: str) -> None:
    line = NO_KEYS[name].decode().strip()
    text = replaced(policy_text(world), "\nprincipals:\n", f"\n    - {line}\nprincipals:\n")

    assert_refused(admin_forge.push(admin_forge.policy_change(text)), 3, *_RULES)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--admin", "identity"),
        ("--admin", "off the curve"),
        ("--admin", "prime modulus"),
        ("--writer", "identity in a security key"),
        ("--writer", "prime modulus"),
    ],
)
def test_a_stargate_is_not_founded_on_what_is_no_key(
    world: World, tmp_path: Path, option: str, name: str
) -> None:
    (tmp_path / "bad.pub").write_bytes(NO_KEYS[name])
    people = {"--admin": world.person("alice").public_key, option: tmp_path / "bad.pub"}
    run(["git", "init", "--quiet", "--bare", "mirror"], world.base_env(), tmp_path)
    words = [word for place, path in people.items() for word in (place, f"x{place[2:]}={path}")]
    init = ["stargate", "init", "gate", "--mirror", "mirror", *words]
    done = run([*world.program, *init], world.base_env(), tmp_path, check=False)

    assert done.code == 3, done
    assert "key" in done.err
    assert not (tmp_path / "gate").exists()
