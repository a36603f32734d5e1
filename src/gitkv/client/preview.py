"""What a write would do, without doing it: nothing is signed, stored, sent or moved.

Who would sign, and whether the policy would let them, is judged by the policy that this repository
knows; Stargate judges by its own.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.client.author import Author
from gitkv.client.build import Built, build
from gitkv.client.cutting import Values
from gitkv.client.draft import Draft
from gitkv.client.judge import foreseen, load_of
from gitkv.client.policy import read_policy
from gitkv.client.refresh import MIRROR, refresh
from gitkv.client.replica import Replica
from gitkv.client.store import Store
from gitkv.client.values import Written
from gitkv.client.whoami import signing_key
from gitkv.ledger.view import find_line
from gitkv.model.verdict import Reason
from gitkv.reading.answers import Changed
from gitkv.reading.history import changed


class Preview(NamedTuple):
    """`changes`: the keys that would change, in order; `principal`: who would sign by the policy,
    "" for nobody it knows; `reasons`: what would be against it; `commit`, `seq`: the state it
    would follow.
    """

    changes: list[Changed]
    principal: str
    reasons: list[Reason]
    commit: str
    seq: int


class DryStore(Store):
    """A store whose writes are only looked at. `preview`: what the last one would have done."""

    preview: Preview | None = None

    def _write(self, draft: Draft) -> Written:
        self.preview = preview(self._replica, draft)
        return Written(self.preview.commit, self.preview.seq, "", False, 0, 0, "")


def preview(replica: Replica, draft: Draft) -> Preview:
    """Raises ConflictError or KeyNotFoundError when the draft expects another state, ToolError when
    git does not know the writer.
    """
    refresh(replica, MIRROR)
    base, author = replica.tip(), Author(replica, draft.text)
    author.sign = _unsigned
    with Values(replica, draft) as values:
        built = build(replica, base, values, author)
        if built is None:
            return Preview([], "", [], base.ledger.oid.hex(), base.seq)
        try:
            key = signing_key(replica, read_policy(replica))
            reasons = foreseen(replica, built, key.fingerprint, key.principal)
            changes = _changes(replica, built, draft)
        finally:
            built.pack.close()
    return Preview(changes, key.principal, reasons, base.ledger.oid.hex(), base.seq)


def _unsigned(payload: bytes) -> bytes:
    return b""


def _changes(replica: Replica, built: Built, draft: Draft) -> list[Changed]:
    """What the transaction changes, as its index says."""
    load, found = load_of(replica, built), []
    for name in sorted(draft.changes):
        old, new = (find_line(tip, name, load) for tip in (built.base, built.tip))
        if (change := changed(name, old, new)) is not None:
            found.append(change)
    return found
