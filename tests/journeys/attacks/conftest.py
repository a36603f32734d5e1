"""One served world for each module of attacks, and the proof after each attack that it changed
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.forge import Forge, Unharmed

from gitkv.testing.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Alice is the admin, bob a writer; the daemon's temporary files are where a residue can see
    them.
    """
    made = World(tmp_path_factory.mktemp("world")).create()
    (made.root / "tmp").mkdir()
    try:
        yield made.start(env={"TMPDIR": str(made.root / "tmp")})
    finally:
        made.close()


@pytest.fixture(scope="module")
def forge(world: World) -> Iterator[Forge]:
    """Bob's."""
    with Forge(world, world.person("bob")) as made:
        yield made


@pytest.fixture(scope="module")
def admin_forge(world: World) -> Iterator[Forge]:
    """Alice's."""
    with Forge(world, world.person("alice")) as made:
        yield made


@pytest.fixture
def rss_mib(world: World) -> Callable[[], float]:
    """The memory the daemon holds now, in MiB."""

    def read() -> float:
        assert world.daemon is not None
        with open(f"/proc/{world.daemon.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS:"))

    return read


@pytest.fixture
def peak_mib(world: World) -> Callable[[], float]:
    """The most memory the daemon has ever held, in MiB."""

    def read() -> float:
        assert world.daemon is not None
        with open(f"/proc/{world.daemon.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:"))

    return read


@pytest.fixture
def unharmed(world: World, forge: Forge) -> Iterator[Unharmed]:
    """Whatever the test did, Stargate holds what it held before, and the next good push works
    unaided.
    """
    held = Unharmed(world)
    yield held
    held.check()
    forge.push_good()
