"""Writes single objects without a process: a pack for one small commit would cost more than the
commit.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress

from gitkv.git.durable import sync
from gitkv.model.oid import Oid, hash_object

_FOLDERS_MAX = 100


def write_loose(git_dir: str, kind: bytes, body: bytes) -> Oid:
    """Writes the object durably and returns its id; an object that is there already is left
    alone.
    """
    oid = hash_object(kind, body)
    path = loose_path(git_dir, oid)
    if os.path.exists(path):
        return oid
    objects_dir = os.path.join(git_dir, "objects")
    draft = os.path.join(objects_dir, f"tmp_obj_{os.urandom(6).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(zlib.compress(b"%b %d\0%b" % (kind, len(body), body), 1))
            file.flush()
            os.fsync(file.fileno())
        _rename(draft, path)
    except BaseException:
        with suppress(OSError):  # it may have its name already; the first error is the one to tell
            os.unlink(draft)
        raise
    with suppress(FileNotFoundError):  # a repack has moved it into a pack already
        sync(os.path.dirname(path))
    sync(objects_dir)
    return oid


def _rename(draft: str, path: str) -> None:
    """Gives the object its name. A repack may remove its folder, empty until now, at any moment."""
    for _ in range(_FOLDERS_MAX):
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(path))
        with suppress(FileNotFoundError):
            os.rename(draft, path)
            return
    raise FileNotFoundError(f"{os.path.dirname(path)} was removed {_FOLDERS_MAX} times")


def remove_loose(git_dir: str, oid: Oid) -> None:
    """Removes an object that no ref reaches; harmless when it is gone."""
    with suppress(FileNotFoundError):
        os.unlink(loose_path(git_dir, oid))


def loose_path(git_dir: str, oid: Oid) -> str:
    """Where git keeps the object when it is not in a pack."""
    name = oid.hex()
    return os.path.join(git_dir, "objects", name[:2], name[2:])
