"""What a power cut or a failing disk leaves of a repository: empty or torn objects, packs and
refs.

Found here and put aside under kv/damaged, so that git fetches anew what is missing. Nothing is
deleted. Only for a repository whose objects and refs are to be had elsewhere, too. Refs that are
whole and name what is gone are left to `lost_refs.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterator

from gitkv.git.durable import common_dir
from gitkv.git.process import Git

_FAN_OUT = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{38}")
_REF_TEXT = re.compile(rb"[0-9a-fA-F]{40}(?:\s.*)?|ref:\s*[^\s\x00].*", re.DOTALL)
_DIGEST_BYTES = 20
_CACHES = ("multi-pack-index", "commit-graph")  # git goes without, and writes them anew
_PIECE_BYTES = 1 << 16


def put_damage_aside(git: Git) -> list[str]:
    """Moves what is damaged to kv/damaged; the paths, from the git directory. Raises OSError."""
    root = common_dir(git.git_dir)
    damaged = [*_damaged_objects(root), *_damaged_packs(git, root), *_damaged_refs(root)]
    if damaged:  # they may speak of what is no longer here
        damaged += [path for path in _caches(root) if path not in damaged]
    else:
        damaged += [path for path in _caches(root) if not _ends_with_digest(root, path)]
    for path in damaged:
        put_aside(root, path)
    return damaged + _mend_packed_refs(git, root)


def put_aside(root: str, path: str) -> None:
    """Moves one file of the repository `root`. Raises OSError."""
    target = free_name(root, path.replace(os.sep, "_"))
    os.replace(os.path.join(root, path), target)


def free_name(root: str, name: str) -> str:
    """A path in kv/damaged that is not taken; the folder is there after that."""
    folder = os.path.join(root, "kv", "damaged")
    os.makedirs(folder, exist_ok=True)
    target, number = os.path.join(folder, name), 1
    while os.path.lexists(target):
        number += 1
        target = os.path.join(folder, f"{name}~{number}")
    return target


def replace_packed_refs(root: str, lines: list[bytes]) -> None:
    """Writes packed-refs with these lines (id, space, name), under git's own lock. Raises
    OSError.
    """
    path = os.path.join(root, "packed-refs")
    lock = f"{path}.lock"
    fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(b"# pack-refs with: sorted \n")
            file.writelines(b"%b\n" % line for line in sorted(lines, key=_name_in))
            file.flush()
            os.fsync(fd)
        os.replace(lock, path)
    except BaseException:
        os.unlink(lock)
        raise


def packed_lines(root: str) -> list[bytes]:
    """The lines of packed-refs that are whole: id, space, name. Raises OSError."""
    try:
        with open(os.path.join(root, "packed-refs"), "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    # After the last line break stands at best a part of a line.
    return [line for line in text.split(b"\n")[:-1] if _PACKED.fullmatch(line)]


_PACKED = re.compile(rb"[0-9a-f]{40} refs/[^\x00-\x20\x7f]+")


def _name_in(line: bytes) -> bytes:
    return line.partition(b" ")[2]


def _mend_packed_refs(git: Git, root: str) -> list[str]:
    """Keeps the whole lines of a packed-refs that git cannot read or that is empty."""
    try:
        with open(os.path.join(root, "packed-refs"), "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    is_read = git.run("for-each-ref", "--count=1", check=False).code == 0
    if text.endswith(b"\n") and is_read:
        return []
    lines = packed_lines(root)
    put_aside(root, "packed-refs")
    replace_packed_refs(root, lines)
    return ["packed-refs"]


def _damaged_objects(root: str) -> Iterator[str]:
    objects = os.path.join(root, "objects")
    for folder in filter(_FAN_OUT.fullmatch, sorted(os.listdir(objects))):
        for name in filter(_REST.fullmatch, sorted(os.listdir(os.path.join(objects, folder)))):
            path = os.path.join("objects", folder, name)
            if not _is_whole(os.path.join(root, path), folder + name):
                yield path


def _is_whole(path: str, name: str) -> bool:
    """Whether a loose object holds what its name says, read piece by piece."""
    digest, inflate = hashlib.sha1(usedforsecurity=False), zlib.decompressobj()
    try:
        with open(path, "rb") as file:
            while data := file.read(_PIECE_BYTES):
                while data:
                    digest.update(inflate.decompress(data, 1 << 20))
                    data = inflate.unconsumed_tail
    except (OSError, zlib.error):
        return False
    return inflate.eof and digest.hexdigest() == name


def _damaged_packs(git: Git, root: str) -> Iterator[str]:
    packs = os.path.join(root, "objects", "pack")
    if not os.path.isdir(packs):
        return
    names = set(os.listdir(packs))
    for stem in sorted({name.rpartition(".")[0] for name in names if name.startswith("pack-")}):
        of_pack = sorted(name for name in names if name.rpartition(".")[0] == stem)
        if {f"{stem}.pack", f"{stem}.idx"} <= names and _verifies(git, f"{packs}/{stem}.idx"):
            of_pack = [  # what git derives from a pack, and reads before it
                name
                for name in of_pack
                if name.endswith((".rev", ".bitmap")) and not _ends_with_digest(packs, name)
            ]
        yield from (os.path.join("objects", "pack", name) for name in of_pack)


def _verifies(git: Git, index: str) -> bool:
    return git.run("verify-pack", "--", index, check=False).code == 0


def _caches(root: str) -> list[str]:
    """Files about objects in general; not a pack's own."""
    return [
        os.path.relpath(os.path.join(folder, name), root)
        for top in ("pack", "info")
        for folder, _, names in os.walk(os.path.join(root, "objects", top))
        for name in sorted(names)
        if name.startswith((*_CACHES, "graph-")) and not name.endswith(".lock")
    ]


def _ends_with_digest(root: str, path: str) -> bool:
    """Whether a file ends with the SHA-1 of the rest of it, as git's own binary files do; a list of
    other files' names has none.
    """
    if path.endswith("-chain"):
        return True
    digest, kept = hashlib.sha1(usedforsecurity=False), b""
    try:
        with open(os.path.join(root, path), "rb") as file:
            while data := file.read(_PIECE_BYTES):
                kept += data
                digest.update(kept[:-_DIGEST_BYTES])
                kept = kept[-_DIGEST_BYTES:]
    except OSError:
        return False
    return kept == digest.digest()


def _damaged_refs(root: str) -> Iterator[str]:
    """Files of refs that hold no ref: empty or torn."""
    for folder, _, names in os.walk(os.path.join(root, "refs")):
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                text = file.read(4096)
            if not name.endswith(".lock") and _REF_TEXT.fullmatch(text) is None:
                yield os.path.relpath(path, root)
