"""The refs of a namespace that a transaction moves as one (spec/format 2.3): which they are, what a
move of them is, and how to find them among others. Nothing else spells them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import (
    CHUNKS,
    FIRST_EPOCH,
    EpochLabel,
    Namespace,
    Ref,
    RefUpdate,
    chunks_ref,
    index_ref,
    ledger_ref,
    parse_epoch,
)


class ChunkHead(NamedTuple):
    """The newest commit of an epoch's chunk store."""

    epoch: EpochLabel
    oid: Oid


class Heads(NamedTuple):
    """The commits that these refs point to, in the order in which git is told of them. `chunks` is
    None where the epoch has had no large value.
    """

    ledger: Oid
    index_oid: Oid
    chunks: ChunkHead | None = None

    @property
    def oids(self) -> tuple[Oid, ...]:
        """The commits that there are."""
        return (self.ledger, self.index_oid, *([self.chunks.oid] if self.chunks else []))

    def by_ref(self, ns: Namespace) -> dict[Ref, Oid]:
        """The refs of a namespace that stands here."""
        refs = dict(zip(head_refs(ns), self[:2], strict=True))
        if self.chunks is not None:
            refs[chunks_ref(ns, self.chunks.epoch)] = self.chunks.oid
        return refs

    def move_from(self, before: Heads | None, ns: Namespace) -> list[RefUpdate]:
        """The move of the refs to here; `before` is None where the namespace begins. Chunks that
        stay where they are do not travel.
        """
        old = (before or NOWHERE).by_ref(ns)
        moves = [
            RefUpdate(ref, old.get(ref, ZERO_OID), oid) for ref, oid in self.by_ref(ns).items()
        ]
        return moves[:2] + [move for move in moves[2:] if move.old != move.new]


NOWHERE = Heads(ZERO_OID, ZERO_OID)  # of a namespace that has no refs


class MissingHeadError(ValueError):
    """Some of the refs are there and others are not; `there` and `missing` name one of each."""

    def __init__(self, there: Ref, missing: Ref) -> None:
        super().__init__(
            f"{there.decode()} is there, {missing.decode()} is not: expected both or none"
        )
        self.there, self.missing = there, missing


def head_refs(ns: Namespace) -> tuple[Ref, Ref]:
    """The names of the refs that every namespace has, in the order of `Heads`."""
    return ledger_ref(ns), index_ref(ns)


def readable_refs(ns: Namespace) -> tuple[Ref, ...]:
    """All the refs that heads may be made of, for whoever reads them by name."""
    return (*head_refs(ns), chunks_ref(ns, FIRST_EPOCH))


def heads_among(refs: Mapping[Ref, Oid], ns: Namespace) -> Heads | None:
    """The heads in a listing of refs; None when there are none. Raises MissingHeadError."""
    names = head_refs(ns)
    there = [ref for ref in names if ref in refs]
    if not there:
        return None
    missing = [ref for ref in names if ref not in refs]
    if missing:
        raise MissingHeadError(there[0], missing[0])
    return Heads(refs[names[0]], refs[names[1]], _chunks_among(refs, ns))


def _chunks_among(refs: Mapping[Ref, Oid], ns: Namespace) -> ChunkHead | None:
    """A namespace has one epoch at a time; of several the listing's last counts."""
    start, found = b"%b%b@" % (CHUNKS, ns.encode()), None
    for ref, oid in refs.items():
        if ref.startswith(start):
            found = ChunkHead(parse_epoch(ref.removeprefix(start)), oid)
    return found
