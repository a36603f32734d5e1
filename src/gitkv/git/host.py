"""The directory of a Stargate as its use cases see it: whether it is whole, what a killed process
left in it, and how many packs there are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from gitkv.errors import IntegrityError
from gitkv.git.fitness import check_files, read_settings
from gitkv.git.object_store import GitObjectStore
from gitkv.git.place import remember_confirmed, remembered
from gitkv.git.process import Git
from gitkv.git.quarantine_folder import sweep
from gitkv.git.ref_store import PackedRefStore
from gitkv.model.oid import Oid
from gitkv.model.refs import Ref
from gitkv.ports import Settings

_OTHER_VIEWS = ("shallow", "info/grafts", "objects/info/alternates", "objects/info/http-alternates")
_DRAFTS = ("tmp_obj_", "tmp_pack_", "tmp_idx_", "tmp_rev_", ".tmp-")


class GitHost:
    """Host that is the bare repository of `git`."""

    def __init__(self, git: Git, objects: GitObjectStore, refs: PackedRefStore) -> None:
        self._git, self._objects, self._refs = git, objects, refs

    def settings(self) -> Settings:
        """As in the port."""
        check_files(self._git.git_dir)
        return read_settings(self._git)

    def unlock(self) -> list[str]:
        """As in the port."""
        return self._refs.recover()

    def sweep_drafts(self) -> list[str]:
        """As in the port."""
        removed = []
        for folder, _, names in os.walk(os.path.join(self._git.git_dir, "objects")):
            for name in names:
                if name.startswith(_DRAFTS):
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(folder, name))
                    removed.append(name)
        return removed

    def sweep_quarantine(self) -> list[str]:
        """As in the port."""
        return sweep(self._git.git_dir)

    def check_view(self) -> None:
        """As in the port."""
        self._refs.check()
        git_dir = self._git.git_dir
        found = [path for path in _OTHER_VIEWS if os.path.lexists(os.path.join(git_dir, path))]
        found += [
            ref.decode("ascii", "backslashreplace") for ref in self._refs.read_all(b"refs/replace/")
        ]
        if found:
            raise IntegrityError(
                f"the repository shows more than its own objects: {', '.join(found[:5])}",
                hint="find out who made it, then remove it",
            )

    def pack_count(self) -> int:
        """As in the port."""
        names = os.listdir(os.path.join(self._git.git_dir, "objects", "pack"))
        return sum(name.endswith(".idx") for name in names)

    def roll_up(self) -> None:
        """As in the port. Geometric repacking: its cost is spread over the transactions that made
        the packs.
        """
        self._git.run(
            "repack", "--quiet", "--geometric=2", "-d", "--no-write-bitmap-index", "--threads=1"
        )
        self._objects.close()  # else its children keep what was rolled up, mapped and on the disk

    def remember(self, confirmed: Mapping[Ref, Oid]) -> None:
        """As in the port."""
        remember_confirmed(self._git.git_dir, confirmed)

    def remembered(self) -> dict[Ref, Oid] | None:
        """As in the port."""
        return remembered(self._git.git_dir)
