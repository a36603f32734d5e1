"""The policy a Stargate runs by, and small edits of it as text, the way an admin makes them."""

from __future__ import annotations

import re

from gitkv.testing.world import World, run


def policy_text(world: World) -> bytes:
    """The policy in force."""
    return run(["git", "show", "refs/heads/main:.kv/policy.yaml"], world.base_env(), world.gate).out


def replaced(text: bytes, old: str, new: str) -> bytes:
    """One replacement; AssertionError when there is nothing to replace, for then a test would test
    nothing.
    """
    assert text.count(old.encode()) >= 1, (old, text)
    return text.replace(old.encode(), new.encode(), 1)


def add_principal(
    text: bytes, name: str, *, key: str = "", openpgp: str = "", writer: str = "{}"
) -> bytes:
    """A principal more, with one key, who may write to main."""
    if openpgp:
        block = "".join(f"          {line}\n" if line else "\n" for line in openpgp.splitlines())
        entry = f"      - openpgp: |\n{block}"
    else:
        entry = f'      - "{key}"\n'
    text = replaced(text, "\nprincipals:\n", f"\nprincipals:\n  {name}:\n    keys:\n{entry}")
    return replaced(text, "    writers:\n", f"    writers:\n      {name}: {writer}\n")


def key_entry_of(text: bytes, name: str) -> str:
    """The one key line of a principal, as it stands in the policy."""
    match = re.search(
        rb"(?m)^  %b:\n(?:    [a-z][^\n]*\n)*    keys:\n      - ([^\n]+)\n" % name.encode(), text
    )
    assert match is not None, text
    return match[1].decode()
