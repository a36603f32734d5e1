"""The ids of all accepted transactions: none is accepted twice, in whatever namespace.

They are those of the watchlogs, read once at the start and kept at 24 to 48 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitkv.errors import IntegrityError
from gitkv.gateway.watchlog import entries_back
from gitkv.model.refs import WATCHLOG
from gitkv.ports import History, ObjectStore, RefStore

_ID_BYTES = 16
_FREE = bytes(_ID_BYTES)
_SLOTS_MIN = 1 << 10
_FRESH_MAX = 1 << 10


class KnownTransactions:
    """A set of transaction ids: one table of raw ids with open addressing, at most two thirds full.
    A set of Python's takes two to four times as much. `learn` and `forget` are for one thread at a
    time.
    """

    def __init__(self) -> None:
        self._fresh: set[bytes] = set()  # the last ones, which may have to be forgotten
        self._count = 0  # in the table
        self._table = bytearray(_SLOTS_MIN * _ID_BYTES)

    def __len__(self) -> int:
        return self._count + len(self._fresh)

    def knows(self, txn: str) -> bool:
        """Whether a transaction with this id was accepted."""
        raw = _raw(txn)
        return raw in self._fresh or self._find(self._table, raw)[1]

    def learn(self, txns: Iterable[str]) -> None:
        """From now on the ids are known."""
        if len(self._fresh) >= _FRESH_MAX:
            for raw in self._fresh:
                self._keep(raw)
            self._fresh = set()
        self._fresh.update(_raw(txn) for txn in txns if not self.knows(txn))

    def forget(self, txns: Iterable[str]) -> None:
        """These were the last to be learnt, and came to nothing."""
        self._fresh.difference_update(_raw(txn) for txn in txns)

    def load(self, refs: RefStore, objects: ObjectStore, history: History) -> None:
        """Learns the ids of all watchlogs. Raises IntegrityError when an entry is missing, or an id
        stands in two.
        """
        for ref, newest in refs.read_all(WATCHLOG).items():
            known, entries = len(self), 0
            for entry in entries_back(history, objects, newest):
                self._keep(_raw(entry.txn))
                entries += 1
            if len(self) != known + entries:
                raise IntegrityError(
                    f"{ref.decode()}: expected {entries} different transaction ids, got "
                    f"{len(self) - known}"
                )

    def _keep(self, raw: bytes) -> None:
        at, is_known = self._find(self._table, raw)
        if is_known:
            return
        if 3 * self._count >= 2 * (len(self._table) // _ID_BYTES):
            self._grow()
            at, _ = self._find(self._table, raw)
        self._table[at : at + _ID_BYTES] = raw
        self._count += 1

    def _grow(self) -> None:
        old, table = self._table, bytearray(2 * len(self._table))
        for start in range(0, len(old), _ID_BYTES):
            raw = bytes(old[start : start + _ID_BYTES])
            if raw != _FREE:
                at, _ = self._find(table, raw)
                table[at : at + _ID_BYTES] = raw
        self._table = table

    @staticmethod
    def _find(table: bytearray, raw: bytes) -> tuple[int, bool]:
        """Where the id is, or is to go, and whether it is there. Python's hash of bytes has a
        secret key: no writer chooses ids that collide.
        """
        slots = len(table) // _ID_BYTES
        slot = hash(raw) % slots
        while True:
            at = slot * _ID_BYTES
            found = table[at : at + _ID_BYTES]
            if found in (raw, _FREE):
                return at, found == raw
            slot = (slot + 1) % slots


def _raw(txn: str) -> bytes:
    """Raises ValueError for what is no id. That of zeros is none: it has no version (RFC 9562)."""
    raw = bytes.fromhex(txn.replace("-", ""))
    if len(raw) != _ID_BYTES or raw == _FREE:
        raise ValueError(f"expected a transaction id of {_ID_BYTES} bytes, got {txn!r}")
    return raw
