"""What the ledger's side of a step says the index has to say (`spec/format` 5.4), and that a key
has one value (4.1).
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.audit.large import Large
from gitkv.audit.lines import Shown, live_line, parse_live, shown
from gitkv.audit.node import Root
from gitkv.audit.tree import MapDiff, TreeWalk
from gitkv.model.oid import Oid


class LedgerSide(NamedTuple):
    """The ledger's side of a step: what index lines have to say. `values`: the maps `data` and
    `manifests` as one; `large`: the large values set, by name; `sizes`: of all values set.
    """

    values: MapDiff
    meta: MapDiff
    deleted: set[bytes]
    sizes: dict[bytes, int]
    large: dict[bytes, Large]
    metas: dict[bytes, bytes]

    def live_line(self, name: bytes, seq: int, old_line: bytes | None) -> bytes | None:
        """The line 5.4 makes for a key that exists after the step; None when the index shows no old
        line of a key that was live.
        """
        is_set = name in self.values.changed
        created = is_set and name not in self.values.old
        old = None if created or old_line is None else parse_live(old_line)
        if old is None:
            if not created:
                return None
            return live_line(name, seq, self._shown(name), None, self.metas.get(name, b""))
        members = self.metas.get(name, b"") if name in self.meta.changed else old.meta
        value = self._shown(name) if is_set else Shown(old.oid, old.size, old.chunks)
        return live_line(name, seq, value, old, members)

    def _shown(self, name: bytes) -> Shown:
        large = self.large.get(name)
        chunks = 0 if large is None else large.chunks
        return shown(self.values.new[name], self.sizes[name], chunks)


def one_map(data: MapDiff, manifests: MapDiff) -> MapDiff:
    """Both maps of values as one; no name may stand in both."""
    if not manifests.changed:
        return data
    return MapDiff(
        {**manifests.old, **data.old},
        {**manifests.new, **data.new},
        data.changed | manifests.changed,
        data.fresh | manifests.fresh,
    )


def in_both(
    walk: TreeWalk, sides: tuple[MapDiff, MapDiff], before: tuple[Root, Root]
) -> set[bytes]:
    """The names that `data` and `manifests` hold both after the step. `before`: the maps before it,
    which are trusted.
    """
    found: set[bytes] = set()
    for ours, theirs, root in ((*sides, before[1]), (*sides[::-1], before[0])):
        added = [name for name in ours.changed if name in ours.new and name not in ours.old]
        found |= {name for name in added if name in theirs.new}
        found |= walk.find(root, [name for name in added if name not in theirs.changed]).keys()
    return found


def value_after(name: bytes, values: MapDiff, live: MapDiff) -> Oid | None:
    """The value of a key of the state after a step, its manifest for a large one; None where it has
    none.
    """
    if name in values.changed:
        value = values.new.get(name)
        return None if value is None else Oid(value)
    # Only its metadata changed: the value is in the line that was just judged.
    line = parse_live(live.new.get(name, b""))
    return None if line is None else Oid(bytes.fromhex(line.oid.decode()))
