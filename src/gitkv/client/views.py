"""The values of a store seen as a mapping: read from one state, many at a time."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from itertools import islice

from gitkv.client.refresh import MIRROR
from gitkv.client.replica import Replica
from gitkv.client.state import fresh_state
from gitkv.errors import IntegrityError
from gitkv.model.oid import BLOB, Oid
from gitkv.reading.lookup import list_entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.client.mapping import StoreMapping

_GROUP = 512


def pairs(replica: Replica) -> Iterator[tuple[str, bytes]]:
    """Each unexpired key with its value, in order. Raises IntegrityError when a value is missing,
    and what a refresh raises.
    """
    entries = list_entries(fresh_state(replica, MIRROR))
    while group := list(islice(entries, _GROUP)):
        oids = [Oid(bytes.fromhex(entry.etag)) for entry in group]
        for entry, value in zip(group, replica.objects.read_many(oids, BLOB), strict=True):
            if len(value) != entry.size:
                raise IntegrityError(
                    f"value of {entry.key}: expected {entry.size} bytes as the index says, got "
                    f"{len(value)}"
                )
            yield entry.key, value


class Items(ItemsView[str, bytes]):
    """What `Store.items` gives."""

    def __init__(self, store: StoreMapping, replica: Replica) -> None:
        super().__init__(store)
        self._replica = replica

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return pairs(self._replica)


class Values(ValuesView[bytes]):
    """What `Store.values` gives."""

    def __init__(self, store: StoreMapping, replica: Replica) -> None:
        super().__init__(store)
        self._replica = replica

    def __iter__(self) -> Iterator[bytes]:
        return (value for _, value in pairs(self._replica))

    def __contains__(self, value: object) -> bool:
        return any(value == stored for stored in self)
