"""The values of a store seen as a mapping: read from one state, many at a time."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView

from gitkv.client.refresh import MIRROR
from gitkv.client.replica import Replica
from gitkv.client.state import fresh_state
from gitkv.reading.lookup import read_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.client.mapping import StoreMapping


def pairs(replica: Replica) -> Iterator[tuple[str, bytes]]:
    """Each unexpired key with its value, in order. Raises IntegrityError when a value is missing,
    and what a refresh raises.
    """
    found = read_prefix(fresh_state(replica, MIRROR), "")
    return ((value.key, value.value) for value in found)


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
