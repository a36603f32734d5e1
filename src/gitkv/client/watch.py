"""Following a store: every transaction after a given one, in order, each once; then the next ones
as they are accepted.

What is given comes from the trusted ledger alone, whose line of commits has no gaps: a watcher that
was away, or whose Stargate was, goes on with the next number. New ones are found by looking again,
with pauses that grow while nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gitkv.client.reach import look
from gitkv.client.replica import Replica
from gitkv.client.state import trusted_state
from gitkv.errors import GitKvError
from gitkv.reading.answers import Changed, Logged
from gitkv.reading.history import diff_revisions, log_of
from gitkv.reading.revisions import SEQ, resolve_revision
from gitkv.reading.state import State

_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.1, 5.0


class Happened(NamedTuple):
    """One accepted transaction, and the keys that it changed; those under the prefix that was asked
    for.
    """

    entry: Logged
    changes: tuple[Changed, ...]


def first_of(state: State, since: str) -> int:
    """The sequence number to go on after. Raises UsageError for what is no revision."""
    number = SEQ.fullmatch(since)
    return int(number[1]) if number else resolve_revision(state, since).seq


def watch(replica: Replica, since: int, prefix: str, read_from: str) -> Iterator[Happened]:
    """The transactions after sequence number `since`, without end; with `prefix`, those that
    changed a key under it. Raises IntegrityError when what is shown cannot be trusted,
    KeyInvalidError, AccessError.
    """
    pause_s = _PAUSE_FIRST_S
    failed: GitKvError | None = None
    while True:
        before, failed = failed, look(replica, read_from)
        if failed is not None and before is None:
            replica.host.warn(f"no news for now: {failed}")
        newest = replica.ledger().seq
        if newest > since:
            yield from _steps(replica, since, newest, prefix)
            since, pause_s = newest, _PAUSE_FIRST_S
        else:
            replica.host.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_LONGEST_S)


def _steps(replica: Replica, since: int, newest: int, prefix: str) -> Iterator[Happened]:
    for seq in range(since + 1, newest + 1):
        state = trusted_state(replica)
        changes = tuple(diff_revisions(state, f"@{seq - 1}", f"@{seq}", prefix))
        if changes or not prefix:
            tip = resolve_revision(state, f"@{seq}")
            [entry] = log_of(state._replace(tip=tip), 1)
            yield Happened(entry, changes)
