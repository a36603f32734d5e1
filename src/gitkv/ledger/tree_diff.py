"""What differs between two versions of an ordered tree, at the cost of the difference: equal ids at
the same place are skipped whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from gitkv.ledger.node import Item
from gitkv.ledger.ordered_tree import OrderedTree
from gitkv.model.oid import Oid

Span = tuple[bytes, bytes | None]  # half-open range of names; None: no upper end
_ITEM = -1


class Difference(NamedTuple):
    """One name whose payloads differ; None where the name is absent."""

    name: bytes
    old: bytes | None
    new: bytes | None


class WorkLimitError(Exception):
    """The comparison opened more nodes than it was allowed."""


class _Part(NamedTuple):
    """A node or an item still to be compared; `upper` is the first name after it."""

    name: bytes
    payload: bytes
    level: int
    upper: bytes | None


class _Side:
    """One tree as a sequence of parts, opened only where asked."""

    def __init__(self, tree: OrderedTree, left_out: Sequence[Span]) -> None:
        self._tree = tree
        self._left_out = left_out
        self.parts: list[_Part] = []  # a stack: the next part is last
        self.opened = 0
        if tree.root is not None:
            first = tree.items(tree.root, tree.height)[0][0]
            self.parts.append(_Part(first, tree.root, tree.height, None))
            self.skip()

    def next(self) -> _Part | None:
        return self.parts[-1] if self.parts else None

    def drop(self) -> None:
        self.parts.pop()
        self.skip()

    def items(self) -> list[Item]:
        """The children of the next part, a node."""
        return self._tree.items(Oid(self.parts[-1].payload), self.parts[-1].level)

    def open(self, shared: AbstractSet[Item] = frozenset()) -> None:
        """Replaces the next part, a node, by its children without the shared ones."""
        items = self.items()
        node = self.parts.pop()
        self.opened += 1
        level, upper = node.level - 1, node.upper
        for item in reversed(items):
            if item not in shared:
                self.parts.append(_Part(item[0], item[1], level, upper))
            upper = item[0]
        self.skip()

    def skip(self) -> None:
        while self.parts and self._is_left_out(self.parts[-1]):
            self.parts.pop()

    def _is_left_out(self, part: _Part) -> bool:
        spans = self._left_out
        at = bisect_right(spans, part.name, key=lambda span: span[0]) - 1
        if at < 0:
            return False
        stop = spans[at][1]
        if stop is None:
            return True
        return (
            part.name < stop
            if part.level == _ITEM
            else part.upper is not None and part.upper <= stop
        )


def differences(
    old: OrderedTree,
    new: OrderedTree,
    *,
    left_out: Sequence[Span] = (),
    nodes_max: int | None = None,
) -> Iterator[Difference]:
    """The differing names in order, those in the `left_out` spans (sorted, disjoint) passed over.

    Raises WorkLimitError when more than `nodes_max` nodes of either tree would be opened, FormError
    when a node is malformed.
    """
    ours, theirs = _Side(old, left_out), _Side(new, left_out)
    while ours.parts or theirs.parts:
        found = _step(ours, theirs)
        if found is not None:
            yield found
        if nodes_max is not None and max(ours.opened, theirs.opened) > nodes_max:
            raise WorkLimitError


def _step(ours: _Side, theirs: _Side) -> Difference | None:
    a, b = ours.next(), theirs.next()
    if a is not None and b is not None and a[:3] == b[:3]:
        ours.drop()
        theirs.drop()
        return None
    if a is not None and (b is None or a.name < b.name):
        return _take(ours, a, is_old=True)
    if b is not None and (a is None or b.name < a.name):
        return _take(theirs, b, is_old=False)
    assert a is not None and b is not None  # the same name on both sides
    if a.level == b.level == _ITEM:
        ours.drop()
        theirs.drop()
        return Difference(a.name, a.payload, b.payload)
    if a.level == b.level:
        shared = set(ours.items()) & set(theirs.items())
        ours.open(shared)
        theirs.open(shared)
    else:
        (ours if a.level > b.level else theirs).open()
    return None


def _take(side: _Side, part: _Part, *, is_old: bool) -> Difference | None:
    if part.level != _ITEM:
        side.open()
        return None
    side.drop()
    return (
        Difference(part.name, part.payload, None)
        if is_old
        else Difference(part.name, None, part.payload)
    )
