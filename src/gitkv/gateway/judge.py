"""Judging a transaction push: every ledger commit in it, oldest first, by the policy as it stood
before the push.

Returns values only. The objects are read from quarantine; nothing here moves a ref or keeps a file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from gitkv.admission.admit import Candidate, Situation, admit
from gitkv.admission.deep_audit import audit_under
from gitkv.errors import IntegrityError
from gitkv.gateway.gate import Gate, JudgedPolicy
from gitkv.gateway.judge_sizes import judge_sizes
from gitkv.gateway.known import KnownTransactions
from gitkv.gateway.standing import judge_standing
from gitkv.gateway.telling import Step
from gitkv.gateway.watchlog import newest_receipt_s
from gitkv.ledger.compose import Tip, chunks_after, index_facts
from gitkv.ledger.seek import LedgerCommit, read_ledger_commit, seek
from gitkv.model.commit import index_commit
from gitkv.model.heads import NOWHERE, Heads
from gitkv.model.oid import EMPTY_TREE, ZERO_OID, Oid
from gitkv.model.policy import VERIFY_BEFORE_ACK, Principal
from gitkv.model.refs import index_ref, ledger_ref
from gitkv.model.verdict import (
    BROKEN,
    CONFLICT,
    INTEGRITY,
    POLICY,
    FormError,
    Reason,
    Verdict,
    reason,
    refuse,
)
from gitkv.ports import Clock, ObjectStore, Verifier
from gitkv.verifying.audit_loader import AuditLoader
from gitkv.verifying.validity import Signed, verify_at
from gitkv.wire.push_grammar import TransactionPush

COMMITS_MAX = 256  # ledger commits in one push


class Pushed(NamedTuple):
    """A transaction push with its objects: `objects` sees quarantine and repository, `sent` is what
    the pack holds, ascending.
    """

    push: TransactionPush
    objects: ObjectStore
    sent: tuple[Oid, ...]


class JudgedPush(NamedTuple):
    """The outcome. When the verdict accepts, `base` is where the namespace stood, `tips` are the
    new states in order and `principals` who signed each; `now_s`: the clock it was judged by, which
    their receipts must show.
    """

    verdict: Verdict
    base: Heads = NOWHERE
    tips: tuple[Tip, ...] = ()
    principals: tuple[str, ...] = ()
    now_s: int = 0


class Judging(NamedTuple):
    """What a judgement asks: where things stand, which ids were used, whose signature it is, and
    what time.
    """

    gate: Gate
    known: KnownTransactions
    verifier: Verifier
    clock: Clock
    step: Step


def judge_transaction(judging: Judging, pushed: Pushed, judged_by: JudgedPolicy) -> JudgedPush:
    """Admission of every commit and, where the policy says before-ack, the deep audit."""
    push = pushed.push
    tip = judging.gate.tip(push.ns)
    rules = judged_by.policy.namespace(push.ns)
    if tip is None or rules is None:
        hint = (
            "ask the operator which namespaces there are; to name one in the policy alone does not "
            "create it"
        )
        return _refused(
            [
                reason(
                    POLICY,
                    "namespace.unknown",
                    ledger_ref(push.ns),
                    "a namespace of this Stargate",
                    push.ns,
                    hint,
                )
            ]
        )
    stale = judge_old_values(push, tip.heads) or _judge_epoch(push, tip)
    if stale:
        return _refused(stale)
    try:
        chain = read_chain(push.new.ledger, tip, pushed)
    except FormError as error:
        return _refused([error.reason])
    now_s = judging.clock.now_s()
    steps = _judge_chain(judging, pushed, _Judges(judged_by, now_s), tip, chain)
    if isinstance(steps, Verdict):
        return JudgedPush(steps)
    judging.step("admitted")
    if rules.verify == VERIFY_BEFORE_ACK:
        verdict = _audit_chain(judging.gate.objects, pushed, judged_by, (tip, steps))
        if not verdict.accepted:
            return JudgedPush(verdict)
        judging.step("audited")
    else:
        way = [tip, *(step.tip for step in steps)]
        reasons = judge_sizes(rules, way, pushed.sent, pushed.objects)
        if reasons:
            return _refused(reasons)
    tips, signers = tuple(step.tip for step in steps), tuple(step.signer for step in steps)
    return JudgedPush(Verdict(), tip.heads, tips, signers, now_s)


class _Judges(NamedTuple):
    """What a push is judged by: one policy, and one reading of the clock."""

    judged_by: JudgedPolicy
    now_s: int


class _Admitted(NamedTuple):
    tip: Tip
    principal: Principal | None

    @property
    def signer(self) -> str:
        return self.principal.name if self.principal else ""


def _judge_epoch(push: TransactionPush, tip: Tip) -> list[Reason]:
    head, epoch = push.new.chunks, tip.ledger.attestation.epoch
    if head is None or head.epoch == epoch:
        return []
    return [reason(POLICY, "push.epoch", ledger_ref(push.ns), f"chunks of {epoch}", head.epoch)]


def judge_old_values(push: TransactionPush, heads: Heads) -> list[Reason]:
    """The refs must stand where the client says they do, or it has not seen the newest state."""
    hint = "fetch, rebuild the transaction on the new tip, and push again"
    actual = heads.by_ref(push.ns)
    return [
        reason(CONFLICT, "base.stale", ref, actual.get(ref, ZERO_OID).hex(), claimed.hex(), hint)
        for ref, claimed in push.old.by_ref(push.ns).items()
        if claimed != actual.get(ref, ZERO_OID)
    ]


def read_chain(new: bytes, tip: Tip, pushed: Pushed) -> list[LedgerCommit]:
    """The pushed ledger commits, oldest first. Raises FormError when they are malformed, too many,
    or do not follow the tip in one line.
    """
    chain: list[LedgerCommit] = []
    oid = Oid(new)
    ref = ledger_ref(tip.ns)
    while oid != tip.ledger.oid:
        if not _is_among(oid, pushed.sent):
            _require_present(oid, pushed.objects, ref)
            raise FormError(
                reason(
                    POLICY,
                    "push.not-fast-forward",
                    ref,
                    f"commits that follow {tip.ledger.oid.hex()}",
                    f"a line through {oid.hex()}",
                )
            )
        if len(chain) == COMMITS_MAX:
            raise FormError(
                reason(
                    POLICY,
                    "push.commits",
                    ref,
                    f"at most {COMMITS_MAX} commits in one push",
                    "more",
                )
            )
        chain.append(_read_commit(oid, pushed.objects, ref))
        parent = _only_parent(chain[-1], ref)
        if parent is None:
            raise FormError(_judge_root(oid, tip, chain, pushed.objects))
        oid = parent
    return chain[::-1]


def _is_among(oid: Oid, ascending: Sequence[Oid]) -> bool:
    """Whether it is in the list; a set of all the objects sent would cost more than the whole
    admission.
    """
    at = bisect_left(ascending, oid)
    return at < len(ascending) and ascending[at] == oid


def _require_present(oid: Oid, objects: ObjectStore, where: bytes) -> None:
    """A ref must never point to what nobody has; git checks only what the pack's own objects link
    to.
    """
    if not objects.has(oid):
        raise FormError(
            reason(
                BROKEN, "pack.incomplete", where, f"a pack that holds {oid.hex()}", "one without it"
            )
        )


def _read_commit(oid: Oid, objects: ObjectStore, ref: bytes) -> LedgerCommit:
    try:
        return read_ledger_commit(oid, objects.read)
    except IntegrityError as error:
        raise FormError(reason(POLICY, "push.not-a-commit", ref, "a commit", str(error))) from error


def _only_parent(ledger: LedgerCommit, ref: bytes) -> Oid | None:
    """The parent; None for the first commit of a ledger."""
    parents = ledger.commit.parents
    if len(parents) > 1:
        raise FormError(
            reason(
                POLICY,
                "commit.parents",
                ref,
                "exactly one parent",
                f"a merge of {len(parents)}",
                "rebuild the change on the tip",
            )
        )
    return parents[0] if parents else None


def _judge_root(root: Oid, tip: Tip, chain: list[LedgerCommit], objects: ObjectStore) -> Reason:
    """Why a line that ends in a first commit cannot follow the tip: it is our own from the start,
    an orphan, or another ledger's.
    """
    ref, expected = ledger_ref(tip.ns), f"commits that follow {tip.ledger.oid.hex()}"
    if seek(tip.ledger, 0, objects.read).oid == root:
        return reason(
            POLICY,
            "push.not-fast-forward",
            ref,
            expected,
            "a line that leaves it out",
            "fetch, and rebuild on the new tip",
        )
    if len(chain) == 1:
        return reason(
            POLICY,
            "commit.parents",
            ref,
            "exactly one parent",
            f"none in {root.hex()}",
            "rebuild the change on the tip",
        )
    return reason(
        INTEGRITY, "history.foreign", ref, expected, f"another ledger, begun by {root.hex()}"
    )


def _judge_chain(
    judging: Judging, pushed: Pushed, judges: _Judges, tip: Tip, chain: list[LedgerCommit]
) -> list[_Admitted] | Verdict:
    judged_by, now_s = judges
    steps: list[_Admitted] = []
    in_push: set[str] = set()
    past_s = partial(newest_receipt_s, judging.gate.refs, judging.gate.objects)
    pushed_chunks = pushed.push.new.chunks or tip.heads.chunks
    for ledger in chain:
        derived, _ = index_commit(index_facts(ledger, tip.index_oid))
        made = chunks_after(ledger, tip)
        chunks_oid = tip.chunks_oid if made is None else made[0]
        after = Tip(ledger, derived, chunks_oid)
        is_last = ledger is chain[-1]
        index_oid = pushed.push.new.index_oid if is_last else derived
        shown = (pushed_chunks and pushed_chunks.oid) if is_last else chunks_oid
        signed = Signed(ledger.commit.payload, ledger.commit.armour)
        moments = (ledger.commit.identity().seconds, now_s)
        signature = verify_at(judging.verifier, signed, judged_by.keys, moments)

        def txn_known(txn: str) -> bool:
            return txn in in_push or judging.known.knows(txn)

        situation = Situation(pushed.push.ns, tip, judged_by.policy, now_s, txn_known, past_s)
        admission = admit(
            Candidate(ledger, index_oid, signature, shown), situation, pushed.objects.read
        )
        if admission.reasons:
            return refuse(admission.reasons)
        principal = admission.principal
        signers = [principal.name] if principal is not None else []
        standing = judge_standing(judging.gate.refs, signers, judged_by.commit, ledger_ref(tip.ns))
        if standing:
            return refuse(standing)
        for oid in after.heads.oids[1:]:
            if not pushed.objects.has(oid):
                where, expected = index_ref(tip.ns), f"a pack that holds {oid.hex()}"
                lost = reason(BROKEN, "pack.incomplete", where, expected, "one without it")
                return refuse([lost])
        tip = after
        in_push.add(ledger.attestation.txn)
        steps.append(_Admitted(tip, principal))
    return steps


def _audit_chain(
    objects: ObjectStore, pushed: Pushed, judged_by: JudgedPolicy, way: tuple[Tip, list[_Admitted]]
) -> Verdict:
    tip, steps = way
    expected: set[Oid] = {EMPTY_TREE}
    for step in steps:
        audit = audit_under(
            judged_by.policy, (tip, step.tip), step.principal, AuditLoader(pushed.objects)
        )
        if audit.reasons:
            return refuse(audit.reasons)
        expected |= audit.objects
        expected |= set(step.tip.heads.oids)
        tip = step.tip
    return _judge_strays(
        objects, [oid for oid in pushed.sent if oid not in expected], ledger_ref(tip.ns)
    )


def _judge_strays(objects: ObjectStore, unexpected: list[Oid], where: bytes) -> Verdict:
    """Nothing new may come along that the transaction does not reach. Stock git may resend what the
    repository has: its reachability walk is sparse.
    """
    kinds = objects.kinds(unexpected)
    strays = [oid for oid, kind in zip(unexpected, kinds, strict=True) if kind is None]
    if not strays:
        return Verdict()
    return refuse([stray_reason(strays, where)])


def stray_reason(strays: list[Oid], where: bytes) -> Reason:
    """Why a push that brings these along is no good."""
    got = f"{len(strays)} more, such as {strays[0].hex()}"
    return reason(INTEGRITY, "pack.stray", where, "only objects of the transaction", got)


def _refused(reasons: list[Reason]) -> JudgedPush:
    return JudgedPush(refuse(reasons))
