"""What the ledger's side of a step says the index has to say (`spec/format` 5.4)."""

from __future__ import annotations

from typing import NamedTuple

from gitkv.audit.lines import live_line, parse_live
from gitkv.audit.tree import MapDiff
from gitkv.model.oid import Oid


class LedgerSide(NamedTuple):
    """The ledger's side of a step: what index lines have to say."""

    data: MapDiff
    meta: MapDiff
    deleted: set[bytes]
    sizes: dict[bytes, int]
    metas: dict[bytes, bytes]

    def live_line(self, name: bytes, seq: int, old_line: bytes | None) -> bytes | None:
        """The line 5.4 makes for a key that exists after the step; None when the index shows no old
        line of a key that was live.
        """
        is_set = name in self.data.changed
        created = is_set and name not in self.data.old
        old = None if created or old_line is None else parse_live(old_line)
        if old is None:
            if not created:
                return None
            return live_line(
                name,
                seq,
                (self.data.new[name].hex().encode(), self.sizes[name]),
                None,
                self.metas.get(name, b""),
            )
        members = self.metas.get(name, b"") if name in self.meta.changed else old.meta
        value = (
            (self.data.new[name].hex().encode(), self.sizes[name])
            if is_set
            else (old.oid, old.size)
        )
        return live_line(name, seq, value, old, members)


def value_after(name: bytes, data: MapDiff, live: MapDiff) -> Oid | None:
    """The value of a key of the state after a step; None where it has none."""
    if name in data.changed:
        value = data.new.get(name)
        return None if value is None else Oid(value)
    # Only its metadata changed: the value is in the line that was just judged.
    line = parse_live(live.new.get(name, b""))
    return None if line is None else Oid(bytes.fromhex(line.oid.decode()))
