"""The folders of packs in quarantine, under `<git_dir>/kv/quarantine/`: removed whatever is in
them, and swept after a crash.
"""

from __future__ import annotations

import os
from contextlib import suppress

from gitkv.errors import ToolError

_REMOVALS_MAX = 1000

_live: set[str] = set()  # of this process


def quarantine_root(git_dir: str) -> str:
    """Where the folders are."""
    return os.path.join(git_dir, "kv", "quarantine")


def make_folder(path: str) -> None:
    """Makes the folder of one pack, which is its own until `drop_folder`. Raises OSError."""
    _live.add(path)
    try:
        os.makedirs(os.path.join(path, "pack"), mode=0o700)
    except BaseException:
        drop_folder(path)
        raise


def drop_folder(path: str) -> None:
    """Removes the folder. Raises OSError or ToolError when that fails now; a later `sweep` tries
    again.
    """
    _live.discard(path)
    remove_tree(path)


def sweep(git_dir: str) -> list[str]:
    """Removes what belongs to no pack at work, left by a killed process or a failing disk; names of
    what was removed. Call only as the repository's single daemon.
    """
    root = quarantine_root(git_dir)
    try:
        left = [name for name in sorted(os.listdir(root)) if os.path.join(root, name) not in _live]
    except FileNotFoundError:
        return []
    for name in left:
        remove_tree(os.path.join(root, name))
    return left


def remove_tree(path: str) -> None:
    """Removes a directory of ours without following links out of it; an orphaned git may still be
    tidying up in it, so it tries again.
    """
    for _ in range(_REMOVALS_MAX):
        if not os.path.isdir(path):
            return
        with suppress(FileNotFoundError):
            _remove_once(path)
    raise ToolError(f"the quarantine {path} cannot be emptied: another process writes to it")


def _remove_once(path: str) -> None:
    for directory, folders, files in os.walk(path, topdown=False, onerror=_raise):
        for name in files:
            os.unlink(os.path.join(directory, name))
        for name in folders:
            inner = os.path.join(directory, name)
            if os.path.islink(inner):
                os.unlink(inner)
    for directory, _, _ in list(os.walk(path, topdown=False, onerror=_raise)):
        with suppress(OSError):  # not empty again: the next round sees to it
            os.rmdir(directory)


def _raise(error: OSError) -> None:
    raise error
