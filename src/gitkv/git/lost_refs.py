"""Refs that name objects which are not here: git's own fetch refuses to work beside one of them,
whosever it is.

They are put aside, never deleted: name and id go to kv/damaged/refs, the logs of refs stay, and a
ref comes back as soon as its object does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from gitkv.errors import IntegrityError
from gitkv.git.damage import free_name, packed_lines, put_aside, replace_packed_refs
from gitkv.git.durable import common_dir, sync
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import DAMAGED, Git
from gitkv.git.ref_store import GitRefStore
from gitkv.model.oid import OID_HEX, ZERO_OID, Oid, parse_oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.model.verdict import printable

UNBORN_HEAD = b"ref: refs/heads/head-was-damaged\n"

_HEX_LINE = re.compile(rb"([0-9a-f]{40})\n?")


def is_unfinished(git: Git) -> bool:
    """Whether refs were put aside, and what they name has not been looked for to the end."""
    return os.path.exists(_record(git))


def begin(git: Git) -> None:
    """From here on a repair is unfinished, also after a kill. Raises OSError."""
    with open(_record(git, made=True), "ab"):
        pass


def finish(git: Git) -> str:
    """The record is closed; its path when there is something in it, else ""."""
    path = _record(git)
    if os.path.getsize(path) == 0:
        os.unlink(path)
        return ""
    kept = free_name(common_dir(git.git_dir), "lost-refs")
    os.replace(path, kept)
    return kept


def aside(git: Git) -> dict[Ref, Oid]:
    """The refs that this repair has put aside so far."""
    lines = (_text(_record(git)) or b"").split(b"\n")[:-1]
    return {Ref(line[OID_HEX + 1 :]): parse_oid(line[:OID_HEX]) for line in lines}


def put_lost_refs_aside(git: Git, objects: GitObjectStore) -> dict[Ref, Oid]:
    """Those that were put aside just now. Raises OSError, ToolError."""
    root = common_dir(git.git_dir)
    refs = _named(git)
    lost = {ref: oid for ref, oid in refs.items() if not _is_here(objects, oid)}
    heads = {path: oid for path in _heads(root) if (oid := _detached_at(root, path)) is not None}
    lost_heads = {path: oid for path, oid in heads.items() if not _is_here(objects, oid)}
    if not lost and not lost_heads:
        return {}
    found = lost | {Ref(os.fsencode(path)): oid for path, oid in lost_heads.items()}
    with open(_record(git, made=True), "ab") as file:
        file.writelines(b"%b %b\n" % (oid.hex().encode(), ref) for ref, oid in found.items())
        file.flush()
        os.fsync(file.fileno())
    kept = [line for line in packed_lines(root) if Ref(line[OID_HEX + 1 :]) not in lost]
    if len(kept) != len(packed_lines(root)):
        replace_packed_refs(root, kept)
    for name in map(os.fsdecode, lost):
        if os.path.lexists(os.path.join(root, name)):
            put_aside(root, name)
    for path in lost_heads:
        _write(os.path.join(root, path), UNBORN_HEAD)
    return found


def put_back(git: Git, objects: GitObjectStore) -> tuple[dict[Ref, Oid], dict[Ref, Oid]]:
    """Of all refs that are aside: those whose object is here again, which are refs once more, and
    those that stay lost. Raises OSError, ToolError, ConflictError.
    """
    root = common_dir(git.git_dir)
    gone = aside(git)
    there = GitRefStore(git).read_all()
    back = {ref: oid for ref, oid in gone.items() if _is_here(objects, oid)}
    updates = [
        RefUpdate(ref, ZERO_OID, oid)
        for ref, oid in back.items()
        if ref.startswith(b"refs/") and ref not in there
    ]
    if updates:
        GitRefStore(git).move(updates)
    for ref, oid in back.items():
        path = os.path.join(root, os.fsdecode(ref))
        if not ref.startswith(b"refs/") and _text(path) == UNBORN_HEAD:
            _write(path, oid.hex().encode() + b"\n")
    return back, {ref: oid for ref, oid in gone.items() if ref not in back}


def trouble(git: Git, ref: Ref) -> IntegrityError | None:
    """What is wrong with a ref whose object cannot be had; None when there is no such ref. Raises
    ToolError, IntegrityError.
    """
    listed = git.run("for-each-ref", "--format=%(objectname)", "--end-of-options", os.fsdecode(ref))
    name, oid = printable(ref), printable(listed.stdout.strip())
    if oid:
        text = f"{name} names {oid}, which is not here or cannot be read"
    elif b"broken ref" in listed.stderr:
        text = f"{name} is damaged: expected the id of an object in it"
    else:
        return None
    return IntegrityError(text, hint=DAMAGED)


def is_complete(git: Git, tips: Mapping[Ref, Oid]) -> bool:
    """Whether all that the tips reach is here."""
    words = "".join(f"{oid.hex()}\n" for oid in tips.values()).encode()
    listed = git.run("rev-list", "--objects", "--quiet", "--stdin", stdin=words, check=False)
    return listed.code == 0


def _record(git: Git, *, made: bool = False) -> str:
    folder = os.path.join(common_dir(git.git_dir), "kv", "damaged")
    if made:
        os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, "refs")


def _named(git: Git) -> dict[Ref, Oid]:
    """Every ref that names an object itself, and not another ref."""
    listed = git.run("for-each-ref", "--format=%(objectname) %(refname) %(symref)").stdout
    fields = [line.split(b" ") for line in listed.split(b"\n")[:-1]]
    return {Ref(ref): parse_oid(oid) for oid, ref, symref in fields if not symref}


def _heads(root: str) -> list[str]:
    """HEAD of the repository and of its other work trees, as paths from `root`."""
    others = os.path.join(root, "worktrees")
    names = sorted(os.listdir(others)) if os.path.isdir(others) else []
    return ["HEAD", *(os.path.join("worktrees", name, "HEAD") for name in names)]


def _detached_at(root: str, path: str) -> Oid | None:
    found = _HEX_LINE.fullmatch(_text(os.path.join(root, path)) or b"")
    return None if found is None else parse_oid(found[1])


def _is_here(objects: GitObjectStore, oid: Oid) -> bool:
    return oid == ZERO_OID or objects.has(oid)


def _text(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write(path: str, text: bytes) -> None:
    lock = f"{path}.lock"
    with open(lock, "xb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(lock, path)
    sync(os.path.dirname(path))
