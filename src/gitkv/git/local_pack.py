"""Puts a pack of our own writing into the repository, while the caller goes on with something else.

As git does with what it fetches, a small pack becomes loose objects and a large one is kept: a
store of thousands of small transactions must not become a store of thousands of packs. Left to
others: making the pack (`pack.py`), and moving the refs that make it matter.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from threading import Thread
from types import TracebackType

from gitkv.errors import GitKvError, MachineError, ToolError
from gitkv.git.durable import CLOCKS_APART_S, SYNCED, common_dir, sync_loose, sync_new_names
from gitkv.git.loose_object import loose_path
from gitkv.git.pack import Pack
from gitkv.git.process import (
    Completed,
    Git,
    complaint,
    end_process,
    machine_problem,
)
from gitkv.git.signals import Shield

_FINISH_S = 60.0  # for git to index a pack that it has whole
UNPACK_OBJECTS_MAX = 99  # git's transfer.unpackLimit is 100
_UNPACK_BYTES_MAX = 8 << 20  # chunks of large values would be deflated once more


class PackStoring:
    """git at work on one pack, and then the disk. `finish` waits until every object and its name is
    durable; leaving the context without it lets git finish what it has begun: an index-pack that
    is ended leaves its unfinished files, and what it stores matters to nobody without a ref.
    """

    def __init__(self, git: Git, pack: Pack) -> None:
        """Starts git and hands it the pack; the rest goes on beside the caller. Raises ToolError
        when git is missing.
        """
        self._git_dir = git.git_dir
        is_small = pack.count <= UNPACK_OBJECTS_MAX and pack.size <= _UNPACK_BYTES_MAX
        self._loose = pack.oids if is_small else []
        self._command = "unpack-objects" if self._loose else "index-pack"
        words = ("-q",) if self._loose else ("--stdin",)
        self._began_s = time.time() - CLOCKS_APART_S
        self._problem: GitKvError | OSError | None = None
        began = False
        # index-pack syncs what it writes; what is unpacked is synced here, side by side. Ctrl-C is
        # for this program: git is in a group of its own, and gets the whole pack before we end.
        try:
            with Shield():
                settings = () if self._loose else SYNCED
                self._child = git.popen(*settings, self._command, *words, own_group=True)
                self._feed(pack)
                self._rest = Thread(target=self._settle, daemon=True)
                self._rest.start()
                began = True
        except BaseException:
            if began:
                self._end()
            raise

    def _feed(self, pack: Pack) -> None:
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # git says why on stderr, and `finish` with it
            try:
                for chunk in pack.chunks():
                    self._child.stdin.write(chunk)
            finally:
                self._child.stdin.close()
        self._child.stdin = None

    def finish(self) -> None:
        """Raises ToolError when git failed, MachineError when the disk did."""
        self._rest.join()
        if isinstance(self._problem, OSError):
            why = self._problem.strerror or str(self._problem)
            raise MachineError(f"the transaction's objects could not be made durable: {why}")
        if self._problem is not None:
            raise self._problem

    def _settle(self) -> None:
        _, stderr = self._child.communicate()
        if self._child.returncode != 0:
            done = Completed(b"", stderr, self._child.returncode)
            self._problem = machine_problem(self._command, done) or ToolError(
                f"git {self._command} could not store the transaction's objects: "
                f"{complaint(stderr) or 'it gave no reason'}"
            )
            return
        try:
            if self._loose:
                root = common_dir(self._git_dir)
                paths = [loose_path(root, oid) for oid in self._loose]
                sync_loose(os.path.join(root, "objects"), paths)
            else:
                sync_new_names(self._git_dir, self._began_s)
        except OSError as error:
            self._problem = error

    def __enter__(self) -> PackStoring:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        with Shield():
            self._rest.join(_FINISH_S)
            if self._child.returncode is None:
                end_process(self._child)


def store_pack(git: Git, pack: Pack) -> None:
    """Stores the pack durably. Raises ToolError."""
    with PackStoring(git, pack) as storing:
        storing.finish()
