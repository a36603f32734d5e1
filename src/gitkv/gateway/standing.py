"""Who may write: whoever has forged something that the audit after the answer found is suspended
until an admin moves the policy on (docs/adr/0009).

A suspension is a ref to the policy commit in force when it was made. It moves in the delivery that
restores what was forged, and goes in the one that moves the policy.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import SUSPENDED, RefUpdate, suspended_ref
from gitkv.model.verdict import POLICY, Reason, reason
from gitkv.ports import RefStore

_HINT = "an admin looks at what happened and commits a policy change; that lifts the suspension"


def is_suspended(refs: RefStore, principal: str, policy: Oid) -> bool:
    """Whether the principal was suspended under this very policy commit."""
    return refs.read(suspended_ref(principal)) == policy


def judge_standing(
    refs: RefStore, principals: Iterable[str], policy: Oid, where: bytes
) -> list[Reason]:
    """Why one of these signers may write nothing to `where`; nothing when all of them may."""
    for name in principals:
        if is_suspended(refs, name, policy):
            return [
                reason(POLICY, "writer.suspended", where, "a writer in good standing", name, _HINT)
            ]
    return []


def suspension(refs: RefStore, principal: str, policy: Oid) -> list[RefUpdate]:
    """The move that suspends; nothing when it stands already."""
    ref = suspended_ref(principal)
    before = refs.read(ref) or ZERO_OID
    return [] if before == policy else [RefUpdate(ref, before, policy)]


def lifted(refs: RefStore) -> list[RefUpdate]:
    """The moves that end every suspension, for the delivery that moves the policy."""
    return [RefUpdate(ref, oid, ZERO_OID) for ref, oid in sorted(refs.read_all(SUSPENDED).items())]
