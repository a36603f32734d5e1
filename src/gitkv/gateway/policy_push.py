"""Judging a push to the policy branch: admins only, one line of commits, never into a state that
nobody could change (spec/policy 9).
"""

from __future__ import annotations

from functools import partial

from gitkv.admission.admit import judge_time
from gitkv.errors import IntegrityError
from gitkv.gateway.gate import Gate, JudgedPolicy
from gitkv.gateway.own_key import OwnKey, judge_own_key
from gitkv.gateway.watchlog import newest_receipt_s
from gitkv.model.commit import Commit, parse_commit
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import POLICY_REF, RefUpdate
from gitkv.model.verdict import (
    ACCEPTED,
    CONFLICT,
    POLICY,
    FormError,
    Reason,
    Verdict,
    reason,
    refuse,
)
from gitkv.policy.rules import judge_identity, judge_policy_change, judge_signature
from gitkv.policy.text import parse_policy
from gitkv.policy.tree import policy_text
from gitkv.ports import ObjectStore
from gitkv.verifying.validity import Signed, verify_at

COMMITS_MAX = 64
PACK_BYTES_MAX = 8 << 20


def judge_policy_push(
    gate: Gate, key: OwnKey, move: RefUpdate, objects: ObjectStore, judged_by: JudgedPolicy
) -> Verdict:
    """Every commit is judged by the policy as it stood before the push, so no change is used by the
    push that brings it. `key` is the gateway's, which the new policy must list.

    Behind the first it is judged by the commit before it, too: who takes a right away has not got
    it any more, and whoever judges the history later knows of commits, not of pushes.
    """
    if move.old != judged_by.commit:
        hint = "fetch, rebase, and push again"
        return refuse(
            [
                reason(
                    CONFLICT,
                    "base.stale",
                    POLICY_REF,
                    judged_by.commit.hex(),
                    bytes(move.old).hex(),
                    hint,
                )
            ]
        )
    before = judged_by
    try:
        for link in _read_chain(Oid(move.new), judged_by.commit, objects):
            reasons = _judge_commit(gate, key, judged_by, link, objects)
            if not reasons and before is not judged_by:
                reasons = _judge_commit(gate, key, before, link, objects)
            if reasons:
                return refuse(reasons)
            before = JudgedPolicy(link[0], parse_policy(policy_text(link[0], objects.read)))
    except FormError as error:
        return refuse([error.reason])
    reasons = judge_own_key(key, before.policy)
    return refuse(reasons) if reasons else ACCEPTED


def _judge_commit(
    gate: Gate,
    key: OwnKey,
    judged_by: JudgedPolicy,
    link: tuple[Oid, Commit, Commit],
    objects: ObjectStore,
) -> list[Reason]:
    oid, commit, parent = link
    policy, now_s = judged_by.policy, key.clock.now_s()
    where = f"{POLICY_REF.decode()} commit {oid.hex()[:12]}"
    identity = commit.identity()
    signed = Signed(commit.payload, commit.armour)
    signature = verify_at(key.verifier, signed, judged_by.keys, (identity.seconds, now_s))
    principal, reasons = judge_signature(
        policy._replace(signatures_required=True), signature, where
    )
    reasons += judge_identity(policy, principal, identity.email)
    past_s = partial(newest_receipt_s, gate.refs, gate.objects)
    reasons += judge_time(identity.seconds, parent.identity().seconds, now_s, where, past_s)
    if principal is not None:
        reasons += judge_policy_change(
            policy, policy_text(oid, objects.read), principal.name, max(identity.seconds, now_s)
        )
    return reasons


def _read_chain(new: Oid, tip: Oid, objects: ObjectStore) -> list[tuple[Oid, Commit, Commit]]:
    """(id, commit, its parent) from the oldest new commit on. Raises FormError."""
    chain: list[tuple[Oid, Commit, Commit]] = []
    oid, commit = new, _read(new, objects)
    while oid != tip:
        if len(commit.parents) != 1:
            raise FormError(
                reason(
                    POLICY,
                    "commit.parents",
                    POLICY_REF,
                    "one line of commits that follows the tip",
                    f"{len(commit.parents)} parents",
                )
            )
        if len(chain) == COMMITS_MAX:
            raise FormError(
                reason(
                    POLICY,
                    "push.not-fast-forward",
                    POLICY_REF,
                    f"at most {COMMITS_MAX} commits that follow {tip.hex()}",
                    "others",
                )
            )
        parent = _read(commit.parents[0], objects)
        chain.append((oid, commit, parent))
        oid, commit = commit.parents[0], parent
    return chain[::-1]


def _read(oid: Oid, objects: ObjectStore) -> Commit:
    try:
        return parse_commit(objects.read(oid, COMMIT))
    except IntegrityError as error:
        raise FormError(
            reason(POLICY, "push.not-a-commit", POLICY_REF, "a commit", str(error))
        ) from error
