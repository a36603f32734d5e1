"""The content-defined ordered tree: reading, and changing at the cost of the change (spec/format
3).

The shape is a function of the set of names, so two writers with the same contents have the same
root, a change rewrites about one node a level, and a prefix is a contiguous run. Nodes are named by
their first item; what is cut where is in `node`, what differs in `tree_diff`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from gitkv.ledger.node import (
    LEVELS_MAX,
    Item,
    Leaves,
    decode_inner,
    encode_inner,
    starts_node,
)
from gitkv.model.oid import TREE, Oid, hash_object
from gitkv.model.verdict import POLICY, FormError, reason

Load = Callable[[Oid, bytes], bytes]  # (id, kind) -> body
Emit = Callable[[bytes, bytes], Oid]  # (kind, body) -> id; takes a new object
Edit = tuple[bytes, bytes | None]  # (name, new payload); None removes the name


class Place(NamedTuple):
    """A node and where it stands: `upper` is the first name after it on its level, None for the
    last node.
    """

    oid: Oid
    first: bytes
    upper: bytes | None


class OrderedTree:
    """One version of a tree, read lazily; decoded nodes are kept, so use a tree for one operation
    and drop it.
    """

    def __init__(self, root: Oid | None, leaves: Leaves, load: Load) -> None:
        self.root = root
        self.leaves = leaves
        self._load = load
        self._decoded: dict[Oid, list[Item]] = {}
        self._height: int | None = None

    @property
    def height(self) -> int:
        """The root's level. Raises FormError when the tree is deeper than spec/format 3.7
        allows.
        """
        if self._height is None:
            self._height = self._measure()
        return self._height

    def _measure(self) -> int:
        if self.root is None:
            return self.leaves.lowest_root
        oid, inner_levels = self.root, 0
        body = self._load(oid, TREE)
        while not self.leaves.is_bottom(body):
            inner_levels += 1
            if inner_levels > LEVELS_MAX:
                raise FormError(
                    reason(
                        POLICY, "tree.depth", "ordered tree", f"at most {LEVELS_MAX} levels", "more"
                    )
                )
            oid = Oid(decode_inner(body, points_to_pages=False)[0][1])
            body = self._load(oid, TREE)
        return inner_levels + self.leaves.lowest_root

    def items(self, oid: Oid, level: int) -> list[Item]:
        """The items of a node on this level. Raises FormError when it is not such a node."""
        known = self._decoded.get(oid)
        if known is None:
            if level == 0:
                known = self.leaves.decode(self._load(oid, self.leaves.kind))
            else:
                known = decode_inner(
                    self._load(oid, TREE), points_to_pages=self._points_to_pages(level)
                )
            self._decoded[oid] = known
        return known

    def _points_to_pages(self, level: int) -> bool:
        return level == 1 and self.leaves.lowest_root == 1

    def encode(self, items: list[Item], level: int) -> tuple[bytes, bytes]:
        """(kind, body) of a node on this level."""
        if level == 0:
            return self.leaves.kind, self.leaves.encode(items)
        return TREE, encode_inner(items, points_to_pages=self._points_to_pages(level))

    def get(self, name: bytes) -> bytes | None:
        """The payload of a name, or None. One node read a level."""
        if self.root is None:
            return None
        items = self.items(self.locate(0, name).oid, 0)
        at = bisect_left(items, name, key=_name)
        return items[at][1] if at < len(items) and items[at][0] == name else None

    def get_many(self, names: Iterable[bytes]) -> Iterator[bytes | None]:
        """The payload of each name, or None; names ascend. Each leaf is found once, so neighbours
        cost a table look-up.
        """
        if self.root is None:
            yield from (None for _ in names)
            return
        here: Place | None = None
        found: dict[bytes, bytes] = {}
        for name in names:
            if here is None or (here.upper is not None and name >= here.upper):
                here = self.locate(0, name)
                found = dict(self.items(here.oid, 0))
            yield found.get(name)

    def locate(self, level: int, name: bytes) -> Place:
        """The node of a non-empty tree in whose span `name` falls; the first node for names before
        it.
        """
        return self._descend(level, name, bisect_right)

    def locate_before(self, level: int, first: bytes) -> Place | None:
        """The node before the one that starts with `first`."""
        place = self._descend(level, first, bisect_left)
        return place if place.first < first else None

    def _descend(self, level: int, name: bytes, bisect: Callable[..., int]) -> Place:
        assert self.root is not None
        oid, upper = self.root, None
        first = self.items(oid, self.height)[0][0]
        for at_level in range(self.height, level, -1):
            items = self.items(oid, at_level)
            at = max(bisect(items, name, key=_name) - 1, 0)
            first, child = items[at]
            oid = Oid(child)
            upper = items[at + 1][0] if at + 1 < len(items) else upper
        return Place(oid, first, upper)

    def scan(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[Item]:
        """Items with start <= name < stop, in order; reads only the nodes that hold them."""
        if self.root is not None:
            yield from self._scan(self.root, self.height, start, stop)

    def _scan(self, oid: Oid, level: int, start: bytes, stop: bytes | None) -> Iterator[Item]:
        items = self.items(oid, level)
        low = (
            bisect_left(items, start, key=_name)
            if level == 0
            else max(bisect_right(items, start, key=_name) - 1, 0)
        )
        for name, payload in items[low:]:
            if stop is not None and name >= stop:
                return
            if level == 0:
                yield name, payload
            else:
                yield from self._scan(Oid(payload), level - 1, start, stop)
                self._decoded.pop(Oid(payload), None)  # a scan never comes back: keep memory flat

    def leaves_between(self, start: bytes, stop: bytes | None) -> Iterator[Oid]:
        """The leaves that may hold names with start <= name < stop, in order; none is read. For a
        tree of pages.
        """
        if self.root is not None:
            yield from self._leaves(self.root, self.height, start, stop)

    def _leaves(self, oid: Oid, level: int, start: bytes, stop: bytes | None) -> Iterator[Oid]:
        items = self.items(oid, level)
        low = max(bisect_right(items, start, key=_name) - 1, 0)
        for name, payload in items[low:]:
            if stop is not None and name >= stop:
                return
            if level == 1:
                yield Oid(payload)
            else:
                yield from self._leaves(Oid(payload), level - 1, start, stop)
                self._decoded.pop(Oid(payload), None)  # as in a scan

    def apply(self, edits: Sequence[Edit], emit: Emit) -> Oid | None:
        """The root after the edits (sorted, each name once); new nodes go to `emit`, each once, and
        nothing that the new tree lacks.
        """
        return _Rewrite(self, emit).run(edits)


class _Rewrite:
    """One application of edits, level by level from the leaves: edits of a level make the edits of
    the level above.
    """

    def __init__(self, tree: OrderedTree, emit: Emit) -> None:
        self._tree = tree
        self._emit = emit
        self._inner: dict[
            Oid, tuple[bytes, list[Item]]
        ] = {}  # new nodes above level 0: held back until the root is known

    def run(self, edits: Sequence[Edit]) -> Oid | None:
        tree, level, nodes = self._tree, 0, edits
        standing: list[Item] = []
        if tree.root is not None:
            for level in range(tree.height + 1):
                if not nodes:
                    return tree.root
                nodes = self._rewrite_level(level, nodes)
            standing.append((tree.items(tree.root, tree.height)[0][0], tree.root))
        else:
            nodes = self._build_level(0, nodes)
        items = _merge(standing, nodes)  # the old root may stand on, with new nodes beside it
        if not items:
            return None
        while len(items) > 1 or level < tree.leaves.lowest_root:
            level += 1
            items = [
                (name, oid) for name, oid in self._build_level(level, items) if oid is not None
            ]
        root = self._lower_root(Oid(items[0][1]), level)
        for body, _ in self._inner.values():
            self._emit(TREE, body)
        return root

    def _rewrite_level(self, level: int, edits: Sequence[Edit]) -> list[Edit]:
        above: dict[bytes, bytes | None] = {}
        at = 0
        while at < len(edits):
            at = self._rewrite_run(level, edits, at, above)
        return sorted(above.items(), key=_name)

    def _rewrite_run(
        self, level: int, edits: Sequence[Edit], at: int, above: dict[bytes, bytes | None]
    ) -> int:
        """Rewrites nodes from the one that edits[at] falls in until a new cut meets an old one;
        returns the first edit not used.
        """
        tree = self._tree
        place = tree.locate(level, edits[at][0])
        if edits[at] == (
            place.first,
            None,
        ):  # its start goes: whether the node before now reaches further is to be seen
            place = tree.locate_before(level, place.first) or place
        cutter = _Cutter(level)
        untouched: dict[bytes, Oid] = {}
        while True:
            end = (
                len(edits)
                if place.upper is None
                else bisect_left(edits, place.upper, lo=at, key=_name)
            )
            cutter.extend(_merge(tree.items(place.oid, level), edits[at:end]))
            at = end
            above[place.first] = None
            untouched[place.first] = place.oid
            if place.upper is None:
                break
            removed_next = at < len(edits) and edits[at] == (place.upper, None)
            if not removed_next and cutter.would_cut(place.upper):
                break
            place = tree.locate(level, place.upper)
        for items in cutter.finish():
            oid = self._write(items, level, set(untouched.values()))
            if untouched.get(items[0][0]) == oid:
                del above[items[0][0]]
            else:
                above[items[0][0]] = oid
        return at

    def _build_level(self, level: int, items: Sequence[Edit]) -> list[Edit]:
        cutter = _Cutter(level)
        cutter.extend([(name, payload) for name, payload in items if payload is not None])
        return [(node[0][0], self._write(node, level, frozenset())) for node in cutter.finish()]

    def _write(self, items: list[Item], level: int, standing: set[Oid] | frozenset[Oid]) -> Oid:
        kind, body = self._tree.encode(items, level)
        oid = hash_object(kind, body)
        if oid in standing:
            return oid
        if level == 0:
            return self._emit(kind, body)
        self._inner[oid] = (body, items)
        return oid

    def _lower_root(self, root: Oid, level: int) -> Oid:
        """The root is the only node of the lowest level that has one (spec/format 3.1): pass by
        those with a single child.
        """
        while level > self._tree.leaves.lowest_root:
            items = self._inner[root][1] if root in self._inner else self._tree.items(root, level)
            if len(items) > 1:
                break
            self._inner.pop(root, None)
            root, level = Oid(items[0][1]), level - 1
        return root


class _Cutter:
    """Cuts a run of items, which starts where a node starts, into nodes."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._nodes: list[list[Item]] = []
        self._open: list[Item] = []

    def extend(self, items: Sequence[Item]) -> None:
        level, current = self._level, self._open
        for item in items:
            if starts_node(level, item[0], len(current)):
                self._nodes.append(current)
                current = []
            current.append(item)
        self._open = current

    def would_cut(self, name: bytes) -> bool:
        return not self._open or starts_node(self._level, name, len(self._open))

    def finish(self) -> list[list[Item]]:
        if self._open:
            self._nodes.append(self._open)
        return self._nodes


def _merge(items: list[Item], edits: Sequence[Edit]) -> list[Item]:
    if not edits:
        return items
    merged: dict[bytes, bytes | None] = dict(items)
    merged.update(edits)
    return sorted([(name, payload) for name, payload in merged.items() if payload is not None])


def _name(item: tuple[bytes, object]) -> bytes:
    return item[0]
