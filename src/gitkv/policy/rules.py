"""What a policy permits: who signed, as whom, which keys, and which change of the policy itself
(spec/policy 6 to 9).

A policy is a value here; reading one is `policy/text.py`. Which of its versions applies (the one
before the push), and that policies only move forward, is for the gateway and the linear history of
`refs/heads/main`.
"""

from __future__ import annotations

from bisect import bisect_right

from gitkv.model.identity import PublicKey, Signature
from gitkv.model.policy import Policy, Principal
from gitkv.model.public_key import is_sound
from gitkv.model.refs import POLICY_PATH, Namespace
from gitkv.model.verdict import INTEGRITY, POLICY, Reason, reason
from gitkv.policy.text import PolicyTextError, parse_policy

Ranges = tuple[
    tuple[bytes, bytes | None], ...
]  # half-open, sorted, disjoint, not adjacent; None: no upper end

EVERYTHING: Ranges = ((b"", None),)
NOTHING: Ranges = ()

# status -> exit code, rule, what was expected, advice
_SIGNATURE_RULES = {
    "unsigned": (
        POLICY,
        "signature.unsigned",
        "a signed commit",
        "run `git kv remote setup`, or set commit.gpgSign and user.signingKey",
    ),
    "unknown-key": (
        POLICY,
        "signature.unknown-key",
        "a key of the policy",
        f"ask an admin to add your public key to {POLICY_PATH}",
    ),
    "revoked-key": (
        POLICY,
        "signature.revoked-key",
        "a key that is not revoked",
        "sign with another key, or ask an admin to add one",
    ),
    "expired-key": (
        POLICY,
        "signature.expired-key",
        "a key that has not expired",
        f"ask an admin to renew it in {POLICY_PATH}",
    ),
    "malformed": (
        INTEGRITY,
        "signature.malformed",
        "a signature in its one canonical form",
        "sign as git does, with no tool in between",
    ),
    "bad": (
        INTEGRITY,
        "signature.bad",
        "a signature that verifies",
        "the commit is not what was signed: make it again",
    ),
}


def allowed_ranges(policy: Policy, ns: Namespace, principal_name: str | None) -> Ranges:
    """The encoded names the principal may change in `ns` (spec/policy 7): inside a writer prefix
    and inside an allowed prefix.

    `principal_name` None stands for an unsigned commit, which only a policy with `signatures:
    optional` lets write: to any key the namespace allows.
    """
    rules = policy.namespace(ns)
    if rules is None:
        return NOTHING
    allowed = _ranges(rules.allowed_prefixes)
    if principal_name is None:
        return NOTHING if policy.signatures_required else allowed
    writer = next((entry for entry in rules.writers if entry.principal == principal_name), None)
    return NOTHING if writer is None else _intersection(_ranges(writer.prefixes), allowed)


def in_ranges(name: bytes, ranges: Ranges) -> bool:
    """Whether an encoded name lies in one of the ranges; logarithmic in their number."""
    at = bisect_right(ranges, name, key=lambda bounds: bounds[0]) - 1
    if at < 0:
        return False
    end = ranges[at][1]
    return end is None or name < end


def _ranges(prefixes: tuple[bytes, ...]) -> Ranges:
    """The names that start with any of the prefixes; with no prefix at all, every name."""
    if not prefixes or b"" in prefixes:
        return EVERYTHING
    merged: list[tuple[bytes, bytes | None]] = []
    reach = b""
    for prefix in sorted(prefixes):
        end = prefix[:-1] + bytes([prefix[-1] + 1])  # names are ASCII: the last byte is never 0xff
        if merged and prefix <= reach:
            reach = max(reach, end)
            merged[-1] = (merged[-1][0], reach)
        else:
            reach = end
            merged.append((prefix, end))
    return tuple(merged)


def _intersection(left: Ranges, right: Ranges) -> Ranges:
    found: list[tuple[bytes, bytes | None]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), _lower(left[i][1], right[j][1])
        if end is None or start < end:
            found.append((start, end))
        if left[i][1] == end:  # the one that ends first is done
            i += 1
        else:
            j += 1
    return tuple(found)


def _lower(one: bytes | None, other: bytes | None) -> bytes | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def judge_signature(
    policy: Policy, signature: Signature, where: str
) -> tuple[Principal | None, list[Reason]]:
    """Who signed, or why nobody acceptable did (spec/policy 6). `where` names the commit.

    (None, []) is an unsigned commit where signatures are optional. A signature that is there must
    be good, even then.
    """
    status = signature.status
    if status == "unsigned" and not policy.signatures_required:
        return None, []
    principal = policy.principal_of_key(signature.fingerprint) if signature.fingerprint else None
    if status == "good":
        if principal is not None and not _is_revoked(principal, signature.fingerprint):
            return principal, []
        status = "unknown-key" if principal is None else "revoked-key"
    code, rule, expected, hint = _SIGNATURE_RULES.get(status, _SIGNATURE_RULES["bad"])
    return None, [reason(code, rule, where, expected, _found(status, signature, principal), hint)]


