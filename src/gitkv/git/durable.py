"""Making what was written last: files' bytes, and the names in directories.

git syncs what it writes where `core.fsync` asks for it, but no directory, and loose objects one
after the other. Here they are synced side by side: on most disks ten cost what one does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

# What of git's own writing must be on the disk before it goes on; it has no word for directories
SYNCED = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync")
CLOCKS_APART_S = 5.0  # a file server's clock may be behind ours

_AT_ONCE_MAX = 16


def sync(path: str) -> None:
    """fsync of a file or a directory. Raises OSError when the disk does not confirm."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(top: str) -> None:
    """fsync of everything below a folder and of the folder: files first, then the folders that name
    them. Symbolic links are not followed. Raises OSError.
    """
    for folder, _, names in os.walk(top, topdown=False, onerror=_fail):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                sync(path)
        sync(folder)


def _fail(error: OSError) -> None:
    raise error


def sync_all(paths: Iterable[str]) -> None:
    """fsync of each file and directory that is there, side by side. Raises OSError."""
    from threading import Thread

    todo = list(dict.fromkeys(paths))
    problems: list[OSError] = []

    def work() -> None:
        while todo:
            try:
                sync(todo.pop())
            except (FileNotFoundError, IndexError):
                continue
            except OSError as error:
                problems.append(error)

    helpers = [Thread(target=work, daemon=True) for _ in range(min(len(todo), _AT_ONCE_MAX) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if problems:
        raise problems[0]


def sync_loose(objects_dir: str, paths: Sequence[str]) -> None:
    """Makes loose objects and their names durable; one that a repack has put into a pack is.

    Raises OSError.
    """
    sync_all(paths)
    sync_all([*map(os.path.dirname, paths), objects_dir])


def sync_new_names(git_dir: str, since_s: float) -> None:
    """Makes the names of packs and of loose objects durable that came after `since_s` (seconds
    since 1970). Raises OSError.
    """
    objects = os.path.join(common_dir(git_dir), "objects")
    with os.scandir(objects) as entries:
        changed = [
            entry.path
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and entry.stat().st_mtime >= since_s
        ]
    sync_all([*changed, objects])


def sync_ref_names(git_dir: str, refs: Iterable[bytes]) -> None:
    """Makes the names of refs durable, whichever way git stores them. Raises OSError."""
    root = common_dir(git_dir)
    folders = [root, os.path.join(root, "reftable")]
    for ref in refs:
        parts = os.fsdecode(ref).split("/")
        folders += [os.path.join(root, *parts[:length]) for length in range(1, len(parts))]
    sync_all(folders)


def common_dir(git_dir: str) -> str:
    """Where objects and refs are: elsewhere for a linked work tree (gitrepository-layout(5))."""
    try:
        with open(os.path.join(git_dir, "commondir"), encoding="utf-8") as file:
            return os.path.normpath(os.path.join(git_dir, file.read().rstrip("\n")))
    except FileNotFoundError:
        return git_dir
