"""What the store answers with. Plain values: keys as text, ids as lower-case hex, times in seconds
since 1970.
"""

from __future__ import annotations

from typing import NamedTuple


class Written(NamedTuple):
    """The outcome of a write. `changed` False: nothing differed and no commit was made; `commit`
    and `seq` are then the tip's, `txn` is "".

    `receipt`: the gateway's watchlog entry; "" in a standalone store, and when the answer was lost
    but the transaction is there.
    """

    commit: str
    seq: int
    txn: str
    changed: bool
    keys_set: int
    keys_del: int
    receipt: str


class Expect(NamedTuple):
    """What must hold of the current state for a write to happen; otherwise ConflictError.

    `if_absent`: no key to be set exists (an expired one counts as absent). `if_match`: the one key
    of the write has this etag. `tree`: the ledger commit the caller has seen has this root tree,
    and is still the tip.
    """

    if_absent: bool = False
    if_match: str | None = None
    tree: str | None = None
