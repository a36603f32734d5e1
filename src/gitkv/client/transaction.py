"""A transaction in Python: changes are gathered, reads see them, and one commit is made at the end,
or none.

What was read must still hold when the commit is made: otherwise ConflictError, and nothing is
written. So read-modify-write is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from gitkv.client.draft import Draft, expiry, make_draft
from gitkv.client.refresh import MIRROR, refresh
from gitkv.client.replica import Replica
from gitkv.client.values import Expect, Written
from gitkv.errors import KeyNotFoundError, UsageError
from gitkv.ledger.seek import LedgerCommit
from gitkv.ledger.view import find_line
from gitkv.model.content import Put
from gitkv.model.key import Name, encode_key
from gitkv.model.oid import Oid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from gitkv.client.content import Given

    T = TypeVar("T")


class Tx:
    """What `Store.transaction` gives. `written` is the outcome, None until the commit is made."""

    def __init__(self, replica: Replica, message: str, write: Callable[[Draft], Written]) -> None:
        self.written: Written | None = None
        self._replica = replica
        self._message = message
        self._write = write
        self._changes: dict[str, Put | None] = {}
        self._seen: dict[bytes, Oid | None] = {}
        self._at: LedgerCommit | None = None
        self._over = False

    def __getitem__(self, key: str) -> bytes:
        """The value as this transaction leaves it. Raises KeyNotFoundError, also for an expired
        key.
        """
        if key in self._changes:
            put = self._changes[key]
            if put is None:
                raise KeyNotFoundError(f"key {key} is deleted by this transaction")
            return put.value if isinstance(put.value, bytes) else b"".join(put.value.pieces())
        if self._stored(encode_key(key)) is None:
            raise KeyNotFoundError(f"key {key} does not exist")
        from gitkv.client.state import trusted_state
        from gitkv.reading.lookup import read_value

        assert self._at is not None
        return read_value(trusted_state(self._replica)._replace(tip=self._at), key).value

    def get(self, key: str, default: T = None) -> bytes | T:  # type: ignore[assignment]
        """The value as this transaction leaves it, or `default` when there is none."""
        try:
            return self[key]
        except KeyNotFoundError:
            return default

    def set(
        self, key: str, value: Given, *, ctype: str = "", ttl_s: int = 0, expires: int = 0
    ) -> None:
        """Sets a key at commit; `ttl_s` and `expires` as in `Store.set`. A stream is read at once,
        a file when the commit is made. Raises KeyInvalidError, UsageError.
        """
        encode_key(key)
        until_s = expiry(ttl_s, expires, self._replica.host.now_s())
        self._open()._changes[key] = Put(self._replica.content_of(key, value), ctype, until_s)

    def delete(self, key: str) -> None:
        """Deletes a key at commit. Raises KeyNotFoundError when this transaction sees no such
        key.
        """
        if key not in self:
            raise KeyNotFoundError(f"key {key} does not exist")
        self._open()._changes[key] = None

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        if key in self._changes:
            return self._changes[key] is not None
        return self._stored(encode_key(key)) is not None

    def __setitem__(self, key: str, value: bytes) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def __enter__(self) -> Tx:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over = True
        if kind is None and self._changes:
            draft = make_draft(self._changes, Expect(), self._message)
            self.written = self._write(draft._replace(seen=self._seen))

    def _open(self) -> Tx:
        if self._over:
            raise UsageError("this transaction is over")
        return self

    def _stored(self, name: Name) -> Oid | None:
        """The value's id at the one tip this transaction reads; remembered, so that the commit can
        insist on it.
        """
        if self._at is None:
            refresh(self._replica, MIRROR)
            self._at = self._replica.ledger()
        line = find_line(self._at, name, self._replica.load)
        self._seen[name] = line.oid if line is not None else None
        return None if line is None or line.is_expired(self._replica.host.now_s()) else line.oid
