"""Asks git how commits follow each other: by parents, which are hashed, not by what a commit's
message claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitkv.git.process import (
    Completed,
    Git,
    damage,
    end_process,
    failure,
    scratch_file,
    scratch_text,
)
from gitkv.model.oid import Oid, parse_oid


def is_ancestor(git: Git, older: Oid, newer: Oid) -> bool:
    """Whether `older` is `newer` or one of its ancestors. Raises ToolError when either is not a
    commit that is here.
    """
    if older == newer:
        return True
    done = git.run("merge-base", "--is-ancestor", older.hex(), newer.hex(), check=False)
    if done.code not in (0, 1):
        raise failure("merge-base", done)
    return done.code == 0


def newest_until(git: Git, newest: Oid, moment_s: int) -> Oid | None:
    """The first commit, from `newest` back, whose committer's time is not after `moment_s`, in
    seconds since 1970; None when all are. Raises ToolError.
    """
    done = git.run("rev-list", "-n1", f"--min-age={moment_s}", "--end-of-options", newest.hex())
    return parse_oid(done.stdout.strip()) if done.stdout.strip() else None


def commits_back(git: Git, newest: Oid) -> Iterator[Oid]:
    """`newest` and all its ancestors, as git lists them, one at a time. Raises ToolError, and
    FormError for a line that is not an id.
    """
    return _listed(git, "--end-of-options", newest.hex())


def reachable(git: Git, tips: Iterable[Oid], known: Iterable[Oid] = ()) -> Iterator[Oid]:
    """Every object that these commits reach, one at a time, without what their ancestors `known`
    do. Raises as `commits_back`.
    """
    hexes = [*(oid.hex() for oid in tips), *(f"^{oid.hex()}" for oid in known)]
    return _listed(git, "--objects", "--no-object-names", "--end-of-options", *hexes)


def _listed(git: Git, *words: str) -> Iterator[Oid]:
    with scratch_file() as complaints:
        child = git.popen("rev-list", *words, stderr=complaints)
        try:
            assert child.stdout is not None
            for line in child.stdout:
                yield parse_oid(line.removesuffix(b"\n"))
            if child.wait() != 0:
                told = Completed(b"", scratch_text(complaints), child.returncode)
                raise damage("rev-list", told) or failure("rev-list", told)
        finally:
            end_process(child)


class GitHistory:
    """History of one repository, as git tells it."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def is_ancestor(self, older: Oid, newer: Oid) -> bool:
        """As in the port."""
        return is_ancestor(self._git, older, newer)

    def commits_back(self, newest: Oid) -> Iterator[Oid]:
        """As in the port."""
        return commits_back(self._git, newest)

    def reachable(self, tips: Iterable[Oid], known: Iterable[Oid] = ()) -> Iterator[Oid]:
        """As in the port."""
        return reachable(self._git, tips, known)
