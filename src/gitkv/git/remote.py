"""Another repository as the use cases see it, through stock git (`transport.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gitkv.git import transport
from gitkv.git.process import Git
from gitkv.model.oid import ZERO_OID, Oid, parse_oid
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

    def stage(self, ref: Ref, tree: bytes, *, timeout_s: float | None = None) -> PushStatus:
        """As in the port. The tree is written into the repository, where nothing names it: git
        removes it when it tidies up.
        """
        told = self._git.run("hash-object", "-w", "-t", "tree", "--stdin", stdin=tree).stdout
        oid = parse_oid(told.rstrip(b"\n"))
        return self.push({ref: oid}, timeout_s=timeout_s)[ref]

    def drop(self, refs: Sequence[Ref], *, timeout_s: float | None = None) -> dict[Ref, PushStatus]:
        """As in the port."""
        return self.push(dict.fromkeys(refs, ZERO_OID), timeout_s=timeout_s)
