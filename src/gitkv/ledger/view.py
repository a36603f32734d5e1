"""Reading a store at one tip: values, lists, and the versions of a key (spec/format 5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gitkv.ledger.compose import Tip
from gitkv.ledger.index_line import LiveLine, parse_gone, parse_live
from gitkv.ledger.roots import open_index
from gitkv.ledger.seek import LedgerCommit, Load, seek
from gitkv.model.oid import Oid


class Version(NamedTuple):
    """One change of a key: the ledger commit that made it, and the line it left; None when it
    deleted the key.
    """

    commit: LedgerCommit
    line: LiveLine | None


def find_line(tip: Tip | LedgerCommit, name: bytes, load: Load) -> LiveLine | None:
    """The index line of a key; reads the index alone."""
    line = open_index(_index_tree(tip), load).live.get(name)
    return None if line is None else parse_live(line)


def scan_lines(
    tip: Tip | LedgerCommit, prefix: bytes, load: Load, *, after: bytes = b""
) -> Iterator[LiveLine]:
    """Lines of the keys that start with the encoded `prefix` and come after `after`, in order;
    cost O(answer + height).
    """
    start = max(prefix, after + b"\0") if after else prefix
    stop = prefix_end(prefix)
    for _, line in open_index(_index_tree(tip), load).live.scan(start, stop):
        yield parse_live(line)


def prefix_end(prefix: bytes) -> bytes | None:
    """The first name after all names with this prefix; None when there is no end. Names are ASCII,
    so the last byte can grow.
    """
    return prefix[:-1] + bytes((prefix[-1] + 1,)) if prefix else None


def versions(tip: LedgerCommit, name: bytes, load: Load) -> Iterator[Version]:
    """A key's versions, newest first, deletions included. Cost: O(log n) commits and one index
    look-up a version.
    """
    at = tip
    while True:
        changed, line = _last_change(at, name, load)
        if changed is None:
            return
        commit = seek(at, changed, load)
        yield Version(commit, line)
        if changed == 0:
            return
        at = seek(commit, changed - 1, load)


def _last_change(at: LedgerCommit, name: bytes, load: Load) -> tuple[int | None, LiveLine | None]:
    index = open_index(at.attestation.index_tree, load)
    live = index.live.get(name)
    if live is not None:
        line = parse_live(live)
        return line.mod, line
    gone = index.gone.get(name)
    return (None if gone is None else parse_gone(gone)), None


def _index_tree(at: Tip | LedgerCommit) -> Oid:
    return (
        at.attestation.index_tree
        if isinstance(at, LedgerCommit)
        else at.ledger.attestation.index_tree
    )
