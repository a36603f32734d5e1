"""Chains: what a ledger has one of for each sequence number.

A sequence number is never an index into a list: with epochs a chain begins at any number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Chain(Generic[T]):
    """The items of consecutive sequence numbers, from `first_seq` on; grows at its end only."""

    def __init__(self, first_seq: int = 0, items: Iterable[T] = ()) -> None:
        self.first_seq = first_seq
        self._items = list(items)

    @property
    def next_seq(self) -> int:
        """The sequence number after the last item's."""
        return self.first_seq + len(self._items)

    @property
    def last_seq(self) -> int:
        """The last item's sequence number; `first_seq - 1` when there is none."""
        return self.next_seq - 1

    def at(self, seq: int) -> T:
        """Raises LookupError for a sequence number that the chain does not have."""
        if not self.has(seq):
            raise LookupError(
                f"sequence number {seq}: expected {self.first_seq} to {self.last_seq}"
            )
        return self._items[seq - self.first_seq]

    def get(self, seq: int) -> T | None:
        """None for a sequence number that the chain does not have."""
        return self._items[seq - self.first_seq] if self.has(seq) else None

    def has(self, seq: int) -> bool:
        """Whether the chain holds this sequence number."""
        return self.first_seq <= seq < self.next_seq

    @property
    def last(self) -> T:
        """Raises LookupError when there is none."""
        return self.at(self.last_seq)

    def append(self, item: T) -> None:
        """Adds the item of `next_seq`."""
        self._items.append(item)

    def up_to(self, seq: int) -> Chain[T]:
        """The part that ends with `seq`."""
        return Chain(self.first_seq, self._items[: max(0, seq + 1 - self.first_seq)])

    def seq_of(self, item: T) -> int | None:
        """The sequence number of an item, None when it is not in the chain. Linear."""
        return next((seq for seq, found in self.items() if found == item), None)

    def items(self) -> Iterator[tuple[int, T]]:
        """(sequence number, item), in order."""
        return enumerate(self._items, self.first_seq)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
