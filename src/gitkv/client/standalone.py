"""Writing where this repository is the whole database: the refs of the repository are the only
referee between writers.
"""

from __future__ import annotations

from gitkv.client.author import Author
from gitkv.client.build import Built, build, unchanged
from gitkv.client.cutting import Values
from gitkv.client.draft import Draft
from gitkv.client.host import pauses
from gitkv.client.judge import judge
from gitkv.client.replica import Replica
from gitkv.client.values import Written
from gitkv.errors import BusyError, ConflictError
from gitkv.git.housekeeping import tidy_now_and_then
from gitkv.git.local_pack import store_pack

_ATTEMPTS = 40
_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.005, 0.25


def write_standalone(replica: Replica, draft: Draft) -> Written:
    """One transaction on the tip as it is when the refs move; rebuilt as often as another writer
    was faster.

    Raises ConflictError when the draft expects another state or too many races were lost,
    KeyNotFoundError, and RejectedError when the rules refuse it, BusyError when the refs stay
    locked.
    """
    author = Author(replica, draft.text)
    with Values(replica, draft) as values:
        return _write(replica, values, author)


def _write(replica: Replica, values: Values, author: Author) -> Written:
    expected, busy = "", None
    for _ in pauses(replica.host, _ATTEMPTS, _PAUSE_FIRST_S, _PAUSE_LONGEST_S):
        base = replica.tip()
        built = build(replica, base, values, author)
        if built is None:
            return unchanged(base)
        try:
            done, busy = _commit(replica, built), None
        except BusyError as error:  # someone else's transaction is in flight
            done, busy = False, error
        if done:
            tidy_now_and_then(replica.git, built.tip.seq)
            return built.written()
        expected = base.ledger.oid.hex()
    if busy is not None:
        raise busy
    text = f"{_ATTEMPTS} times in a row another writer of {replica.ns} was faster"
    raise ConflictError(
        text, expected=expected, actual=replica.tip().ledger.oid.hex(), hint="try again"
    )


def _commit(replica: Replica, built: Built) -> bool:
    try:
        judge(replica, built)
        store_pack(replica.git, built.pack)
    finally:
        built.pack.close()
    return replica.move(built.base.heads, built.tip.heads)
