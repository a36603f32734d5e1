"""Packs of some kilobytes that ask for hours or gigabytes: chains of deltas, many middling objects,
deltas that make much of little. Each is refused by what it would cost, before it costs it.
"""

from __future__ import annotations

import pytest
from support.bomb_packs import chain, copies, many_zeros
from support.forge import (
    PLAIN_CAPABILITIES,
    Forge,
    assert_refused,
    commands,
    pack_of_entries,
)

from gitkv.testing.world import World

pytestmark = pytest.mark.usefixtures("unharmed")

CPU_S_MAX = 5  # of the daemon and its children; a bomb let in costs a minute or more


def children_cpu_s(world: World) -> float:
    """Processor time that the daemon and all its ended children have used."""
    assert world.daemon is not None
    with open(f"/proc/{world.daemon.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / 100


BOMBS = {
    "a chain by place": lambda: chain(10_000, named=False),
    "a chain by id": lambda: chain(10_000, named=True),
    "a chain of 251": lambda: chain(251, named=True),
    "500 times 16 MiB": lambda: many_zeros(500),
    "deltas that make 64 MiB each": lambda: copies(200),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_what_it_would_cost(world: World, forge: Forge, name: str) -> None:
    pack, before = pack_of_entries(BOMBS[name]()), children_cpu_s(world)
    updates = forge.transaction().updates

    answered = forge.send(commands(updates, PLAIN_CAPABILITIES) + pack)

    # 5 for an object that can be no value and no tree, as for a broken pack
    assert_refused(answered, 5 if "MiB" in name else 3, "pack.refused")
    assert children_cpu_s(world) - before < CPU_S_MAX


@pytest.mark.parametrize("named", [False, True], ids=["by place", "by id"])
def test_a_chain_that_git_could_have_made_is_judged_by_what_is_in_it(
    forge: Forge, named: bool
) -> None:
    updates = forge.transaction().updates

    pack = pack_of_entries(chain(250, named=named))

    answered = forge.send(commands(updates, PLAIN_CAPABILITIES) + pack)

    assert not answered.accepted and "pack.refused" not in answered.rules
