"""Another repository as the use cases see it, through stock git (`transport.py`)."""

from __future__ import annotations

from collections.abc import Mapping

from gitkv.git import transport
from gitkv.git.process import Git
from gitkv.model.oid import Oid
from gitkv.model.refs import Ref
from gitkv.ports import PushStatus


class GitRemote:
    """Remote at a URL. `git` is whose credential helpers, ssh and proxies are for it."""

    def __init__(self, git: Git, url: str) -> None:
        self._git, self._url = git, url

    @property
    def address(self) -> str:
        """As in the port: the URL."""
        return self._url

    def refs(self, *, timeout_s: float | None = None) -> dict[Ref, Oid]:
        """As in the port."""
        return transport.ls_remote(self._git, self._url, timeout_s=timeout_s)

    def push(
        self, wanted: Mapping[Ref, Oid], *, timeout_s: float | None = None
    ) -> dict[Ref, PushStatus]:
        """As in the port."""
        moves = [transport.Push(oid, ref) for ref, oid in sorted(wanted.items())]
        return transport.push(self._git, self._url, moves, timeout_s=timeout_s)
