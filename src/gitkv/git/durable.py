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
