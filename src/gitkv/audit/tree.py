"""Compares two ordered trees by their nodes and proves the canonical shape of what is new
(`spec/format`, section 3).

The audit's own reader and its own cut rule: nothing is shared with the code that writes trees. The
old tree is trusted; the new one is hostile. Both are opened level by level from the top; a node
stays closed when the other tree has it at the same place with the same successor, because then its
content, its last name and its end are what they were. Every rule is local to a node and the name
that follows it, so opened nodes are all there is to check. What the names and payloads mean is left
to `step.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from operator import lt
from typing import NamedTuple, Protocol

from gitkv.audit.lines import parse_page
from gitkv.audit.node import (
    TREE_ENTRY,
    Items,
    Root,
    malformed,
    parse_node,
    tree_entries,
)
from gitkv.model.oid import EMPTY_TREE, Oid
from gitkv.model.verdict import INTEGRITY, POLICY

NODE_ITEMS_MIN, NODE_ITEMS_MAX = 8, 512  # 3.3
LEVEL_MAX = 15  # 3.7: at most 16 levels
TREE_BYTES_MAX = NODE_ITEMS_MAX * (720 + 29)
PAGE_BYTES_MAX = NODE_ITEMS_MAX * 1300


class Loader(Protocol):
    """Bulk reads; each raises LookupError when an object is missing or of another kind."""

    def tree(self, oid: Oid) -> bytes:
        """The body of a tree object."""

    def sizes(self, oids: Sequence[Oid]) -> Sequence[int]:
        """Bytes of each blob, in the order asked."""

    def trees(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        """Bodies in the order asked, one at a time."""

    def blobs(self, oids: Sequence[Oid]) -> Iterator[bytes]:
        """Bodies in the order asked, one at a time."""


class _Place(NamedTuple):
    """A node as its parent names it; `until` is the first name after it in the whole tree, None at
    the end.
    """

    name: bytes
    oid: Oid
    until: bytes | None


class MapDiff(NamedTuple):
    """Items (name → value id or line) of the opened leaves of both trees, the names that differ,
    and the nodes only the new tree has.
    """

    old: dict[bytes, bytes]
    new: dict[bytes, bytes]
    changed: set[bytes]
    fresh: set[Oid]


class TreeWalk:
    """Reads and compares the maps of one audit. Opens at most `nodes_max` nodes a map; more is
    malformed.
    """

    def __init__(self, load: Loader, nodes_max: int) -> None:
        self._load = load
        self._nodes_max = nodes_max
        self._low: dict[int, dict[bytes, bool]] = {}

    def roots(self, tree: Oid, map_names: tuple[str, ...]) -> list[Root]:
        """The maps of a ledger or index tree (4.1, 5.1). Raises MalformedError for others."""
        held: dict[str, Oid] = {}
        entries = list(tree_entries(self._tree(tree), "tree " + tree.hex()))
        for mode, name, oid in entries:
            if mode != b"40000" or name not in [known.encode() for known in map_names]:
                raise malformed(
                    POLICY,
                    "tree.entry",
                    "tree " + tree.hex(),
                    f"only 40000 {', '.join(map_names)}",
                    mode + b" " + name,
                )
            held[name.decode()] = oid
        names = [name for _, name, _ in entries]
        if names != sorted(set(names)):
            raise malformed(
                POLICY,
                "tree.entry",
                "tree " + tree.hex(),
                "sorted entries, each once",
                b" ".join(names),
            )
        return [Root(name, held.get(name)) for name in map_names]

    def diff(self, before: Root, after: Root) -> MapDiff:
        """How maps differ. Raises MalformedError at the first breach of section 3 in `after`."""
        found = MapDiff({}, {}, set(), set())
        if before.oid == after.oid:
            return found
        left, old_top = self._nodes_max, self._top(before)
        new_top, olds, news = self._judged_top(after), list[_Place](), list[_Place]()
        for level in range(max(old_top[0], new_top[0]), -1, -1):
            olds = old_top[1] if level == old_top[0] else olds
            news = new_top[1] if level == new_top[0] else news
            shared = set(olds).intersection(news)
            olds, news = (
                [place for place in olds if place not in shared],
                [place for place in news if place not in shared],
            )
            left -= len(olds) + len(news)
            _refuse_bomb(news, after.map_name, left)
            _refuse_bomb(
                olds, before.map_name, left
            )  # after a violation the old tree may be forged, too
            found.fresh.update(
                {place.oid for place in news}.difference([place.oid for place in olds])
            )
            if level > 0:
                olds, news = (
                    self._below(before, level, olds, judged=False),
                    self._below(after, level, news, judged=True),
                )
        found.old.update(item for _, items in self._leaves(before, olds) for item in items)
        for place, items in self._leaves(after, news):
            self._judge_node(after, 0, place, items)
            found.new.update(items)
        found.changed.update(
            [name for name, payload in found.new.items() if found.old.get(name) != payload]
        )
        found.changed.update(found.old.keys() - found.new.keys())
        return found

    def find(self, root: Root, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those of `names` that a trusted map holds, with their payload, reading only the nodes on
        the way.
        """
        wanted, held = sorted(names), dict[bytes, bytes]()
        level, places = self._top(root) if wanted else (0, [])
        while level > 0:
            places, level = (
                _on_the_way(self._below(root, level, places, judged=False), wanted),
                level - 1,
            )
        for _, items in self._leaves(root, places):
            held.update(items)
        return {name: held[name] for name in wanted if name in held}

    def _top(self, root: Root) -> tuple[int, list[_Place]]:
        """The level of the root, read off its leftmost path, and its place; level 0 and no place
        for the empty map.
        """
        if root.oid is None:
            return 0, []
        oid, first = root.oid, b""
        for level in range(int(root.of_lines), LEVEL_MAX + 1):
            head = TREE_ENTRY.match(self._tree(oid))
            if head is None:
                raise malformed(
                    INTEGRITY,
                    "tree.shape",
                    root.map_name,
                    "a node with entries (an empty map is left out)",
                    "tree " + oid.hex(),
                )
            first = first or head[2]
            if root.is_lowest(head[1], head[2]):
                return level, [_Place(first.removesuffix(b"!"), root.oid, None)]
            oid = Oid(head[3])
        raise malformed(
            POLICY, "tree.depth", root.map_name, f"at most {LEVEL_MAX + 1} levels", "more"
        )

    def _judged_top(self, root: Root) -> tuple[int, list[_Place]]:
        level, places = self._top(root)
        # A root with one child stands on a level that has one node below it: 3.1 puts the root
        # there.
        if places and level > root.of_lines and len(self._items(root, level, places[0].oid)) < 2:
            raise malformed(
                INTEGRITY,
                "tree.shape",
                root.map_name,
                "the root on the lowest level that has one node",
                f"a root of one item on level {level}",
            )
        return level, places

    def _below(
        self, root: Root, level: int, places: Iterable[_Place], *, judged: bool
    ) -> list[_Place]:
        below: list[_Place] = []
        for place in places:
            items = self._items(root, level, place.oid)
            if judged:
                self._judge_node(root, level, place, items)
            names: list[bytes | None] = [name for name, _ in items[1:]]
            names.append(place.until)
            below += [
                _Place(name, Oid(oid), until)
                for (name, oid), until in zip(items, names, strict=True)
            ]
        return below

    def _leaves(self, root: Root, places: Sequence[_Place]) -> Iterator[tuple[_Place, Items]]:
        oids = [place.oid for place in places]
        if not root.of_lines:
            for place, body in zip(places, _read(self._load.trees, oids, "tree"), strict=True):
                yield place, self._parsed(root, 0, place.oid, body)
            return
        for place, body in zip(places, read_blobs(self._load, oids), strict=True):
            if len(body) > PAGE_BYTES_MAX:
                raise malformed(
                    POLICY,
                    "tree.size",
                    f"{root.map_name} page {place.oid.hex()}",
                    f"at most {PAGE_BYTES_MAX} bytes",
                    str(len(body)),
                )
            items = parse_page(body, root.map_name)
            if items is None:
                raise malformed(
                    INTEGRITY,
                    "index.form",
                    f"{root.map_name} page {place.oid.hex()}",
                    "canonical lines, each ended by LF",
                    body[:120],
                )
            yield place, items

    def _items(self, root: Root, level: int, oid: Oid) -> Items:
        return self._parsed(root, level, oid, self._tree(oid))

    def _parsed(self, root: Root, level: int, oid: Oid, body: bytes) -> Items:
        if len(body) > TREE_BYTES_MAX:
            raise malformed(
                POLICY,
                "tree.size",
                "tree " + oid.hex(),
                f"at most {TREE_BYTES_MAX} bytes",
                str(len(body)),
            )
        return parse_node(body, root.form(level), f"{root.map_name} node {oid.hex()}")

    def _tree(self, oid: Oid) -> bytes:
        if oid == EMPTY_TREE:
            return b""
        try:
            body = self._load.tree(oid)
        except LookupError as lost:
            raise malformed(
                INTEGRITY,
                "object.missing",
                "tree " + oid.hex(),
                "to be there",
                str(lost) or "nothing",
            ) from None
        if len(body) > TREE_BYTES_MAX:
            raise malformed(
                POLICY,
                "tree.size",
                "tree " + oid.hex(),
                f"at most {TREE_BYTES_MAX} bytes",
                str(len(body)),
            )
        return body

    def _judge_node(self, root: Root, level: int, place: _Place, items: Items) -> None:
        """3.1, 3.3, 3.7 for one node, its name in its parent, and the cut at its end."""
        names = [name for name, _ in items]
        where = f"{root.map_name} node {place.oid.hex()}"
        if not names or names[0] != place.name:
            raise malformed(
                INTEGRITY,
                "tree.shape",
                where,
                f"first name {place.name!r}",
                names[0] if names else "an empty node",
            )
        if not all(map(lt, names, names[1:])) or (
            place.until is not None and names[-1] >= place.until
        ):
            raise malformed(
                POLICY, "tree.entry", where, "names in ascending order, each once", "another order"
            )
        if len(names) > NODE_ITEMS_MAX or self._any_low(level, names[NODE_ITEMS_MIN:]):
            raise malformed(
                INTEGRITY,
                "tree.shape",
                where,
                "a cut where 3.3 makes one",
                f"none in {len(names)} items",
            )
        if (
            place.until is not None
            and len(names) < NODE_ITEMS_MAX
            and (len(names) < NODE_ITEMS_MIN or not self._any_low(level, [place.until]))
        ):
            raise malformed(
                INTEGRITY,
                "tree.shape",
                where,
                f"no cut before {place.until!r}",
                f"a cut after {len(names)} items",
            )

    def _any_low(self, level: int, names: Iterable[bytes]) -> bool:
        """3.2: the first two bytes are below 1024 exactly when the first is below 4. One call a
        node: every changed name passes here.
        """
        known, prefix = self._low.setdefault(level, {}), bytes((level,))
        for name in names:
            low = known.get(name)
            if low is None:
                low = known[name] = sha256(prefix + name).digest()[0] < 4
            if low:
                return True
        return False


