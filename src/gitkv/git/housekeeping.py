"""Leaving the tidying of a clone to git, as git's own commands do: every write adds objects, and
nobody else may ever come by.
"""

from __future__ import annotations

from gitkv.git.process import Git, end_process

WRITES_BETWEEN = 64


def tidy_now_and_then(git: Git, seq: int) -> None:
    """After every 64th transaction, lets `git gc --auto` decide by the user's settings; when there
    is much to do, that goes on in the background.
    """
    if seq % WRITES_BETWEEN:
        return
    child = git.popen("-c", "core.hooksPath=/dev/null", "gc", "--auto", "--quiet", settings=False)
    try:
        child.wait()
    finally:
        end_process(child)


def object_counts(git: Git) -> tuple[int, int]:
    """How many objects lie loose in the repository, and how many packs it has. Raises ToolError."""
    lines = git.run("count-objects", "-v").stdout.decode().splitlines()
    found = dict(line.split(": ", 1) for line in lines)
    return int(found["count"]), int(found["packs"])
