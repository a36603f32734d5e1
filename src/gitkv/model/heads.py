"""The refs of a namespace that a transaction moves as one (spec/format 2.3): which they are, what a
move of them is, and how to find them among others. Nothing else spells them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import Namespace, Ref, RefUpdate, index_ref, ledger_ref


class Heads(NamedTuple):
    """The commits that these refs point to, in the order in which git is told of them."""

    ledger: Oid
    index_oid: Oid

    def by_ref(self, ns: Namespace) -> dict[Ref, Oid]:
        """The refs of a namespace that stands here."""
        return dict(zip(head_refs(ns), self, strict=True))

    def move_from(self, before: Heads | None, ns: Namespace) -> list[RefUpdate]:
        """The move of the refs to here; `before` is None where the namespace begins."""
        old = before or NOWHERE
        return [
            RefUpdate(ref, was, now) for ref, was, now in zip(head_refs(ns), old, self, strict=True)
        ]


NOWHERE = Heads(ZERO_OID, ZERO_OID)  # of a namespace that has no refs


class MissingHeadError(ValueError):
    """Some of the refs are there and others are not; `there` and `missing` name one of each."""

    def __init__(self, there: Ref, missing: Ref) -> None:
        super().__init__(
            f"{there.decode()} is there, {missing.decode()} is not: expected both or none"
        )
        self.there, self.missing = there, missing


def head_refs(ns: Namespace) -> tuple[Ref, Ref]:
    """The names of the refs, in the order of `Heads`."""
    return ledger_ref(ns), index_ref(ns)


def heads_among(refs: Mapping[Ref, Oid], ns: Namespace) -> Heads | None:
    """The heads in a listing of refs; None when there are none. Raises MissingHeadError."""
    names = head_refs(ns)
    there = [ref for ref in names if ref in refs]
    if not there:
        return None
    missing = [ref for ref in names if ref not in refs]
    if missing:
        raise MissingHeadError(there[0], missing[0])
    return Heads(*(refs[ref] for ref in names))
