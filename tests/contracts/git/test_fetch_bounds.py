"""A fetch from a hostile mirror costs no more than what arrives explains, and leaves nothing."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bomb_packs import BLOB, MIB, chain, copies, many_zeros, one_of_zeros
from support.forge import entry, pack_of_entries
from support.hostile_mirror import TIP, HostileMirror

from gitkv.errors import IntegrityError, UnavailableError
from gitkv.git.fetch_bounds import STORE
from gitkv.git.partial import fetch_objects
from gitkv.git.process import Git
from gitkv.git.received_pack import store_received
from gitkv.git.ref_store import GitRefStore
from gitkv.git.transport import fetch
from gitkv.model.refs import Ref

REFSPEC = "+refs/kv/*:refs/remotes/evil/kv/*"
TRACKED = Ref(b"refs/remotes/evil/kv/main")
CPU_S_MAX = 5  # a bomb that is let in costs a minute or more

Bomb = Callable[[], list[bytes]]
BOMBS: dict[str, Bomb] = {
    "a chain by place": lambda: chain(10_000, named=False),
    "a chain by id": lambda: chain(10_000, named=True),
    "a chain of 251": lambda: chain(251, named=True),
    "one of 101 MiB": lambda: one_of_zeros(101 * MIB),
    "deltas that make 64 MiB each": lambda: copies(200),
}
GOOD: dict[str, Bomb] = {
    "few objects": list,
    "many objects": lambda: [entry(BLOB, b"%d" % n) for n in range(2000)],
    "chains as git makes them": lambda: chain(250, named=False),
    "chains by id": lambda: chain(250, named=True),
}


@pytest.fixture
def clone(bare_repo: Path) -> Git:
    return Git(str(bare_repo), env=os.environ)


@pytest.fixture
def mirror(clone: Git, tmp_path: Path) -> HostileMirror:
    return HostileMirror(clone, tmp_path / "evil")


def files(clone: Git) -> set[str]:
    return {
        os.path.join(folder, name)
        for folder, folders, names in os.walk(clone.git_dir)
        for name in [*folders, *names]
    }


def children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_what_it_would_cost_and_leaves_nothing(
    clone: Git, mirror: HostileMirror, name: str
) -> None:
    mirror.sends(BOMBS[name]())
    before, cpu_s = files(clone), children_cpu_s()

    with pytest.raises(IntegrityError, match=r"^evil sent a pack"):
        fetch(clone, "evil", [REFSPEC])

    assert files(clone) == before
    assert children_cpu_s() - cpu_s < CPU_S_MAX


def test_a_bomb_is_refused_where_objects_are_asked_for_by_their_ids(
    clone: Git, mirror: HostileMirror
) -> None:
    mirror.sends(chain(10_000, named=True))
    before = files(clone)

    with pytest.raises(IntegrityError, match=r"^evil sent a pack"):
        fetch_objects(clone, "evil", [TIP])

    assert files(clone) == before


def test_values_that_are_too_much_together_are_refused(clone: Git, mirror: HostileMirror) -> None:
    limits = STORE._replace(inflated_bytes_max=64 * MIB)
    mirror.sends(many_zeros(20))

    with pytest.raises(IntegrityError, match="inflate to more than"):
        fetch(clone, "evil", [REFSPEC], limits=limits)

    assert GitRefStore(clone).read_all() == {}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_that_comes_with_a_turn_is_refused_and_leaves_nothing(clone: Git, name: str) -> None:
    pack = pack_of_entries(BOMBS[name]())
    before, cpu_s = files(clone), children_cpu_s()

    with pytest.raises(IntegrityError, match=r"^Stargate sent a pack"):
        store_received(clone, pack, [], "Stargate")

    assert files(clone) == before
    assert children_cpu_s() - cpu_s < CPU_S_MAX


@pytest.mark.parametrize("name", GOOD)
def test_an_honest_pack_arrives_whole(clone: Git, mirror: HostileMirror, name: str) -> None:
    entries = GOOD[name]()
    mirror.sends(entries)

    fetch(clone, "evil", [REFSPEC])

    assert GitRefStore(clone).read_all() == {TRACKED: TIP}
    listed = clone.run("cat-file", "--batch-all-objects", "--batch-check").stdout
    assert listed.count(b"\n") == len(entries) + 2
    clone.run("fsck", "--full", "--strict")
    left = [path for path in files(clone) if "tmp" in os.path.basename(path)]
    assert left == []


def test_few_objects_lie_loose_and_many_in_a_pack(clone: Git, mirror: HostileMirror) -> None:
    packs = Path(clone.git_dir, "objects", "pack")
    mirror.sends([])
    fetch(clone, "evil", [REFSPEC])
    assert list(packs.iterdir()) == []

    mirror.sends(GOOD["many objects"]())
    fetch(clone, "evil", [REFSPEC], refetch=True)
    assert len(list(packs.glob("*.pack"))) == 1


def test_a_mirror_that_falls_silent_is_given_up_and_leaves_nothing(
    clone: Git, mirror: HostileMirror
) -> None:
    noise = random.Random(7)
    pack = pack_of_entries([entry(BLOB, noise.randbytes(1000)) for _ in range(200)])
    mirror.sends_bytes(pack[:150_000], falls_silent=True)
    before = files(clone)

    with pytest.raises(UnavailableError, match="nothing arrived for"):
        fetch(clone, "evil", [REFSPEC], stall_s=0.3)

    assert files(clone) == before
