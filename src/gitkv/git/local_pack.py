"""Puts a pack of our own writing into the repository, while the caller goes on with something else.

As git does with what it fetches, a small pack becomes loose objects and a large one is kept: a
store of thousands of small transactions must not become a store of thousands of packs. Left to
others: making the pack (`pack.py`), and moving the refs that make it matter.
"""

from __future__ import annotations

from types import TracebackType

from gitkv.errors import ToolError
from gitkv.git.pack import Pack
from gitkv.git.process import TIDY_S, Git, complaint, end_process

UNPACK_OBJECTS_MAX = 99  # git's transfer.unpackLimit is 100

_DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=batch")


class PackStoring:
    """git at work on one pack. `finish` waits for it; leaving the context without it ends git and
    keeps nothing that matters.
    """

    def __init__(self, git: Git, pack: Pack, *, durable: bool) -> None:
        """Starts git and hands it the pack. `durable`: flushed to disk when `finish` returns.
        Raises ToolError when git is missing.
        """
        unpack = pack.count <= UNPACK_OBJECTS_MAX
        self._command = "unpack-objects" if unpack else "index-pack"
        options = ("-q",) if unpack else ("--stdin",)
        self._child = git.popen(*(_DURABLE if durable else ()), self._command, *options)
        self._feed(pack)

    def _feed(self, pack: Pack) -> None:
        assert self._child.stdin is not None
        try:
            for chunk in pack.chunks():
                self._child.stdin.write(chunk)
            self._child.stdin.close()
        except BrokenPipeError:  # git says why on stderr, and `finish` with it
            pass
        self._child.stdin = None

    def finish(self) -> None:
        """Waits until every object is there. Raises ToolError when git failed."""
        _, stderr = self._child.communicate()
        if self._child.returncode != 0:
            raise ToolError(
                f"git {self._command} could not store the transaction's objects: "
                f"{complaint(stderr) or 'it gave no reason'}"
            )

    def __enter__(self) -> PackStoring:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child.returncode is None:
            end_process(self._child, grace_s=TIDY_S)


def store_pack(git: Git, pack: Pack) -> None:
    """Stores the pack durably. Raises ToolError."""
    with PackStoring(git, pack, durable=True) as storing:
        storing.finish()
