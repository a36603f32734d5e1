"""Why Stargate does not let this person's ssh in: the keys that ssh offered, held against the
policy that this clone knows.

Left to others: connecting, and reading what ssh says (`git/`).
"""

from __future__ import annotations

from gitkv.client.policy import read_policy
from gitkv.client.replica import Replica
from gitkv.errors import AccessError, GitKvError
from gitkv.model.policy import Policy

_ASK_ADMIN = "ask an admin to add your public key to .kv/policy.yaml"
_OFFER_HINT = (
    "let ssh offer a key of the policy: in ~/.ssh/config, under `Host`, `IdentityFile {file}`; "
    "or: ssh-add {file}"
)
_NEW_KEY = "make a new key (ssh-keygen -t ed25519), and ask an admin to add it to .kv/policy.yaml"
_LOOK_AGAIN = (
    "the policy may have changed: run git kv remote setup, which fetches it, or ask an admin"
)
_UNKNOWN = "is not in the policy"
_LISTED = "is in the policy of this clone"


def with_reason(replica: Replica, error: AccessError, signing_key: str = "") -> AccessError:
    """`error`, with the likely reason when a log-in was refused: what the policy says of each key
    that was offered. `signing_key`: the user.signingkey that will hold, the configured one if "".
    """
    if error.offered is None:
        return error
    try:
        policy = read_policy(replica)
    except GitKvError:
        policy = None
    if policy is None:
        return error
    now_s = replica.host.now_s()
    found = {key: _standing(policy, key, now_s) for key in error.offered}
    words = [f"{key[:15]}... {standing}" for key, standing in found.items()]
    text = "; ".join([str(error), *words])
    signing = signing_key or replica.config.get("user.signingkey", "")
    offer = _OFFER_HINT.format(file=signing if "/" in signing and "::" not in signing else "FILE")
    hint = f"{offer}; or {_ASK_ADMIN}"
    if any(standing.startswith(_LISTED) for standing in found.values()):
        hint = _LOOK_AGAIN
    elif any(standing != _UNKNOWN for standing in found.values()):
        hint = _NEW_KEY
    return AccessError(text, hint=hint, offered=error.offered)


def _standing(policy: Policy, fingerprint: str, now_s: int) -> str:
    """What the policy says of one key."""
    principal = policy.principal_of_key(fingerprint)
    if principal is None:
        return _UNKNOWN
    for key in principal.keys:
        if key.fingerprint != fingerprint:
            continue
        if key.revoked:
            return f"was revoked ({principal.name})"
        if key.not_after_s and key.not_after_s <= now_s:
            return f"has expired ({principal.name})"
    return f"{_LISTED} ({principal.name}), and yet Stargate refused it"
