"""What can be broken: a fresh gateway in this process, or a Stargate created for each module and
started by each test in the way it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forge import Forge
from support.gateway import gateway

from gitkv.testing.world import World

__all__ = ["gateway"]

KILLABLE = str(Path(__file__).resolve().parents[1] / "support" / "killable_daemon.py")


class Breakable:
    """A world, and a forge for its writer bob. `plant` starts the daemon with a fault, `restart`
    without.
    """

    def __init__(self, root: Path) -> None:
        self.world = World(root).create(writers=("bob", "carol"))
        self.forge = Forge(self.world, self.world.person("bob"))

    def plant(self, *orders: str) -> World:
        return self.world.start(command=[KILLABLE, *orders, "--"])

    def restart(self) -> World:
        """As a supervisor would: no hand touches the repository."""
        self.world.close()
        return self.world.start("--log-format", "json")

    def wait_for_death(self) -> None:
        assert self.world.daemon is not None
        assert self.world.daemon.wait(30) == -9
        self.world.daemon = None


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Breakable]:
    made = Breakable(tmp_path_factory.mktemp("world"))
    yield made
    made.forge.close()
    made.world.close()


@pytest.fixture
def broken(module_world: Breakable) -> Iterator[Breakable]:
    """Not serving yet; the state is what earlier tests left, which only makes it harder."""
    module_world.world.log.unlink(missing_ok=True)
    yield module_world
    module_world.world.close()
