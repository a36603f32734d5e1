"""Deleting what has expired: ordinary transactions, each as large as the policy lets it be.

A key that somebody sets again before a transaction lands is left alone: what is deleted is decided
at the tip that the transaction is built on (`draft.changes_at`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gitkv.client.draft import Draft, make_draft
from gitkv.client.policy import open_policy, read_policy
from gitkv.client.replica import Replica
from gitkv.client.values import Expect
from gitkv.reading.expired import expired_entries
from gitkv.reading.state import State

_KEYS_MAX = 100_000  # in one transaction, whatever the policy lets: memory grows with it


def drafts_to_expire(replica: Replica, state: State, prefix: str, message: str) -> Iterator[Draft]:
    """Deletions of the keys below `prefix` that have expired in `state`; at least one draft, which
    changes nothing where none has.
    """
    rules = (read_policy(replica) or open_policy(replica.ns)).namespace(replica.ns)
    keys_max = min(rules.keys_max if rules else _KEYS_MAX, _KEYS_MAX)
    keys = (entry.key for entry in expired_entries(state, prefix))
    batch = list(islice(keys, keys_max))
    while True:
        text = message or f"expire {len(batch)} key{'s' * (len(batch) != 1)}"
        draft = make_draft(dict.fromkeys(batch), Expect(), text)
        yield draft._replace(only_expired=True)
        batch = list(islice(keys, keys_max))
        if not batch:
            return
