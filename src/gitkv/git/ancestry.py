"""Asks git whether one commit descends from another: by parents, which are hashed, not by what a
commit's message claims.
"""

from __future__ import annotations

from gitkv.git.process import Git, failure
from gitkv.model.oid import Oid


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
