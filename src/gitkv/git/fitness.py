"""Whether the files of a repository are those of a whole Stargate: what a power cut, a full disk or
a hand has emptied or cut short is reported, never guessed around.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from gitkv.errors import IntegrityError, ToolError
from gitkv.git.process import Git
from gitkv.git.repository import parse_config
from gitkv.model.refs import PRIVATE, parse_namespace
from gitkv.model.verdict import printable
from gitkv.ports import Settings

MIRROR_SETTING = "stargate.mirror"
NAMESPACE_SETTING = "stargate.namespace"
NO_MIRROR = "none"
HIDDEN = "transfer.hiderefs"  # stands once for each prefix
UNFINISHED = "init.unfinished"  # below kv/, while `stargate init` is at work

_HEAD = b"ref: refs/heads/main\n"
# What `stargate init` writes and serving relies on: what is durable, what a fetch may see, that git
# neither moves nor removes anything by itself. Names as git lists them.
REQUIRED_SETTINGS = (
    ("core.repositoryformatversion", "0"),
    ("core.bare", "true"),
    ("core.fsync", "all"),
    ("core.logallrefupdates", "false"),
    ("gc.auto", "0"),
    ("repack.writebitmaps", "false"),
    ("receive.denynonfastforwards", "true"),
    *((HIDDEN, prefix.decode().rstrip("/")) for prefix in PRIVATE),
    ("uploadpack.allowfilter", "true"),
)
_FOLDERS = ("objects", "objects/pack", "refs", "kv")
_FROM_BACKUP = "restore it from a backup: docs/operate/backup.md"


def check_files(git_dir: str) -> None:
    """Raises IntegrityError when HEAD, config or a folder is missing, empty or torn, ToolError when
    the repository was never finished.
    """
    if os.path.lexists(os.path.join(git_dir, "kv", UNFINISHED)):
        raise ToolError(
            f"{git_dir} was not finished by stargate init",
            hint="run the same git kv stargate init again: it goes on from there",
        )
    for folder in _FOLDERS:
        if not os.path.isdir(os.path.join(git_dir, folder)):
            raise IntegrityError(f"the folder {folder} is missing", hint=_FROM_BACKUP)
    head = _content(git_dir, "HEAD")
    if head != _HEAD:
        what = "stands elsewhere" if head.endswith(b"\n") else "is empty or torn"
        got = printable(head[:80].decode("utf-8", "backslashreplace").rstrip("\n"))
        raise IntegrityError(
            f"HEAD {what}: expected 'ref: refs/heads/main', got '{got}'",
            hint="write it again: git symbolic-ref HEAD refs/heads/main, or the line by hand",
        )
    if not _content(git_dir, "config").endswith(b"\n"):
        raise IntegrityError(
            "config is empty or torn: expected a line break at its end", hint=_FROM_BACKUP
        )


def read_settings(git: Git) -> Settings:
    """Raises IntegrityError when config cannot be read, or lacks what every Stargate has."""
    try:
        listing = git.run("config", "--local", "--list", "-z").stdout
    except ToolError as error:
        raise IntegrityError(f"config cannot be read: {error}", hint=_FROM_BACKUP) from None
    config = parse_config(listing)
    _check_form(config)
    mirror = config.get(MIRROR_SETTING, ("",))[-1]
    if not mirror:
        raise IntegrityError(
            f"config is cut short or was changed: it has no {MIRROR_SETTING}",
            hint=f"{_FROM_BACKUP}; without a mirror: git config {MIRROR_SETTING} {NO_MIRROR}",
        )
    try:
        names = tuple(parse_namespace(name.encode()) for name in config.get(NAMESPACE_SETTING, ()))
    except ValueError as error:
        raise IntegrityError(f"config: {NAMESPACE_SETTING}: {error}") from None
    if not names:
        raise IntegrityError(
            f"config is cut short or was changed: it has no {NAMESPACE_SETTING}",
            hint=f"{_FROM_BACKUP}, or name each with: git config --add {NAMESPACE_SETTING} NS",
        )
    return Settings("" if mirror == NO_MIRROR else mirror, names)


def _check_form(config: Mapping[str, Sequence[str]]) -> None:
    """Raises IntegrityError unless this is a repository in the form that init made."""
    others = sorted(name for name in config if name.startswith(("extensions.", "include")))
    if others:
        name = others[0]
        raise IntegrityError(
            f"config: expected no {name}, got '{printable(config[name][-1])}': a Stargate keeps "
            "SHA-1 objects and packed refs, and reads one config",
            hint=_FROM_BACKUP,
        )
    for name, expected in REQUIRED_SETTINGS:
        found = config.get(name, ())
        if expected not in found[-1:] and not (name == HIDDEN and expected in found):
            got = f"got '{printable(found[-1])}'" if found else "it is missing"
            add = "--add " if name == HIDDEN else ""
            raise IntegrityError(
                f"config is cut short or was changed: expected {name} = {expected}, {got}",
                hint=f"{_FROM_BACKUP}; or: git config {add}{name} {expected}",
            )


def _content(git_dir: str, name: str) -> bytes:
    try:
        with open(os.path.join(git_dir, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
