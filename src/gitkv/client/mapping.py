"""A store as a mutable mapping from keys to values (bytes), in which an expired key is absent.

Left to others: reading and writing (`store.py`), the views that read many values (`views.py`).
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView

from gitkv.client.refresh import MIRROR
from gitkv.client.values import Expect
from gitkv.errors import ConflictError, ExpiredError, KeyNotFoundError
from gitkv.model.content import Put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar, overload

    from gitkv.client.replica import Replica
    from gitkv.client.transaction import Tx
    from gitkv.client.values import Written
    from gitkv.reading.answers import Entry, Value

    T = TypeVar("T")


class StoreMapping(MutableMapping[str, bytes]):
    """The half of `Store` that any mapping has. Single methods read the tip, refreshed as for
    `read_from` "mirror".
    """

    if TYPE_CHECKING:  # what the other half brings
        _replica: Replica

        def value(
            self, key: str, *, at: str = "", read_from: str = "", allow_expired: bool = False
        ) -> Value: ...

        def entry(self, key: str) -> Entry: ...

        def list(self, *, limit: int | None = None) -> Iterator[Entry]: ...

        def set(self, key: str, value: bytes, *, expect: Expect = ...) -> Written: ...

        def delete(self, keys: Sequence[str]) -> Written: ...

        def write(self, changes: Mapping[str, Put | None]) -> Written: ...

        def transaction(self) -> Tx: ...

    def __getitem__(self, key: str) -> bytes:
        """Raises KeyNotFoundError or ExpiredError, which both are KeyErrors."""
        return self.value(key).value

    if TYPE_CHECKING:

        @overload
        def get(
            self, key: str, *, at: str = "", read_from: str = "", allow_expired: bool = False
        ) -> bytes | None: ...

        @overload
        def get(
            self,
            key: str,
            default: T,
            *,
            at: str = "",
            read_from: str = "",
            allow_expired: bool = False,
        ) -> bytes | T: ...

    def get(
        self,
        key: str,
        default: object = None,
        *,
        at: str = "",
        read_from: str = MIRROR,
        allow_expired: bool = False,
    ) -> object:
        """A key's value, or `default` when there is none or it has expired. Raises
        KeyInvalidError, IntegrityError, UnavailableError.
        """
        try:
            return self.value(key, at=at, read_from=read_from, allow_expired=allow_expired).value
        except (KeyNotFoundError, ExpiredError):
            return default

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        try:
            self.entry(key)
        except (KeyNotFoundError, ExpiredError):
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        """The keys of one state, in order."""
        return (entry.key for entry in self.list())

    def __len__(self) -> int:
        """Counts the keys: cost grows with the store."""
        return sum(1 for _ in self.list())

    def __bool__(self) -> bool:
        return any(True for _ in self.list(limit=1))

    def items(self) -> ItemsView[str, bytes]:
        """Keys with their values; iterating reads one state, many values at a time."""
        from gitkv.client.views import Items

        return Items(self, self._replica)

    def values(self) -> ValuesView[bytes]:
        """The values, in the order of their keys; iterating reads one state."""
        from gitkv.client.views import Values

        return Values(self, self._replica)

    def __setitem__(self, key: str, value: bytes) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete([key])

    def update(  # type: ignore[override]
        self, other: Mapping[str, bytes] | Iterable[tuple[str, bytes]] = (), /, **more: bytes
    ) -> None:
        """Sets all these keys in one transaction."""
        self.write({key: Put(value) for key, value in {**dict(other), **more}.items()})

    def setdefault(self, key: str, default: bytes) -> bytes:
        """The key's value; `default`, which is set, when there is none."""
        while (found := self.get(key)) is None:
            try:
                self.set(key, default, expect=Expect(if_absent=True))
            except ConflictError:
                continue  # another writer was faster: its value counts
            return default
        return found

    def pop(self, key: str, *default: T) -> bytes | T:
        """Deletes a key and returns its value; without one, `default` or KeyNotFoundError. Raises
        ConflictError when another writer changes it meanwhile.
        """
        with self.transaction() as tx:
            if key not in tx and default:
                return default[0]
            value = tx[key]
            del tx[key]
        return value

    def clear(self) -> None:
        """Deletes every key in one transaction."""
        self.write(dict.fromkeys(self))

    # A store is itself, whatever another one holds
    __eq__ = object.__eq__
    __hash__ = object.__hash__
