"""Planning a transaction: from the base and the wanted values to the new trees (spec/format 4, 5.4
and 8).

`plan_changes` is a function of its arguments; new objects go to `emit`. What it leaves to others:
cutting large values (`chunks`), the commit (`compose`), the judgement (`admit`, `audit`), the
transport.
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
from gitkv.ledger.roots import IndexTrees, Trees, open_chunks, open_index, open_ledger, write_root
from gitkv.model.manifest import Manifest, format_manifest
from gitkv.model.oid import BLOB, Oid, hash_object
from gitkv.model.verdict import INTEGRITY, FormError, reason


class Put(NamedTuple):
    """A value to set: its bytes, or the manifest of one whose chunks and trees are emitted already.
    `expires`: seconds since 1970, 0 for never.
    """

    value: bytes | Manifest
    ctype: str = ""
    expires: int = 0


Changes = Mapping[bytes, Put | None]  # by name; None deletes


class Plan(NamedTuple):
    """The trees after a transaction; nothing changes when both counts are 0. `chunks_tree` is None
    where the chunk store is empty.
    """

    ledger_tree: Oid
    index_tree: Oid
    chunks_tree: Oid | None
    keys_set: int
    keys_del: int


def plan_changes(base: Trees, seq: int, changes: Changes, load: Load, emit: Emit) -> Plan:
    """The plan for transaction `seq` on `base`.

    Sets that change nothing and deletions of absent keys drop out.
    """
    ledger, index = open_ledger(base.ledger_tree, load), open_index(base.index_tree, load)
    edits = _Edits(index, seq, emit)
    names = sorted(changes)
    for name, line in zip(names, index.live.get_many(names), strict=True):
        put = changes[name]
        if put is not None:
            edits.put(name, put, line)
        elif line is not None:
            edits.delete(parse_live(line))
    if not edits.live:
        return Plan(*base, 0, 0)
    data, meta = ledger.data.apply(edits.data, emit), ledger.meta.apply(edits.meta, emit)
    manifests = ledger.manifests.apply(edits.manifests, emit)
    live, gone = index.live.apply(edits.live, emit), index.gone.apply(edits.gone, emit)
    keys_del = sum([payload is None for _, payload in edits.live])
    return Plan(
        write_root({b"data": data, b"manifests": manifests, b"meta": meta}, emit),
        write_root({b"live": live, b"gone": gone}, emit),
        _store(base.chunks_tree, edits.stored, load, emit),
        len(edits.live) - keys_del,
        keys_del,
    )


def _store(before: Oid | None, stored: Mapping[bytes, Oid], load: Load, emit: Emit) -> Oid | None:
    """The chunk store with these values in it (spec/format 8.5). Nothing ever leaves it."""
    if not stored:
        return before
    store, new = open_chunks(before, load), list[Edit]()
    names = sorted(stored)
    for name, known in zip(names, store.get_many(names), strict=True):
        if known is None:
            new.append((name, stored[name]))
        elif known != stored[name]:
            raise FormError(
                reason(
                    INTEGRITY,
                    "chunks.conflict",
                    b"chunk store " + name,
                    stored[name].hex(),
                    known.hex(),
                )
            )
    return store.apply(new, emit) if new else before


class _Edits:
    """The edits of the ordered trees, gathered in the order of names, and the values for the chunk
    store.
    """

    def __init__(self, index: IndexTrees, seq: int, emit: Emit) -> None:
        self._gone_before, self._seq, self._emit = index.gone, seq, emit
        self.data: list[Edit] = []
        self.manifests: list[Edit] = []
        self.meta: list[Edit] = []
        self.live: list[Edit] = []
        self.gone: list[Edit] = []
        self.stored: dict[bytes, Oid] = {}

    def put(self, name: bytes, put: Put, before: bytes | None) -> None:
        value, ctype, expires = put
        if isinstance(value, Manifest):
            self._put_large(name, value, put, before)
        elif before is None:
            oid = self._emit(BLOB, value)
            self.data.append((name, oid))
            self._created(name, put)
            line = format_created(name, self._seq, oid, (len(value), ctype, expires))
            self.live.append((name, line))
        else:
            oid = hash_object(BLOB, value)
            new = LiveLine(name, 0, 0, oid, len(value), 0, ctype, expires)
            if self._changed(new, parse_live(before)):
                self._emit(BLOB, value)
                self.data.append((name, oid))

    def delete(self, old: LiveLine) -> None:
        (self.manifests if old.chunks else self.data).append((old.name, None))
        self.live.append((old.name, None))
        self.gone.append((old.name, format_gone(old.name, self._seq)))
        if old.ctype or old.expires:
            self.meta.append((old.name, None))

    def _put_large(self, name: bytes, value: Manifest, put: Put, before: bytes | None) -> None:
        body = format_manifest(value)
        oid = hash_object(BLOB, body)
        new = LiveLine(
            name, self._seq, self._seq, oid, value.size, 1, put.ctype, put.expires, value.chunks
        )
        if before is None:
            self._created(name, put)
            self.live.append((name, format_live(new)))
        elif not self._changed(new, parse_live(before)):
            return
        self._emit(BLOB, body)
        self.manifests.append((name, oid))
        self.stored[value.store_name] = value.tree

    def _created(self, name: bytes, put: Put) -> None:
        if self._gone_before.root is not None and self._gone_before.get(name) is not None:
            self.gone.append((name, None))
        if put.ctype or put.expires:
            self._say(name, put.ctype, put.expires)

    def _changed(self, new: LiveLine, old: LiveLine) -> bool:
        """Notes what a key that was there has now, but for its value; whether that is another
        one.
        """
        is_moved = bool(old.chunks) != bool(new.chunks)
        is_other = old.oid != new.oid or is_moved
        if is_moved:
            (self.manifests if old.chunks else self.data).append((new.name, None))
        if (old.ctype, old.expires) != (new.ctype, new.expires):
            self._say(new.name, new.ctype, new.expires)
        elif not is_other:
            return False
        line = new._replace(created=old.created, mod=self._seq, versions=old.versions + 1)
        self.live.append((new.name, format_live(line)))
        return is_other

    def _say(self, name: bytes, ctype: str, expires: int) -> None:
        meta = format_meta(ctype, expires)
        self.meta.append((name, None if meta is None else self._emit(BLOB, meta)))
