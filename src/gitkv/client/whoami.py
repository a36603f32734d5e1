"""Who this clone writes as, by the policy that it knows: offline, and without touching a secret.

Left to others: whether Stargate lets one in (`doctor.py`).
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.client.author import configured_identity
from gitkv.client.policy import read_policy
from gitkv.client.replica import Replica
from gitkv.client.signing_key import listed, public_half
from gitkv.errors import GitKvError
from gitkv.model.key import decode_name
from gitkv.model.policy import Policy
from gitkv.model.public_key import openpgp_keys, parse_ssh_key
from gitkv.model.refs import Namespace
from gitkv.sign.gnupg_keys import secret_keys
from gitkv.sign.signers import gpg_program

STANDALONE = "this repository"


class Self(NamedTuple):
    """`name`, `email`: who git says one is; `signing`: "ssh", "openpgp", or "" for no key; `key`:
    its fingerprint; `standing`: what the policy says of it; `principal`: whose it is by the policy.
    `may_write`: whether the policy lets this principal write in `ns`; `prefixes`: where, and none
    means every key. `reads`, `writes`: addresses, or what stands for one. `missing`: what to do
    about what is not there, a line each.
    """

    ns: str
    name: str
    email: str
    signing: str
    key: str
    standing: str
    principal: str
    admin: bool
    may_write: bool
    prefixes: list[str]
    reads: str
    writes: str
    missing: list[str]


class _Key(NamedTuple):
    signing: str
    fingerprint: str
    principal: str
    standing: str


def whoami(replica: Replica) -> Self:
    """Raises PolicyError when the policy cannot be read."""
    missing: list[str] = []
    try:
        name, email = configured_identity(replica)
    except GitKvError as error:
        name = email = ""
        missing.append(f"{error}: {error.hint}")
    policy, key = read_policy(replica), _Key("", "", "", "")
    try:
        key = signing_key(replica, policy)
    except GitKvError as error:
        missing.append(f"{error}: {error.hint}" if error.hint else str(error))
    prefixes = writable_prefixes(policy, replica.ns, key.principal)
    admin = policy.principal(key.principal) if policy is not None else None
    missing += _advice(replica, policy, key, prefixes)
    return Self(
        replica.ns,
        name,
        email,
        key.signing,
        key.fingerprint,
        key.standing,
        key.principal,
        admin is not None and admin.admin,
        prefixes is not None and bool(replica.push_url or not replica.remote),
        [] if prefixes in (None, [""]) else list(prefixes or ()),
        replica.config.get(f"remote.{replica.remote}.url", "") if replica.remote else STANDALONE,
        replica.push_url if replica.remote else STANDALONE,
        missing,
    )


def signing_key(replica: Replica, policy: Policy | None) -> _Key:
    """The configured key and what the policy says of it. Raises ToolError when gpg does."""
    setting = replica.config.get("user.signingkey", "")
    style = replica.config.get("gpg.format", "openpgp")
    if not setting or style not in ("ssh", "openpgp"):
        return _Key("", "", "", "")
    if style == "openpgp":
        return _openpgp(replica, policy, setting)
    line = public_half(replica, setting)
    try:
        fingerprint = parse_ssh_key(line.encode("utf-8", "surrogateescape").strip()).fingerprint
    except ValueError:
        return _Key(style, "", "", f"no public key is found for user.signingkey {setting[:80]}")
    found = None if policy is None else listed(policy, line)
    if found is None:
        return _Key(style, fingerprint, "", "not in the policy" if policy is not None else "")
    principal, key = found
    ended = key.revoked or 0 < key.not_after_s <= replica.host.now_s()
    standing = "revoked" if key.revoked else "expired" if ended else "in the policy"
    return _Key(style, fingerprint, "" if ended else principal.name, standing)


def _openpgp(replica: Replica, policy: Policy | None, setting: str) -> _Key:
    env = replica.host.env
    known = list(secret_keys(gpg_program(replica.config, env), setting, env))
    if not known:
        return _Key("openpgp", "", "", f"gpg has no secret key for user.signingkey {setting[:80]}")
    for principal in policy.principals if policy is not None else ():
        for key in principal.keys:
            if key.kind == "openpgp" and not key.revoked:
                packets = openpgp_keys(key.material)
                found = next((one for one in known for it in packets if it.fingerprint == one), "")
                if found:
                    return _Key("openpgp", found, principal.name, "in the policy")
    return _Key("openpgp", known[0], "", "not in the policy" if policy is not None else "")


def writable_prefixes(policy: Policy | None, ns: Namespace, principal: str) -> list[str] | None:
    """Which keys a principal ("" for somebody unsigned) may write in a namespace: [""] for every
    key, None for none at all.
    """
    if policy is None:
        return [""]
    rules = policy.namespace(ns)
    if rules is None:
        return None
    if principal:
        writer = next((entry for entry in rules.writers if entry.principal == principal), None)
        if writer is None:
            return None
        own = writer.prefixes or (b"",)
    elif policy.signatures_required:
        return None
    else:
        own = (b"",)
    allowed = rules.allowed_prefixes or (b"",)
    both = {max(one, other) for one in own for other in allowed if _nested(one, other)}
    return [decode_name(prefix) if prefix else "" for prefix in sorted(both)] or None


def _nested(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


def _advice(
    replica: Replica, policy: Policy | None, key: _Key, prefixes: list[str] | None
) -> list[str]:
    if replica.remote and policy is None:
        return ["this clone knows no policy yet: git kv remote setup"]
    ask = "ask an admin to add your public key to .kv/policy.yaml"
    if replica.remote and not replica.push_url:
        first = "" if key.principal else f"{ask}, then "
        return [f"this clone was set up for reading; to write: {first}git kv remote setup"]
    if policy is None:
        return [] if key.signing else ["transactions are not signed: git config user.signingkey"]
    if not key.principal and policy.signatures_required:
        return [f"no key of the policy signs here: git kv remote setup, or {ask}"]
    if prefixes is None:
        return [f"the policy has no writer {key.principal} in {replica.ns}: ask an admin"]
    return []
