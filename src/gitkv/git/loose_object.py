"""Writes single objects without a process: a pack for one small commit would cost more than the commit."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress

from gitkv.git.durable import sync
from gitkv.model.oid import Oid, hash_object


def write_loose(git_dir: str, kind: bytes, body: bytes) -> Oid:
    """Writes the object durably and returns its id; an object that is there already is left alone."""
    oid = hash_object(kind, body)
    path = loose_path(git_dir, oid)
    if os.path.exists(path):
        return oid
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.mkdir(folder)
        sync(os.path.dirname(folder))
    draft = os.path.join(folder, f"tmp_obj_{os.urandom(6).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    with os.fdopen(fd, "wb") as file:
        file.write(zlib.compress(b"%b %d\0%b" % (kind, len(body), body), 1))
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)
    sync(folder)
    return oid


def remove_loose(git_dir: str, oid: Oid) -> None:
    """Removes an object that no ref reaches; harmless when it is gone."""
    with suppress(FileNotFoundError):
        os.unlink(loose_path(git_dir, oid))


def loose_path(git_dir: str, oid: Oid) -> str:
    """Where git keeps the object when it is not in a pack."""
    name = oid.hex()
    return os.path.join(git_dir, "objects", name[:2], name[2:])
