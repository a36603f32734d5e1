"""Planning a transaction: from the base and the wanted values to the new trees (spec/format 4 and
5.4).

`plan_changes` is a function of its arguments; new objects go to `emit`. What it leaves to others:
the commit (`compose`), the judgement (`admit`, `audit`), the transport.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gitkv.ledger.index_line import (
    LiveLine,
    format_created,
    format_gone,
    format_live,
    format_meta,
    parse_live,
)
from gitkv.ledger.ordered_tree import Edit, Emit, Load
from gitkv.ledger.roots import IndexTrees, open_index, open_ledger, write_root
from gitkv.model.oid import BLOB, Oid, hash_object


class Put(NamedTuple):
    """A value to set. `expires`: seconds since 1970, 0 for never."""

    value: bytes
    ctype: str = ""
    expires: int = 0


Changes = Mapping[bytes, Put | None]  # by name; None deletes


class Plan(NamedTuple):
    """The trees after a transaction; nothing changes when both counts are 0."""

    ledger_tree: Oid
    index_tree: Oid
    keys_set: int
    keys_del: int


def plan_changes(base: tuple[Oid, Oid], seq: int, changes: Changes, load: Load, emit: Emit) -> Plan:
    """The plan for transaction `seq` on `base`, the trees of a ledger and its index commit.

    Sets that change nothing and deletions of absent keys drop out.
    """
    ledger_tree, index_tree = base
    ledger, index = open_ledger(ledger_tree, load), open_index(index_tree, load)
    edits = _Edits(index, seq, emit)
    names = sorted(changes)
    for name, line in zip(names, index.live.get_many(names), strict=True):
        put = changes[name]
        if put is not None:
            edits.put(name, put, line)
        elif line is not None:
            edits.delete(parse_live(line))
    if not edits.live:
        return Plan(ledger_tree, index_tree, 0, 0)
    data, meta = ledger.data.apply(edits.data, emit), ledger.meta.apply(edits.meta, emit)
    live, gone = index.live.apply(edits.live, emit), index.gone.apply(edits.gone, emit)
    keys_del = sum([payload is None for _, payload in edits.live])
    return Plan(
        write_root({b"data": data, b"meta": meta}, emit),
        write_root({b"live": live, b"gone": gone}, emit),
        len(edits.live) - keys_del,
        keys_del,
    )


class _Edits:
    """The edits of the four ordered trees, gathered in the order of names."""

    def __init__(self, index: IndexTrees, seq: int, emit: Emit) -> None:
        self._gone_before, self._seq, self._emit = index.gone, seq, emit
        self.data: list[Edit] = []
        self.meta: list[Edit] = []
        self.live: list[Edit] = []
        self.gone: list[Edit] = []

    def put(self, name: bytes, put: Put, before: bytes | None) -> None:
        value, ctype, expires = put
        if before is None:
            oid = self._emit(BLOB, value)
            self.data.append((name, oid))
            line = format_created(name, self._seq, oid, (len(value), ctype, expires))
            if self._gone_before.root is not None and self._gone_before.get(name) is not None:
                self.gone.append((name, None))
            if ctype or expires:
                self._say(name, ctype, expires)
        else:
            old = parse_live(before)
            oid = hash_object(BLOB, value)
            if (old.oid, old.ctype, old.expires) == (oid, ctype, expires):
                return
            line = format_live(
                LiveLine(
                    name, old.created, self._seq, oid, len(value), old.versions + 1, ctype, expires
                )
            )
            if old.oid != oid:
                self.data.append((name, self._emit(BLOB, value)))
            if (old.ctype, old.expires) != (ctype, expires):
                self._say(name, ctype, expires)
        self.live.append((name, line))

    def delete(self, old: LiveLine) -> None:
        self.data.append((old.name, None))
        self.live.append((old.name, None))
        self.gone.append((old.name, format_gone(old.name, self._seq)))
        if old.ctype or old.expires:
            self.meta.append((old.name, None))

    def _say(self, name: bytes, ctype: str, expires: int) -> None:
        meta = format_meta(ctype, expires)
        self.meta.append((name, None if meta is None else self._emit(BLOB, meta)))
