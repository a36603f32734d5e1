"""What a power cut or a failing disk leaves of a repository: empty or torn objects, packs and refs.

Found here and put aside, so that git fetches anew what is missing. Only for a repository whose
objects and refs are to be had elsewhere, too.
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
_REF_TEXT = re.compile(rb"[0-9a-f]{40}\n|ref: refs/[^\x00-\x20\x7f]+\n")
_REF_FOLDERS = ("kv", "kv-", "remotes")
_ASIDE = os.path.join("kv", "damaged")


def put_damage_aside(git: Git) -> list[str]:
    """Moves what is damaged to kv/damaged; the paths, from the git directory. Raises OSError."""
    root = common_dir(git.git_dir)
    damaged = [*_damaged_objects(root), *_damaged_packs(git, root), *_damaged_refs(root)]
    for path in damaged:
        target = os.path.join(root, _ASIDE, path.replace(os.sep, "_"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(os.path.join(root, path), target)
    return damaged


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
            while data := file.read(1 << 16):
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
        if {f"{stem}.pack", f"{stem}.idx"} <= names and _verifies(git, f"{packs}/{stem}.idx"):
            continue
        yield from (
            os.path.join("objects", "pack", name)
            for name in sorted(names)
            if name.rpartition(".")[0] == stem
        )


def _verifies(git: Git, index: str) -> bool:
    return git.run("verify-pack", "--", index, check=False).code == 0


def _damaged_refs(root: str) -> Iterator[str]:
    """Files of our own refs and of remotes that hold no ref: empty or torn."""
    for folder, _, names in os.walk(os.path.join(root, "refs")):
        below = os.path.relpath(folder, os.path.join(root, "refs"))
        if not below.startswith(_REF_FOLDERS):
            continue
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                text = file.read(4096)
            if not name.endswith(".lock") and _REF_TEXT.fullmatch(text) is None:
                yield os.path.relpath(path, root)
