"""The gateway's own key: a receipt that the policy's keys do not verify breaks the history for
good, so the key that signs is always one of them.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.errors import IntegrityError
from gitkv.model.identity import Signature
from gitkv.model.policy import Policy
from gitkv.model.refs import POLICY_PATH
from gitkv.model.verdict import POLICY, Reason, reason
from gitkv.ports import Clock, Signer, Verifier

_PROBE = b"no commit: would a receipt signed now verify?\n"
_ROTATION = (
    "to change the key: list the new one beside it in a policy change, put its file in place and "
    "restart, and only then take the old one out"
)


class OwnKey(NamedTuple):
    """What the gateway signs with, and what its readers verify with."""

    signer: Signer
    verifier: Verifier
    clock: Clock


def check_own_key(key: OwnKey, policy: Policy) -> None:
    """Raises IntegrityError unless the policy in force lists the key of this gateway."""
    signature = _tried(key, policy)
    if signature.status != "good":
        listed = ", ".join(key.fingerprint for key in policy.gateway_keys) or "none"
        raise IntegrityError(
            f"kv/gateway_key: expected a key of stargate.gateway_keys in {POLICY_PATH} ({listed}), "
            f"got {signature.fingerprint} ({signature.status}); no receipt of it would be believed",
            hint=_ROTATION,
        )


def judge_own_key(key: OwnKey, policy: Policy) -> list[Reason]:
    """Why this policy cannot be put in force here; nothing when it lists the key that serves."""
    signature = _tried(key, policy)
    if signature.status == "good":
        return []
    expected = f"stargate.gateway_keys with {signature.fingerprint}, the key that signs receipts"
    return [
        reason(POLICY, "policy.gateway-key-in-use", POLICY_PATH, expected, "it is gone", _ROTATION)
    ]


def _tried(key: OwnKey, policy: Policy) -> Signature:
    """What a reader of the history would make of a signature by this gateway."""
    armour = key.signer.sign(_PROBE)
    now_s = key.clock.now_s()
    return key.verifier.verify(_PROBE, armour, policy.gateway_keys, now_s)
