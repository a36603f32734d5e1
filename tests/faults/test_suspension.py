"""kill -9 at every step of a restoration: a suspension is there exactly when the restoration is."""

from __future__ import annotations

import pytest
from faults.conftest import Breakable
from support.forge import Bend, Forge, assert_refused
from support.invariants import check_invariants
from support.reach import pruned

from gitkv.ledger.plan import Put
from gitkv.testing.world import run, wait_until

LIE = Bend(said=lambda said: said._replace(keys_set=7))
BEFORE = ("intent-written", "pack-adopted", "entries-written")
AFTER = ("refs-moved", "intent-cleared")


def _refs(broken: Breakable) -> dict[str, str]:
    return broken.world.refs(broken.world.gate)


def _suspended(broken: Breakable) -> set[str]:
    return {ref for ref in _refs(broken) if ref.startswith("refs/kv-suspended/")}


def _change_policy(broken: Breakable, old: bytes, new: bytes) -> None:
    text = run(
        ["git", "cat-file", "blob", "refs/heads/main:.kv/policy.yaml"],
        broken.world.base_env(),
        broken.world.gate,
    ).out
    with Forge(broken.world, broken.world.person("alice")) as alice:
        assert alice.push(alice.policy_change(text.replace(old, new))).accepted


def _restorations(broken: Breakable) -> int:
    line = ["git", "log", "--format=%s", "refs/kv/main"]
    subjects = run(line, broken.world.base_env(), broken.world.gate).out.decode()
    return sum(subject.startswith("restore ") for subject in subjects.splitlines())


@pytest.mark.parametrize("step", [*BEFORE, *AFTER])
def test_killed_while_it_restores_it_neither_loses_nor_invents_a_suspension(
    broken: Breakable, step: str
) -> None:
    broken.plant()
    _change_policy(broken, b"verify: before-ack ", b"verify: before-publish ")
    broken.world.close()
    assert _suspended(broken) == set()
    before = _restorations(broken)
    broken.plant(f"kill:{step}:2")  # the first time is the push itself
    forged = pruned(broken.forge.transaction({b"bad": Put(b"v")}, LIE))
    broken.forge.push(forged)
    broken.wait_for_death()
    expected = {"refs/kv-suspended/" + b"bob".hex()} if step in AFTER else set()
    assert _suspended(broken) == expected
    assert _restorations(broken) - before == len(expected)
    broken.restart()
    wait_until(
        lambda: _refs(broken)["refs/kv-audited/main"] == _refs(broken)["refs/kv-watchlog/main@e1"],
        20,
    )
    assert len(_suspended(broken)) == 1
    assert_refused(broken.forge.push(broken.forge.transaction()), 3, "writer.suspended")
    assert not [ref for ref in _refs(broken) if ref.startswith("refs/kv-unaudited/")]
    _change_policy(broken, b"version: 1\n", b"version: 1\n# talked about it\n")
    assert _suspended(broken) == set()
    broken.forge.push_good()
    broken.world.wait_for_mirror()
    check_invariants(broken.world)
