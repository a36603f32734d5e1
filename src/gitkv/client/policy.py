"""The policy as a clone knows it: the committed file, never the one in the work tree.

A standalone store is judged by its own `refs/heads/main`. A clone shows names and hints from the
newest that it has proved; Stargate decides by its own.
"""

from __future__ import annotations

import os

from gitkv.client.replica import Replica
from gitkv.client.trust.memory import POLICY_TRUSTED
from gitkv.errors import PolicyError
from gitkv.model.oid import BLOB
from gitkv.model.policy import NamespacePolicy, Policy
from gitkv.model.refs import POLICY_PATH, POLICY_REF, Namespace
from gitkv.policy.text import KEYS_MAX, TOTAL_BYTES_MAX, parse_policy


def read_policy(replica: Replica) -> Policy | None:
    """Raises PolicyTextError when the text is not a valid policy."""
    text = policy_text(replica)
    if text is None:
        return None
    if replica.policy_read is None or replica.policy_read[0] != text:
        replica.policy_read = text, parse_policy(text)  # costs more than the rest of a small write
    return replica.policy_read[1]


def policy_text(replica: Replica) -> bytes | None:
    """The policy as it is committed, None when there is none."""
    home = os.fsdecode(POLICY_TRUSTED if replica.remote else POLICY_REF)
    [oid] = replica.objects.resolve([f"{home}:{POLICY_PATH}"])
    return None if oid is None else replica.objects.read(oid, BLOB)


def default_ttl_s(replica: Replica) -> int:
    """`retention.ttl_default` of the namespace in seconds, 0 without one, or where the policy is
    newer than this program. A text that does not name it is not parsed: every write asks.
    """
    home = os.fsdecode(POLICY_TRUSTED if replica.remote else POLICY_REF)
    [oid] = replica.objects.resolve([f"{home}:{POLICY_PATH}"])
    text = b"" if oid is None else replica.objects.read(oid, BLOB)
    if b"ttl_default" not in text:
        return 0
    try:
        rules = parse_policy(text).namespace(replica.ns)
    except PolicyError:
        return 0
    return rules.ttl_default_s if rules else 0


def open_policy(ns: Namespace) -> Policy:
    """What holds where nobody wrote a policy: anyone with the repository may write anything that
    the format can hold.
    """
    rules = NamespacePolicy(
        ns,
        (),
        total_bytes_max=TOTAL_BYTES_MAX,
        keys_max=KEYS_MAX,
        lfs_forbidden=False,
    )
    return Policy((), (rules,), signatures_required=False)