def read_blobs(load: Loader, oids: Sequence[Oid]) -> Iterator[bytes]:
    """`load.blobs`, with a missing object as MalformedError."""
    return _read(load.blobs, oids, "blob")


def _read(
    read: Callable[[Sequence[Oid]], Iterator[bytes]], oids: Sequence[Oid], kind: str
) -> Iterator[bytes]:
    bodies = iter(read(oids)) if oids else iter(())
    for oid in oids:
        try:
            body = next(bodies)
        except (LookupError, StopIteration) as lost:
            raise malformed(
                INTEGRITY,
                "object.missing",
                f"{kind} {oid.hex()}",
                "to be there",
                str(lost) or "nothing",
            ) from None
        yield body


def _refuse_bomb(news: Sequence[_Place], map_name: str, left: int) -> None:
    """A node repeated under two names starts with neither or one of them; refused before it is
    opened a thousand times.
    """
    if left < 0:
        raise malformed(
            POLICY, "tree.size", map_name, "as many nodes as the counted keys can alter", "more"
        )
    if len({place.oid for place in news}) != len(news):
        raise malformed(
            POLICY, "tree.size", map_name, "each node once", "the same node at several places"
        )


def _on_the_way(places: Sequence[_Place], wanted: Sequence[bytes]) -> list[_Place]:
    """The places of `places` (in order) that cover at least one of the sorted names."""
    firsts = [place.name for place in places]
    hits = dict.fromkeys(bisect_right(firsts, name) - 1 for name in wanted)
    return [places[index] for index in hits if index >= 0]
