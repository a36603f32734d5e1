"""A pack of our own in the making, and its way into quarantine: the same as everybody's."""

from __future__ import annotations

import os
from contextlib import closing

from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.git.quarantine import Quarantine
from gitkv.model.oid import Oid


class GitSpool:
    """Spool of one repository; what does not fit into memory lies in its `kv` folder."""

    def __init__(self, git: Git) -> None:
        self._writer = PackWriter(os.path.join(git.git_dir, "kv"))
        self._quarantine = Quarantine(git)

    def add(self, kind: bytes, body: bytes) -> Oid:
        """As in the port."""
        return self._writer.add(kind, body)

    def finish(self) -> str:
        """As in the port."""
        with closing(self._writer.finish()) as pack:
            for chunk in pack.chunks():
                self._quarantine.feed(chunk)
        return self._quarantine.finish().pack_path

    def discard(self) -> None:
        """As in the port."""
        self._writer.close()
        self._quarantine.discard()
