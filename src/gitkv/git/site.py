"""The directory in which a Stargate is created: claimed first, given back when that fails, on
disk before it counts. Nothing is ever removed that creation did not make.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from gitkv.errors import UsageError
from gitkv.git.durable import sync, sync_tree
from gitkv.git.fitness import UNFINISHED


def claim_directory(git_dir: str) -> bool:
    """Makes the directory, or takes an empty one; whether it is an unfinished one of ours. Raises
    UsageError when it is in use.
    """
    if os.path.lexists(_mark(git_dir)):
        return True
    kv = os.path.join(git_dir, "kv")
    if (os.path.isdir(git_dir) and os.listdir(git_dir) not in ([], ["kv"])) or _is_used(kv):
        raise UsageError(f"{git_dir} is not empty: expected a new or an empty directory")
    os.makedirs(kv, mode=0o700, exist_ok=True)
    os.close(os.open(_mark(git_dir), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return False


def clear_directory(git_dir: str) -> None:
    """Removes what an unfinished creation made, but for its claim."""
    os.stat(_mark(git_dir))
    for folder, kept in ((git_dir, "kv"), (os.path.join(git_dir, "kv"), UNFINISHED)):
        for entry in os.scandir(folder):
            if entry.name == kept:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def abandon_directory(git_dir: str, *, existed: bool) -> None:
    """As it was before: gone, or empty when it `existed`."""
    clear_directory(git_dir)
    os.unlink(_mark(git_dir))
    os.rmdir(os.path.join(git_dir, "kv"))
    if not existed:
        with suppress(OSError):  # somebody else has put something there
            os.rmdir(git_dir)


def put_on_disk(git_dir: str) -> None:
    """Every file, then every folder up to the ones above, survives a power cut. Raises OSError."""
    sync_tree(git_dir)
    above = os.path.dirname(os.path.abspath(git_dir))
    while True:
        with suppress(PermissionError):  # not ours to read, so not one that was made just now
            sync(above)
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)


def finish_directory(git_dir: str) -> None:
    """From here on it is a Stargate."""
    os.unlink(_mark(git_dir))
    sync(os.path.join(git_dir, "kv"))


def _is_used(folder: str) -> bool:
    return os.path.isdir(folder) and bool(os.listdir(folder))


def _mark(git_dir: str) -> str:
    return os.path.join(git_dir, "kv", UNFINISHED)
