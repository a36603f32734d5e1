"""Making what was written last: a file's bytes, or the names in a directory."""

from __future__ import annotations

import os


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
