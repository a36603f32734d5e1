"""Writing from what the store holds already: undoing a transaction, copying and moving a key.

Left to others: single writes (`store.py`), what undoes a transaction (`undo.py`).
"""

from __future__ import annotations

from gitkv.client.browsing import StoreBrowsing
from gitkv.client.refresh import MIRROR
from gitkv.client.state import fresh_state
from gitkv.client.values import Expect
from gitkv.errors import UsageError
from gitkv.model.content import Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.client.draft import Draft
    from gitkv.client.values import Written
    from gitkv.model.oid import Oid


class StoreEditing(StoreBrowsing):
    """The part of `Store` that writes what it reads. What was read must still hold when the commit
    is made; otherwise ConflictError, and nothing is written.
    """

    if TYPE_CHECKING:  # what the other part brings

        def _write(self, draft: Draft) -> Written: ...

    def revert(self, seq: int, key: str = "", *, force: bool = False, message: str = "") -> Written:
        """Undoes transaction `seq`, or its change of `key`, by a new transaction: values, types and
        expiries become what they were before it. `force`: also where a key has changed since.

        Raises ConflictError where one has, KeyNotFoundError when `seq` did not change `key`,
        UsageError for a number that is no transaction.
        """
        from gitkv.client.draft import make_draft, shown_key
        from gitkv.client.undo import undo

        found = undo(fresh_state(self._replica, MIRROR), seq, key, force=force)
        what = f"{shown_key(key)}@{seq}" if key else f"@{seq}"
        draft = make_draft(found.changes, Expect(), message or f"revert {what}: {found.subject}")
        return self._write(draft._replace(seen=found.seen))

    def copy(
        self, source: str, target: str, *, at: str = "", force: bool = False, message: str = ""
    ) -> Written:
        """Gives `target` the value, type and expiry of `source`, as of the revision `at`. Raises
        ConflictError when `target` exists, unless `force`; KeyNotFoundError, ExpiredError.
        """
        return self._copied(source, target, at, force=force, message=message)

    def move(self, source: str, target: str, *, force: bool = False, message: str = "") -> Written:
        """As `copy`, and deletes `source`, in one transaction."""
        return self._copied(source, target, "", force=force, message=message, moves=True)

    def _copied(
        self, source: str, target: str, at: str, *, force: bool, message: str, moves: bool = False
    ) -> Written:
        from gitkv.client.draft import make_draft, shown_key
        from gitkv.model.key import encode_key

        if source == target and not at:
            raise UsageError("source and target are the same key")
        found = self.value(source, at=at)
        changes: dict[str, Put | None] = {target: Put(found.value, found.ctype, found.expires)}
        seen: dict[bytes, Oid | None] = {}
        if moves:
            from gitkv.model.oid import parse_oid

            changes[source] = None
            seen[encode_key(source)] = parse_oid(found.etag.encode())
        names = f"{shown_key(source)}{f'@{found.seq}' if at else ''} to {shown_key(target)}"
        text = message or f"{'move' if moves else 'copy'} {names}"
        draft = make_draft(changes, Expect(if_absent=not force), text)
        return self._write(draft._replace(seen=seen))
