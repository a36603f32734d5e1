"""Which policies there have been, and whether each was brought in by somebody whom the one before
it lets do that (spec/policy 9). Functions of a commit's id and bytes.

The first one is trusted because a gateway key signed it that it lists itself: a person compares
that key's fingerprint with the operator's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gitkv.model.commit import CLOCK_SKEW_MAX_S, Commit, parse_commit
from gitkv.model.identity import PublicKey
from gitkv.model.oid import BLOB, COMMIT, Oid, hash_object
from gitkv.model.policy import Policy
from gitkv.model.verdict import INTEGRITY, POLICY, FormError, Reason, reason
from gitkv.policy.rules import judge_identity, judge_policy_change, judge_signature, unsound_keys
from gitkv.policy.text import PolicyTextError, parse_policy
from gitkv.policy.tree import policy_text
from gitkv.ports import Verifier

Load = Callable[[Oid, bytes], bytes]


class Version(NamedTuple):
    """A policy, the commit that brought it, and all its writers' keys. `since_s`: that commit's
    time.
    """

    oid: Oid
    policy: Policy
    keys: tuple[PublicKey, ...]
    since_s: int


class Policies(NamedTuple):
    """All versions, oldest first; `gateway`: fingerprint of the key that signed the first, "" where
    none did.
    """

    versions: tuple[Version, ...] = ()
    gateway: str = ""

    def place_of(self, oid: Oid) -> int:
        """-1 for a commit that is none of them."""
        return next((at for at, version in enumerate(self.versions) if version.oid == oid), -1)

    @property
    def newest(self) -> Version | None:
        """The newest version of the policy; None when there is none."""
        return self.versions[-1] if self.versions else None

    def at(self, time_s: int) -> Version | None:
        """The version that was in force at that time, by what commits say of it."""
        place = bisect_right(self.versions, time_s, key=lambda version: version.since_s)
        return self.versions[place - 1] if place else None


def read_version(oid: Oid, commit: Commit, load: Load) -> Version:
    """Raises FormError, PolicyTextError, IntegrityError."""
    return _version(oid, parse_policy(policy_text(oid, load)), commit.identity().seconds)


def _version(oid: Oid, policy: Policy, since_s: int) -> Version:
    keys = tuple(key for principal in policy.principals for key in principal.keys)
    return Version(oid, policy, keys, since_s)


class OwnPolicy(NamedTuple):
    """A policy of a repository that is its own authority: the commit that brought it, that commit's
    time, and the text's blob.
    """

    commit: Oid
    time_s: int
    text: Oid


def own_policies(found: Iterable[OwnPolicy], load: Load) -> Policies:
    """Of a repository that is its own authority, oldest first: whatever stands on its main branch
    is trusted.

    A version is in force from its commit's time on, but not before the version it replaced. Raises
    IntegrityError.
    """
    versions: list[Version] = []
    for oid, time_s, text in found:
        try:
            policy = parse_policy(load(text, BLOB))
        except PolicyTextError:
            continue  # it never let anything in
        since_s = max(time_s, versions[-1].since_s if versions else 0)
        versions.append(_version(oid, policy, since_s))
    return Policies(tuple(versions))


def judge_policies(
    commits: Iterable[tuple[Oid, bytes]],
    load: Load,
    verifier: Verifier,
    known: Policies | None = None,
) -> tuple[Policies, list[Reason]]:
    """The versions of a line of policy commits (ids and bodies, oldest first) up to the first that
    cannot be trusted, and why not.

    `known`: versions judged before, which the line goes on from. Raises IntegrityError.
    """
    policies = known or Policies()
    for oid, body in commits:
        where = f"policy {oid.hex()[:12]}"
        try:
            policies, found = _judge(policies, (oid, body), load, verifier)
        except FormError as error:
            found = [error.reason._replace(where=f"{where}: {error.reason.where}")]
        except PolicyTextError as error:
            found = [reason(POLICY, "policy.text", where, "a valid policy", str(error))]
        if found:
            return policies, found
    return policies, []


def _judge(
    policies: Policies, link: tuple[Oid, bytes], load: Load, verifier: Verifier
) -> tuple[Policies, list[Reason]]:
    oid, body = link
    where = f"policy {oid.hex()[:12]}"
    if hash_object(COMMIT, body) != oid:
        got = hash_object(COMMIT, body).hex()
        return policies, [reason(INTEGRITY, "object.hash", where, oid.hex(), got)]
    commit = parse_commit(body)
    before, gateway = policies.newest, policies.gateway
    if before is None:
        version = read_version(oid, commit, load)
        gateway, found = _judge_first(version, commit, where, verifier)
    else:
        found = _judge_next(before, commit, policy_text(oid, load), where, verifier)
        version = before if found else read_version(oid, commit, load)
    return (policies, found) if found else (Policies((*policies.versions, version), gateway), [])


def _judge_first(
    version: Version, commit: Commit, where: str, verifier: Verifier
) -> tuple[str, list[Reason]]:
    signature = verifier.verify(
        commit.payload, commit.armour, version.policy.gateway_keys, version.since_s
    )
    if signature.status == "good" and not commit.parents:
        return signature.fingerprint, unsound_keys(version.policy)
    got = (
        f"{signature.status} {signature.fingerprint}".rstrip()
        if not commit.parents
        else "a commit with parents"
    )
    expected = "a first commit, signed by a gateway key that it lists"
    return "", [reason(INTEGRITY, "policy.root", where, expected, got)]


def _judge_next(
    before: Version, commit: Commit, text: bytes, where: str, verifier: Verifier
) -> list[Reason]:
    """A policy commit has no receipt: its own time alone counts (spec/policy 6.3)."""
    if commit.parents != (before.oid,):
        expected = f"one parent, {before.oid.hex()}"
        return [reason(INTEGRITY, "policy.chain", where, expected, f"{len(commit.parents)} others")]
    identity = commit.identity()
    signature = verifier.verify(commit.payload, commit.armour, before.keys, identity.seconds)
    principal, found = judge_signature(
        before.policy._replace(signatures_required=True), signature, where
    )
    if principal is None:
        return found
    found += judge_identity(before.policy, principal, identity.email, where)
    if identity.seconds < before.since_s - CLOCK_SKEW_MAX_S:
        expected = f"at least {before.since_s - CLOCK_SKEW_MAX_S} (seconds since 1970)"
        found.append(reason(POLICY, "commit.time", where, expected, str(identity.seconds)))
    return found + judge_policy_change(before.policy, text, principal.name, identity.seconds)