def _found(status: str, signature: Signature, principal: Principal | None) -> str:
    got = (
        "no signature"
        if status == "unsigned"
        else f"{signature.fingerprint} ({status})"
        if signature.fingerprint
        else status
    )
    if principal is not None:
        got += f" of {principal.name}"
    return f"{got}: {signature.detail}" if signature.detail else got


def _is_revoked(principal: Principal, fingerprint: str) -> bool:
    return any(key.revoked for key in principal.keys if key.fingerprint == fingerprint)


def judge_identity(
    policy: Policy, principal: Principal | None, email: str, where: str = "committer"
) -> list[Reason]:
    """Whether the committer's email may stand beside this signer, None for an unsigned commit
    (spec/policy 8).
    """
    address = email.lower()
    signer = principal.name if principal is not None else "nobody"
    owner = next((entry for entry in policy.principals if address in entry.emails), None)
    if owner is not None and (principal is None or owner.name != principal.name):
        hint = f"only keys of {owner.name} may commit as {email}; check user.email"
        return [
            reason(
                POLICY,
                "identity.forged",
                where,
                f"an email of the signer, {signer}",
                f"{email}, an email of {owner.name}",
                hint,
            )
        ]
    if principal is not None and principal.emails and address not in principal.emails:
        hint = f"set user.email to one of them, or ask an admin to list it in {POLICY_PATH}"
        return [
            reason(
                POLICY,
                "identity.unlisted",
                where,
                f"one of {', '.join(principal.emails)}",
                email,
                hint,
            )
        ]
    return []


def judge_policy_change(
    old: Policy, new_text: bytes, signer: str | None, now_s: int = 0
) -> list[Reason]:
    """Whether `signer` (a principal's name) may replace `old` by `new_text` (spec/policy 9).

    With `now_s` (the judge's time, seconds since 1970) keys that have expired by then do not count
    as an admin's usable keys.
    """
    reasons = []
    admin = old.principal(signer) if signer is not None else None
    if admin is None or not admin.admin:
        admins = ", ".join(entry.name for entry in old.principals if entry.admin)
        got = signer if signer is not None else "no known signer"
        reasons.append(
            reason(
                POLICY,
                "policy.admin",
                POLICY_PATH,
                "a change signed by an admin",
                got,
                f"admins are: {admins}",
            )
        )
    try:
        new = parse_policy(new_text)
    except PolicyTextError as error:
        return reasons + [
            reason(
                POLICY,
                problem.rule,
                f"{POLICY_PATH}:{problem.line}:{problem.column}",
                "a valid policy",
                problem.message,
                problem.hint,
            )
            for problem in error.errors
        ]
    return reasons + _judge_succession(old, new, now_s)


def unsound_keys(policy: Policy, known: Policy | None = None) -> list[Reason]:
    """What is against the keys of `policy` that `known` has not got (spec/policy 4.6)."""
    old = {key.fingerprint for key in all_keys(known)} if known is not None else set()
    expected = "an RSA modulus that is a product of different primes"
    return [
        reason(POLICY, "policy.unsound-key", POLICY_PATH, expected, f"{key.fingerprint}, not one")
        for key in all_keys(policy)
        if key.fingerprint not in old and not is_sound(key)
    ]


def all_keys(policy: Policy) -> list[PublicKey]:
    """Every principal's keys and the gateway's."""
    return [
        *(key for principal in policy.principals for key in principal.keys),
        *policy.gateway_keys,
    ]


def _judge_succession(old: Policy, new: Policy, now_s: int) -> list[Reason]:
    reasons = unsound_keys(new, old)
    if not any(_usable(entry, now_s) for entry in new.principals if entry.admin):
        hint = "a policy whose admins cannot sign could never be changed again"
        reasons.append(
            reason(
                POLICY,
                "policy.no-admin",
                POLICY_PATH,
                "an admin with a key that is valid now",
                "none",
                hint,
            )
        )
    if old.gateway_keys and not new.gateway_keys:
        hint = "receipts could not be checked any more; to change the key, list the new one"
        reasons.append(
            reason(
                POLICY, "policy.gateway-keys", POLICY_PATH, "at least one gateway key", "none", hint
            )
        )
    kept = {entry.ns for entry in new.namespaces}
    for gone in (entry.ns for entry in old.namespaces if entry.ns not in kept):
        hint = "its history stays; to close it, give it `writers: {}`"
        reasons.append(
            reason(
                POLICY,
                "policy.namespace-removed",
                POLICY_PATH,
                f"namespace {gone}, as before",
                "no such namespace",
                hint,
            )
        )
    return reasons


def _usable(principal: Principal, now_s: int) -> bool:
    return any(
        not key.revoked and (key.not_after_s == 0 or key.not_after_s > now_s)
        for key in principal.keys
    )
