"""The policy as a clone knows it: the committed file, never the one in the work tree.

A standalone store is judged by its own `refs/heads/main`. A clone shows names and hints from its
remote's; Stargate decides by its own.
"""

from __future__ import annotations

from gitkv.client.replica import Replica
from gitkv.model.oid import BLOB
from gitkv.model.policy import NamespacePolicy, Policy
from gitkv.model.refs import POLICY_PATH, Namespace
from gitkv.policy.text import KEYS_MAX, TOTAL_BYTES_MAX, VALUE_BYTES_MAX, parse_policy


def read_policy(replica: Replica) -> Policy | None:
    """Raises PolicyTextError when the text is not a valid policy."""
    text = policy_text(replica, replica.remote)
    return None if text is None else parse_policy(text)


def policy_text(replica: Replica, remote: str) -> bytes | None:
    """The policy file of the remote's main branch as last fetched, or of ours where there is no
    remote.
    """
    names = [f"refs/remotes/{remote}/main:{POLICY_PATH}"] if remote else []
    for oid in replica.objects.resolve([*names, f"refs/heads/main:{POLICY_PATH}"]):
        if oid is not None:
            return replica.objects.read(oid, BLOB)
    return None


def open_policy(ns: Namespace) -> Policy:
    """What holds where nobody wrote a policy: anyone with the repository may write anything that
    the format can hold.
    """
    rules = NamespacePolicy(
        ns,
        (),
        value_bytes_max=VALUE_BYTES_MAX,
        total_bytes_max=TOTAL_BYTES_MAX,
        keys_max=KEYS_MAX,
        lfs_forbidden=False,
    )
    return Policy((), (rules,), signatures_required=False)
