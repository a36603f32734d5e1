"""Finds the repository around a directory and reads its configuration: two git processes side by
side, a few milliseconds.

Left to others: what the settings mean. Keys of settings are spelled as git spells them: section and
name in lower case, the part between them (such as a remote's name) as written.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.errors import IntegrityError, ToolError
from gitkv.git.process import Completed, Git, complaint, failure
from gitkv.model.environment import location
from gitkv.model.verdict import printable

_HEAD_TEXT = re.compile(rb"ref:\s*refs/.|[0-9a-fA-F]{40}")
_REV_PARSE = ("rev-parse", "--path-format=absolute")
_PLACES = (
    "--show-object-format",
    "--git-dir",
    "--git-common-dir",
    "--is-inside-work-tree",
    "--show-cdup",
)


class Repository(NamedTuple):
    """One repository: absolute paths, and its configuration. `config` holds the last value of each
    key, `config_all` all in file order.
    """

    git_dir: str
    common_dir: str
    work_tree: str | None
    config: dict[str, str]
    config_all: dict[str, tuple[str, ...]]


def discover(start_dir: str, env: Mapping[str, str]) -> Repository:
    """The repository that git finds from `start_dir`, or that GIT_DIR in `env` names (a folder, or
    a file that points to one). Raises ToolError when there is none, git refuses to open it, or it
    is not SHA-1, IntegrityError when its HEAD is damaged.
    """
    git = Git(env=env, cwd=start_dir, extra=location(env))
    places = git.popen(*_REV_PARSE, *_PLACES)
    listing = git.popen("config", "--list", "-z", settings=False)
    found, settings = _completed(places), _completed(listing)
    if found.code != 0:
        raise _broken_head(start_dir) or _not_found(found)
    if settings.code != 0:
        raise failure("config", settings)
    lines = _lines(git, found)
    if lines[0] != b"sha1":
        raise ToolError(
            "SHA-256 repositories are not supported",
            hint="create the repository with: git init --object-format=sha1",
        )
    git_dir, common_dir, cdup = (os.fsdecode(line) for line in (lines[1], lines[2], lines[4]))
    work_tree = (
        os.path.normpath(os.path.join(os.path.realpath(start_dir), cdup))
        if lines[3] == b"true"
        else None
    )
    config_all = parse_config(settings.stdout)
    config = {key: values[-1] for key, values in config_all.items()}
    return Repository(git_dir, common_dir, work_tree, config, config_all)


def _lines(git: Git, found: Completed) -> list[bytes]:
    """An answer for each of `_PLACES`, b"" where git gives none. A path with a line break takes
    more than one line: then each is asked for alone.
    """
    lines = found.stdout.removesuffix(b"\n").split(b"\n")
    if len(lines) == len(_PLACES):
        return lines
    if len(lines) == len(_PLACES) - 1:  # a bare repository has no way up
        return [*lines, b""]
    return [git.run(*_REV_PARSE, place).stdout.removesuffix(b"\n") for place in _PLACES]


def parse_config(listing: bytes) -> dict[str, tuple[str, ...]]:
    """All values of every key of `git config --list -z`; a key without a value means true, as in
    git.
    """
    values: dict[str, tuple[str, ...]] = {}
    for record in listing.split(b"\0")[:-1]:
        key, separator, value = record.decode("utf-8", "surrogateescape").partition("\n")
        values[key] = (*values.get(key, ()), value if separator else "true")
    return values


def local_config(git: Git) -> dict[str, tuple[str, ...]]:
    """What the repository's own file says, without the person's and the machine's. Raises
    ToolError.
    """
    return parse_config(git.run("config", "--local", "--list", "-z").stdout)


def set_config(git: Git, key: str, value: str, *, add: bool = False) -> None:
    """Writes one setting of the repository; `add` keeps the key's other values. Raises
    ToolError.
    """
    git.run(
        "config", "--local", "--add" if add else "--replace-all", "--end-of-options", key, value
    )


def _completed(process: subprocess.Popen[bytes]) -> Completed:
    stdout, stderr = process.communicate()
    return Completed(stdout, stderr, process.returncode)


def _broken_head(start_dir: str) -> IntegrityError | None:
    """For a folder that git takes for no repository only because its HEAD says nothing."""
    at = os.path.realpath(start_dir)
    while not os.path.isdir(os.path.join(at, ".git", "objects")):
        if at == os.path.dirname(at):
            return None
        at = os.path.dirname(at)
    head = os.path.join(at, ".git", "HEAD")
    try:
        with open(head, "rb") as file:
            text = file.read(4096)
    except FileNotFoundError:
        text = b""
    except OSError:
        return None
    if _HEAD_TEXT.match(text):
        return None
    return IntegrityError(
        f"{printable(head)} is damaged: expected the name of a branch, got {printable(text)!r}",
        hint="write into it what was checked out, such as: ref: refs/heads/main",
    )


def _not_found(found: Completed) -> ToolError:
    if b"not a git repository: " in found.stderr:  # git names it when it was told where to look
        return ToolError(
            complaint(found.stderr).removeprefix("fatal: "), hint="check GIT_DIR, or --git-dir"
        )
    if b"not a git repository" in found.stderr:
        return ToolError("not inside a git repository", hint="create one with: git init")
    if b"dubious ownership" in found.stderr:
        hint = (
            "it belongs to another user; if you trust it: git config --global --add safe.directory "
            "DIR"
        )
        return ToolError(
            f"git refuses to open the repository: {complaint(found.stderr)}", hint=hint
        )
    return ToolError(f"the repository cannot be opened: {complaint(found.stderr)}")
