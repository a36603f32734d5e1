"""One state of a namespace, as readers see it: a clone asks with what it trusts, a server with its
own tip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gitkv.errors import IntegrityError
from gitkv.ledger.seek import LedgerCommit
from gitkv.model.oid import Oid
from gitkv.model.refs import Namespace
from gitkv.model.verdict import FormError
from gitkv.ports import ObjectStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.model.policy import Policy


def _nothing(moment_s: int) -> Oid | None:
    return None


class Chunks(NamedTuple):
    """Where chunks are read, and what fetches those that are missing there, as far as it can."""

    objects: ObjectStore
    bring: Callable[[Sequence[Oid]], None]


class State(NamedTuple):
    """`tip`: the newest ledger commit that counts; `now_s`: seconds since 1970, by which keys
    expire; `policy` gives the policy whose names are shown, None when there is none; `until` gives
    the newest ledger commit accepted at or before a moment, None when there was none; `chunks`:
    where those of large values are, None for among the other objects.
    """

    ns: Namespace
    tip: LedgerCommit
    objects: ObjectStore
    now_s: int
    policy: Callable[[], Policy | None]
    until: Callable[[int], Oid | None] = _nothing
    chunks: Callable[[], Chunks] | None = None

    def load(self, oid: Oid, kind: bytes) -> bytes:
        """A Load of the rules."""
        return self.objects.read(oid, kind)

    def with_expired(self) -> State:
        """The same state for a reader to whom no key has expired."""
        return self._replace(now_s=0)


def malformed(what: str, at: LedgerCommit, error: FormError) -> IntegrityError:
    """The error for data below a ledger commit that is not what the format says."""
    return IntegrityError(
        f"the {what} of {at.oid.hex()} is malformed: {error}",
        hint="check the history with: git kv verify",
    )
