"""Which transactions changed the keys of one range: their histories, merged.

As in a key's history, what the gateway undid is not shown: the index of the restored state does not
know of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from gitkv.ledger.index_line import parse_gone, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import LedgerCommit, Load, seek
from gitkv.ledger.tree_diff import Span

_Latest = tuple[int, bytes]  # minus a key's last change, and its name: the newest is the smallest


def touching(tip: LedgerCommit, span: Span, load: Load) -> Iterator[LedgerCommit]:
    """The ledger commits that set or deleted a key whose name is in `span`, newest first. Cost: the
    keys in the span, and the versions that are shown. Raises FormError.
    """
    index, at = open_index(tip.attestation.index_tree, load), tip
    latest: list[_Latest] = [
        *((-parse_live(line).mod, name) for name, line in index.live.scan(*span)),
        *((-parse_gone(line), name) for name, line in index.gone.scan(*span)),
    ]
    heapify(latest)
    while latest:
        seq = -latest[0][0]
        at = seek(at, seq, load)
        yield at
        if seq == 0:
            return
        names = []
        while latest and latest[0][0] == -seq:
            names.append(heappop(latest)[1])
        at = seek(at, seq - 1, load)
        for entry in _last_changes(at, names, load):
            heappush(latest, entry)


def _last_changes(at: LedgerCommit, names: list[bytes], load: Load) -> Iterator[_Latest]:
    """Of the names, in order, those that had changed up to `at`."""
    index = open_index(at.attestation.index_tree, load)
    lines = zip(names, index.live.get_many(names), index.gone.get_many(names), strict=True)
    for name, live, gone in lines:
        if live is not None:
            yield -parse_live(live).mod, name
        elif gone is not None:
            yield -parse_gone(gone), name
