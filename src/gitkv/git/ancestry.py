"""Asks git how commits follow each other: by parents, which are hashed, not by what a commit's
message claims.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitkv.git.process import Completed, Git, end_process, failure, scratch_file, scratch_text
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


def commits_back(git: Git, newest: Oid) -> Iterator[Oid]:
    """`newest` and all its ancestors, as git lists them, one at a time. Raises ToolError, and
    FormError for a line that is not an id.
    """
    with scratch_file() as complaints:
        child = git.popen("rev-list", "--end-of-options", newest.hex(), stderr=complaints)
        try:
            assert child.stdout is not None
            for line in child.stdout:
                yield parse_oid(line.removesuffix(b"\n"))
            if child.wait() != 0:
                told = Completed(b"", scratch_text(complaints), child.returncode)
                raise failure("rev-list", told)
        finally:
            end_process(child)
