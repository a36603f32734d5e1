"""What a push may leave behind, and the proof that it left nothing: a snapshot before, a comparison
after.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from gitkv.testing.world import World, run, wait_until

# Git's object store (counted by object), refs (by name), and a cache of public keys
_KEPT_BY_OTHERS = re.compile(
    r"gate\.git/(?:objects/(?:[0-9a-f]{2}(?:/[0-9a-f]{38})?|pack/(?:pack-[0-9a-f]{40}|multi-pack-index.*)[^/]*|info/.*)"
    r"|info/refs|packed-refs|kv/gnupg(?:/[0-9a-f]{40}(?:/.*)?)?)"
)

Residue = Mapping[str, object]


def residue(world: World) -> dict[str, object]:
    """All that a push could leave: refs, objects, files of the gateway's own, temporary files.

    Objects count by id, because maintenance may pack them at any time; the mirror's watermark is
    not a push's doing.
    """
    ids = run(
        ["git", "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"],
        world.base_env(),
        world.gate,
    ).out.split()
    found: dict[str, object] = {oid.decode(): "object" for oid in ids}
    found |= {
        ref: oid
        for ref, oid in world.refs(world.gate).items()
        if not ref.startswith("refs/kv-mirror/")
    }
    for top in (world.gate, world.root / "tmp"):
        for place, folders, files in os.walk(
            top
        ):  # which, unlike a glob, lets folders vanish under its feet
            for path in [Path(place, name) for name in (*folders, *files)]:
                name = str(path.relative_to(world.root))
                if not _KEPT_BY_OTHERS.fullmatch(name):
                    found[name] = _size(path)
    return found


def _size(path: Path) -> object:
    try:
        return path.stat().st_size if path.is_file() else "folder"
    except FileNotFoundError:
        return "gone meanwhile"


def settled(world: World) -> dict[str, object]:
    """The residue once the mirror has caught up and no worker is at anything, to compare with
    later.
    """
    world.wait_for_mirror(timeout_s=10)
    last: dict[str, object] = {}

    def is_quiet() -> bool:
        """Two looks agree: one alone can miss objects that maintenance is just moving from file to
        pack.
        """
        before = dict(last)
        last.clear()
        last.update(residue(world))
        return before == last and not any(
            name.endswith((".lock", ".draft", ".new")) and "daemon" not in name for name in last
        )

    wait_until(is_quiet, 10)
    return last


def assert_nothing_left(world: World, before: Residue, timeout_s: float = 10.0) -> None:
    """A refused push has left nothing. A dropped connection is tidied up behind the client's back,
    so this looks until it is.
    """

    def difference() -> dict[str, object]:
        after = residue(world)
        return {
            name: after.get(name)
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)
        }

    last: dict[str, object] = {}

    def same() -> bool:
        last.clear()
        last.update(difference())
        return not last

    try:
        wait_until(same, timeout_s)
    except AssertionError:
        raise AssertionError(f"a refused push has left: {last}") from None


class Unharmed:
    """What Stargate held; a test that itself writes says so by `again`, and the comparison starts
    anew.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.again()

    def again(self) -> None:
        self._before = settled(self._world)

    def check(self) -> None:
        assert_nothing_left(self._world, self._before)
