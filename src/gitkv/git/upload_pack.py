"""Stock `git upload-pack` for one fetch: reading needs no gateway of ours, only a door to it."""

from __future__ import annotations

import re
from typing import IO

from gitkv.git.process import Git, end_process, scratch_file
from gitkv.model.refs import PRIVATE

_PROTOCOL = re.compile(r"version=[12]")


class UploadPack:
    """A running upload-pack. `requests` takes the client's bytes, `answers` gives git's; `end` in
    any case.
    """

    def __init__(self, git: Git, protocol: str, idle_timeout_s: int) -> None:
        """`protocol`: what the client put into GIT_PROTOCOL; anything but a known version is
        ignored.
        """
        asked = {"GIT_PROTOCOL": protocol} if _PROTOCOL.fullmatch(protocol) else {}
        self._complaints = scratch_file()
        hidden = [f"transfer.hideRefs={prefix.decode().rstrip('/')}" for prefix in PRIVATE]
        self._child = git.with_extra(asked).popen(
            *(word for setting in hidden for word in ("-c", setting)),
            "upload-pack",
            "--strict",
            f"--timeout={idle_timeout_s}",
            git.git_dir,
            stderr=self._complaints,
        )
        assert self._child.stdin is not None and self._child.stdout is not None
        self.requests: IO[bytes] = self._child.stdin
        self.answers: IO[bytes] = self._child.stdout

    def wait(self) -> int:
        """Blocks until git has ended; its exit code."""
        return self._child.wait()

    def end(self) -> None:
        """Kills git if it still runs; harmless when it does not."""
        end_process(self._child)
        self._complaints.close()
