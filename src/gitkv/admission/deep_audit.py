"""The deep audit of one transaction under a policy: which limits hold for its signer, and what its
trailers claim.
"""

from __future__ import annotations

from gitkv.audit.limits import CHUNKS_HASHED, CHUNKS_LISTED, AuditRules
from gitkv.audit.step import Loader, Roots, StepAudit, StepFacts, audit_step
from gitkv.ledger.compose import Tip
from gitkv.model.policy import Policy, Principal
from gitkv.policy.rules import allowed_ranges


def audit_under(
    policy: Policy,
    step: tuple[Tip, Tip],
    signer: Principal | None,
    load: Loader,
    *,
    chunk_contents: bool = True,
) -> StepAudit:
    """Audits the transaction that leads from one tip to the next; its namespace must be one of the
    policy's.

    `signer` None: unsigned, where the policy lets that be. Without `chunk_contents` no chunk is
    read, as for a transaction of one's own.
    """
    before, after = step
    rules = policy.namespace(after.ns)
    if rules is None:
        raise ValueError(f"the policy has no namespace {after.ns}")
    ranges = allowed_ranges(policy, after.ns, signer.name if signer else None)
    limits = AuditRules(
        ranges,
        rules.value_bytes_max,
        rules.total_bytes_max,
        rules.keys_max,
        rules.lfs_forbidden,
        expiry_required=rules.ttl_default_s > 0,
        chunking=rules.chunking.text.encode(),
        chunks=CHUNKS_HASHED if chunk_contents else CHUNKS_LISTED,
    )
    said = after.ledger.attestation
    return audit_step(
        Roots(*before.trees),
        Roots(*after.trees),
        StepFacts(said.seq, said.keys_set, said.keys_del),
        limits,
        load,
    )
