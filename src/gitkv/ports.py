"""What the use cases need of the world. Adapters live in `git/`, `sign/` and `testing/`; rules
(`ledger/`, `wire/`) never see these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from gitkv.model.identity import PublicKey, Signature
from gitkv.model.oid import Oid
from gitkv.model.refs import Ref, RefUpdate


class ObjectStore(Protocol):
    """Reads objects by id. Raises IntegrityError when one is missing, or is not of the kind asked
    for.
    """

    def read(self, oid: Oid, kind: bytes) -> bytes:
        """The body of the object."""

    def read_many(self, oids: Iterable[Oid], kind: bytes) -> Iterator[bytes]:
        """The bodies, in the order asked; much faster than one by one."""

    def sizes(self, oids: Iterable[Oid]) -> Iterator[int]:
        """Body sizes in bytes, in the order asked, without reading the bodies."""

    def kinds(self, oids: Iterable[Oid]) -> Iterator[bytes | None]:
        """Kinds in the order asked; None for what is missing."""

    def has(self, oid: Oid) -> bool:
        """Whether the object is there."""

    def expand(self, abbreviation: str) -> Oid | None:
        """The object whose id begins with these hex digits; None when none or several do."""


class RefStore(Protocol):
    """Reads refs, and moves several as one."""

    def read(self, ref: Ref) -> Oid | None: ...

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]: ...

    def move(self, updates: Sequence[RefUpdate]) -> None:
        """All or nothing, durable on return. Raises ConflictError when an `old` is not the current
        value.
        """


class Signer(Protocol):
    """Signs commits for the configured identity."""

    def sign(self, payload: bytes) -> bytes:
        """The armoured signature (ends in LF) over a commit object without its gpgsig header.
        Raises ToolError.
        """


class Verifier(Protocol):
    """Checks commit signatures against a set of keys."""

    def verify(
        self, payload: bytes, armour: bytes, keys: Sequence[PublicKey], now_s: int
    ) -> Signature:
        """`armour`: as in the commit, empty for none; `now_s`: seconds since 1970 by which keys
        expire (spec/policy 6).
        """


class Clock(Protocol):
    def now_s(self) -> int:
        """Seconds since 1970-01-01T00:00:00Z."""
