"""Questions about a policy, answered offline: is this text one, may it follow the present one, who
may write which key.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.client.whoami import writable_prefixes
from gitkv.errors import PolicyError, RejectedError
from gitkv.model.key import encode_key
from gitkv.model.policy import Policy
from gitkv.model.refs import POLICY_PATH, Namespace
from gitkv.model.verdict import POLICY, Reason, reason, refuse
from gitkv.policy.rules import allowed_ranges, in_ranges, judge_policy_change
from gitkv.policy.text import PolicyTextError, parse_policy


class Answer(NamedTuple):
    """Whether `principal` may write `key` in `ns`; `prefixes`: where it may, [""] everywhere."""

    key: str
    principal: str
    ns: str
    allowed: bool
    prefixes: list[str]


def checked_policy(text: bytes, place: str, present: Policy | None, now_s: int) -> Policy:
    """The policy in `text`, which may follow `present`. Raises RejectedError with every reason,
    each with its line and column in `place`.
    """
    try:
        policy = parse_policy(text)
    except PolicyTextError as error:
        raise RejectedError(refuse(_problems(error, place))) from None
    admin = next((entry for entry in present.principals if entry.admin), None) if present else None
    if present is not None and admin is not None:
        reasons = judge_policy_change(present, text, admin.name, now_s)
        if reasons:
            raise RejectedError(refuse([_at(entry, place) for entry in reasons]))
    return policy


def _problems(error: PolicyTextError, place: str) -> list[Reason]:
    return [
        reason(
            POLICY,
            problem.rule,
            f"{place}:{problem.line}:{problem.column}",
            "a valid policy",
            problem.message,
            problem.hint,
        )
        for problem in error.errors
    ]


def _at(entry: Reason, place: str) -> Reason:
    return entry._replace(where=entry.where.replace(POLICY_PATH, place))


def may_write(policy: Policy, ns: Namespace, principal: str, keys: list[str]) -> list[Answer]:
    """An answer a key. Raises KeyInvalidError, PolicyError for a principal or a namespace that the
    policy does not know.
    """
    if policy.namespace(ns) is None:
        known = ", ".join(entry.ns for entry in policy.namespaces)
        raise PolicyError(f"the policy has no namespace {ns}: it has {known}", hint="use --ns")
    if policy.principal(principal) is None:
        known = ", ".join(entry.name for entry in policy.principals)
        raise PolicyError(f"the policy has no principal {principal}: it has {known}")
    ranges = allowed_ranges(policy, ns, principal)
    prefixes = writable_prefixes(policy, ns, principal) or []
    return [
        Answer(key, principal, ns, in_ranges(encode_key(key), ranges), prefixes) for key in keys
    ]
