"""What a push may cost before anybody has judged it: the limits of its pack, from the policy in
force.
"""

from __future__ import annotations

from gitkv.gateway.policy_push import PACK_BYTES_MAX
from gitkv.model.policy import NamespacePolicy, Policy
from gitkv.ports import IntakeLimits
from gitkv.wire.push_grammar import PolicyPush, TransactionPush

# Nodes, pages and metadata that one changed key can bring, with names of ordinary length
_KEY_BYTES = 2048
_BYTES_MIN = 64 << 20  # for a policy that grants little: trees are not values
_POLICY_BYTES_MAX = 64 << 20
_BYTES_A_S = 10 << 20  # that a slow machine unpacks
# The largest blob is a value or a chunk; one that oversteps in good faith is told so by its key
_OVERSTEPS = 2
_BLOB_BYTES_MIN = 1 << 20  # pages of the index


def pack_limits(policy: Policy, push: TransactionPush | PolicyPush) -> IntakeLimits:
    """The limits of the push's pack. One transaction as large as the policy allows passes; several
    in one push share its room.
    """
    if isinstance(push, PolicyPush):
        return IntakeLimits(pack_bytes_max=PACK_BYTES_MAX, inflated_bytes_max=_POLICY_BYTES_MAX)
    rules = policy.namespace(push.ns) or NamespacePolicy(push.ns, ())
    inflated_bytes = rules.total_bytes_max + rules.keys_max * _KEY_BYTES + _BYTES_MIN
    usual = IntakeLimits()
    blob_bytes = max(rules.value_bytes_max, rules.chunking.max_bytes, _BLOB_BYTES_MIN)
    return IntakeLimits(
        # Deflate never adds more than a little to what it packs
        pack_bytes_max=inflated_bytes + inflated_bytes // 16,
        inflated_bytes_max=inflated_bytes,
        blob_bytes_max=min(_OVERSTEPS * blob_bytes, usual.blob_bytes_max),
        cpu_s_max=usual.cpu_s_max + inflated_bytes // _BYTES_A_S,
        work_s_max=usual.work_s_max + inflated_bytes / _BYTES_A_S,
    )
