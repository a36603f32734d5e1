"""Which policies there have been, and whether each was brought in by somebody whom the one before
it lets do that (spec/policy 9).

The first one is trusted because a gateway key signed it that it lists itself: a person compares
that key's fingerprint with the operator's.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from gitkv.client.replica import Replica
from gitkv.client.verify_objects import ProvedObjects, commits_of, line_to
from gitkv.git.ancestry import is_ancestor
from gitkv.model.commit import Commit, parse_commit
from gitkv.model.identity import PublicKey
from gitkv.model.oid import Oid
from gitkv.model.policy import Policy
from gitkv.model.refs import POLICY_PATH
from gitkv.model.verdict import INTEGRITY, POLICY, FormError, Reason, reason
from gitkv.policy.rules import judge_identity, judge_policy_change, judge_signature
from gitkv.policy.text import PolicyTextError, parse_policy
from gitkv.policy.tree import policy_text
from gitkv.ports import Verifier


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

    def at(self, time_s: int) -> Version | None:
        """The version that was there at that time, by what commits say of it."""
        place = bisect_right(self.versions, time_s, key=lambda version: version.since_s)
        return self.versions[place - 1] if place else None


def tracked_tip(replica: Replica, what: str) -> Oid | None:
    """The newest that the remote and its Stargate were seen to have under this name. Raises
    FormError when they contradict each other.
    """
    names = [
        f"refs/remotes/{source}/{what}" for source in (replica.remote, f"{replica.remote}-stargate")
    ]
    mirror, stargate = replica.objects.resolve(names)
    if mirror is None or stargate is None:
        return mirror or stargate
    if is_ancestor(replica.git, mirror, stargate):
        return stargate
    if not is_ancestor(replica.git, stargate, mirror):
        expected = f"one line of commits with {stargate.hex()}, as Stargate showed"
        raise FormError(reason(INTEGRITY, "remote.forked", names[0], expected, mirror.hex()))
    return mirror


def standalone_policies(replica: Replica, objects: ProvedObjects) -> Policies:
    """Of a repository that is its own authority: whatever stands on `refs/heads/main` is
    trusted.
    """
    done = replica.git.run(
        "log",
        "--first-parent",
        "--reverse",
        "--format=%H",
        "refs/heads/main",
        "--",
        POLICY_PATH,
        check=False,
    )
    versions = []
    for line in done.stdout.split() if done.code == 0 else []:
        oid = Oid(bytes.fromhex(line.decode()))
        try:
            versions.append(_version(oid, parse_commit(objects.load(oid, b"commit")), objects))
        except (FormError, PolicyTextError):
            continue  # no policy there, or one that never let anything in
    return Policies(tuple(sorted(versions, key=lambda version: version.since_s)))


def team_policies(
    replica: Replica, objects: ProvedObjects, verifier: Verifier
) -> tuple[Policies, list[Reason]]:
    """The remote's policies up to the first that cannot be trusted, and why not. Raises FormError,
    IntegrityError.
    """
    tip = tracked_tip(replica, "main")
    if tip is None:
        hint = f"git fetch {replica.remote}"
        return Policies(), [
            reason(
                POLICY,
                "policy.missing",
                f"refs/remotes/{replica.remote}/main",
                "the policy",
                "none",
                hint,
            )
        ]
    versions: list[Version] = []
    gateway = ""
    line = line_to(replica, tip)
    for oid, _ in commits_of(replica, line):
        where = f"policy {oid.hex()[:12]}"
        try:
            commit = parse_commit(objects.load(oid, b"commit"))
            version = _version(oid, commit, objects)
            if not versions:
                gateway, found = _judge_first(version, commit, where, verifier)
            else:
                found = _judge_next(
                    versions[-1], commit, policy_text(oid, objects.load), where, verifier
                )
        except FormError as error:
            found = [error.reason]
        except PolicyTextError as error:
            found = [reason(POLICY, "policy.text", where, "a valid policy", str(error))]
        if found:
            return Policies(tuple(versions), gateway), found
        versions.append(version)
    return Policies(tuple(versions), gateway), []


def _version(oid: Oid, commit: Commit, objects: ProvedObjects) -> Version:
    policy = parse_policy(policy_text(oid, objects.load))
    keys = tuple(key for principal in policy.principals for key in principal.keys)
    return Version(oid, policy, keys, commit.identity().seconds)


def _judge_first(
    version: Version, commit: Commit, where: str, verifier: Verifier
) -> tuple[str, list[Reason]]:
    signature = verifier.verify(
        commit.payload, commit.armour, version.policy.gateway_keys, version.since_s
    )
    if signature.status == "good" and not commit.parents:
        return signature.fingerprint, []
    got = (
        f"{signature.status} {signature.fingerprint}".rstrip()
        if not commit.parents
        else "a commit with parents"
    )
    return "", [
        reason(
            INTEGRITY,
            "policy.root",
            where,
            "a first commit, signed by a gateway key that it lists",
            got,
        )
    ]


def _judge_next(
    before: Version, commit: Commit, text: bytes, where: str, verifier: Verifier
) -> list[Reason]:
    if commit.parents != (before.oid,):
        return [
            reason(
                INTEGRITY,
                "policy.chain",
                where,
                f"one parent, {before.oid.hex()}",
                f"{len(commit.parents)} others",
            )
        ]
    now_s = commit.identity().seconds
    signature = verifier.verify(commit.payload, commit.armour, before.keys, now_s)
    principal, found = judge_signature(
        before.policy._replace(signatures_required=True), signature, where
    )
    if principal is None:
        return found
    found += judge_identity(before.policy, principal, commit.identity().email, where)
    return found + judge_policy_change(before.policy, text, principal.name)
