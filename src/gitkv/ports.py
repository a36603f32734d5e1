"""What the use cases need of the world. Adapters live in `git/`, `sign/` and `testing/`; rules
(`ledger/`, `wire/`) never see these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from gitkv.errors import GitKvError
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

    def read_pieces(self, oid: Oid, kind: bytes) -> Iterator[bytes]:
        """The body in pieces, none of which is large; for a body that may be. The errors come
        before the first piece, but for a body that is damaged further on.
        """

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

    def read(self, ref: Ref) -> Oid | None:
        """The object id that a ref names; None when there is no such ref."""

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]:
        """All refs whose names start with `prefix`."""

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


class OutcomeUnknownError(GitKvError):
    """Neither acceptance nor refusal can be promised: the client must look for its transaction."""


class Delivery(NamedTuple):
    """All that is to become the repository's state at once, as plain values: the path of a checked
    pack that nobody can see yet ("" for none), the gateway's own commits (watchlog entries), and
    the refs that move. `dropped`: earlier such commits that no ref reaches any more afterwards.
    """

    pack_path: str
    commits: Sequence[bytes]
    updates: Sequence[RefUpdate]
    dropped: Sequence[Oid] = ()


class Lease(Protocol):
    """Who leads. The fence is the number of a leadership; a later leader's is higher."""

    def fence(self) -> int:
        """The fence of our leadership. Raises NotLeaderError when we do not lead."""


class Journal(Protocol):
    """The durable step: `prepare`, then `commit` or `abort`; one delivery at a time.

    After an error of `prepare`, and after one of `commit` that is not OutcomeUnknownError, nothing
    has moved: `abort` removes what was brought.
    """

    def prepare(self, delivery: Delivery, fence: int) -> None:
        """Brings everything into place, durably; no ref shows it yet. Raises OSError,
        NotLeaderError for a fence below one that was seen.
        """

    def commit(self, fence: int) -> None:
        """Moves the refs of the prepared delivery as one, durably. Raises ConflictError when one is
        not where the delivery says, NotLeaderError when the fence is not, or not any more, that of
        the lease, OSError, and OutcomeUnknownError when the disk does not confirm the move.
        """

    def finish(self) -> None:
        """Removes what a committed delivery dropped, then forgets its record. Raises OSError; a
        later `recover` does it.
        """

    def abort(self) -> None:
        """Leaves nothing of a prepared delivery whose refs did not move. Raises OSError; a later
        `recover` does it.
        """

    def recover(self, fence: int) -> str:
        """Ends what was begun and not finished, by this process, a killed one or a former leader:
        "" nothing to do, "forward" its refs had moved, "back" what it brought is removed. Raises
        NotLeaderError when a later leader began it.
        """
