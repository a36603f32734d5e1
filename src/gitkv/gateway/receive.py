"""Receiving a push whose pack is in quarantine: load, decide, apply, report.

The decision is made without a lock, on the tip of its time; moving the refs compares with that tip
again, so of two racing pushes one wins and the other is told the new tip. What a refused push
leaves is nothing.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from gitkv.errors import ConflictError
from gitkv.gateway.deadline import JudgedTooLongError, Monotonic, TimedObjects
from gitkv.gateway.deliver import DurableStep
from gitkv.gateway.gate import Gate, JudgedPolicy
from gitkv.gateway.hold import WriteHold
from gitkv.gateway.judge import JudgedPush, Judging, Pushed, judge_old_values, judge_transaction
from gitkv.gateway.own_key import OwnKey
from gitkv.gateway.policy_push import judge_policy_push
from gitkv.gateway.sent_objects import sent_record
from gitkv.gateway.standing import judge_standing, lifted
from gitkv.gateway.telling import tidy_up
from gitkv.gateway.watchlog import entry_of, write_entry
from gitkv.ledger.compose import Tip
from gitkv.model.configuration import DEFAULTS
from gitkv.model.event import Report
from gitkv.model.oid import COMMIT, ZERO_OID, Oid, hash_object
from gitkv.model.policy import VERIFY_BEFORE_ACK
from gitkv.model.refs import (
    POLICY_REF,
    RefUpdate,
    audited_ref,
    ledger_ref,
    unaudited_ref,
    watchlog_ref,
)
from gitkv.model.verdict import ACCEPTED, CONFLICT, INTEGRITY, POLICY, Verdict, reason, refuse
from gitkv.ports import Delivery, Intake, ObjectStore, ObjectTooLargeError, QuarantinedPack
from gitkv.wire.push_grammar import PolicyPush, TransactionPush

_JUDGED_BYTES_A_S = 8 << 20  # that a slow machine reads and hashes
READ_BYTES_MAX = (
    16 << 20
)  # of chunks, the largest that a judge reads; other values are measured, not read


class Receipt(NamedTuple):
    """Where a transaction was accepted, the watchlog entry that says so, and its bytes."""

    tip: Tip
    watchlog: Oid
    entry: bytes


class Answer(NamedTuple):
    """What the pusher is told. `receipt` is None for refusals and policy changes; `signers` for the
    log.
    """

    verdict: Verdict
    receipt: Receipt | None = None
    signers: tuple[str, ...] = ()


class Receiving(NamedTuple):
    """What receiving a push takes: a judgement, the key for its receipt, the way into the
    repository, whether there is one now, and who is told of what failed in tidying up.
    """

    judging: Judging
    own_key: OwnKey
    durable: DurableStep
    hold: WriteHold
    report: Report


def receive(
    receiving: Receiving,
    push: TransactionPush | PolicyPush,
    intake: Intake,
    pack: QuarantinedPack,
    *,
    judging_s: float = DEFAULTS.push.judging_s,
    monotonic: Monotonic = time.monotonic,
) -> Answer:
    """Judges the push and, when it is accepted, makes it durable. The intake is empty
    afterwards, whatever happens. Raises OutcomeUnknownError, and nothing else once the refs moved.

    `judging_s`: the time for judging a small push; a large one has more.
    """
    objects = intake.objects(READ_BYTES_MAX)
    seconds = judging_s + pack.size / _JUDGED_BYTES_A_S
    timed = TimedObjects(objects, seconds=seconds, monotonic=monotonic)
    try:
        receiving.hold.check()
        if isinstance(push, PolicyPush):
            return _receive_policy(receiving, push.policy_move, timed, pack)
        return _receive_transaction(receiving, Pushed(push, timed, pack.oids), pack)
    except JudgedTooLongError as error:
        expected, hint = "a push that is judged in time", "push less at a time"
        return Answer(refuse([reason(POLICY, "push.too-long", "push", expected, str(error), hint)]))
    except (
        ObjectTooLargeError
    ) as error:  # the sender's doing: nothing that was accepted comes near it
        expected = f"trees and texts of at most {READ_BYTES_MAX} bytes"
        return Answer(refuse([reason(POLICY, "object.size", "pack", expected, str(error))]))
    finally:
        tidy_up(receiving.report, objects.close, intake.discard)


def refuse_stale(gate: Gate, push: TransactionPush | PolicyPush) -> Answer | None:
    """The refusal of a transaction that another one has overtaken, before its pack is read; None
    for any other push.
    """
    heads = gate.heads(push.ns) if isinstance(push, TransactionPush) else None
    if heads is None or not isinstance(push, TransactionPush):
        return None
    stale = judge_old_values(push, heads)
    return Answer(refuse(stale)) if stale else None


def _receive_policy(
    receiving: Receiving,
    move: RefUpdate,
    objects: ObjectStore,
    pack: QuarantinedPack,
) -> Answer:
    gate, durable = receiving.judging.gate, receiving.durable
    judged_by = gate.policy()
    verdict = judge_policy_push(gate, receiving.own_key, move, objects, judged_by)
    if not verdict.accepted:
        return Answer(verdict)
    with durable.lock:
        try:
            updates = [move, *lifted(gate.refs)]
            durable.make_durable(Delivery(pack.pack_path, (), updates))
        except ConflictError as error:
            return Answer(_lost_race(POLICY_REF, error))
    return Answer(ACCEPTED)


def _receive_transaction(receiving: Receiving, pushed: Pushed, pack: QuarantinedPack) -> Answer:
    judging = receiving.judging
    gate, known = judging.gate, judging.known
    judged_by = gate.policy()
    judged = judge_transaction(judging, pushed, judged_by)
    if not judged.verdict.accepted:
        return Answer(judged.verdict)
    with receiving.durable.lock:
        if gate.policy().commit != judged_by.commit:
            return Answer(_policy_moved(judged_by, gate.policy()))
        standing = judge_standing(
            gate.refs, judged.principals, judged_by.commit, ledger_ref(pushed.push.ns)
        )
        if standing:
            return Answer(refuse(standing))
        if any(known.knows(tip.ledger.attestation.txn) for tip in judged.tips):
            return Answer(
                refuse(
                    [
                        reason(
                            INTEGRITY,
                            "transaction.replayed",
                            ledger_ref(pushed.push.ns),
                            "a new transaction id",
                            "a used one",
                        )
                    ]
                )
            )
        try:
            receipt = _apply_tips(receiving, judged, judged_by, pack)
        except ConflictError as error:
            return Answer(_lost_race(ledger_ref(pushed.push.ns), error))
    return Answer(ACCEPTED, receipt, judged.principals)


def _apply_tips(
    receiving: Receiving,
    judged: JudgedPush,
    judged_by: JudgedPolicy,
    pack: QuarantinedPack,
) -> Receipt:
    """Commits judged tips with a watchlog entry each; to be called with the lock held. Raises
    ConflictError.
    """
    last = judged.tips[-1]
    ns, epoch = last.ns, last.ledger.attestation.epoch
    base = judged.base
    gate = receiving.judging.gate
    actual = gate.heads(ns)
    if actual != base:  # known before anything is written that would have to be undone
        shown = "none" if actual is None else actual.ledger.hex()
        raise ConflictError("another push was first", expected=base.ledger.hex(), actual=shown)
    log_before, signer = gate.watchlog_tip(last), receiving.own_key.signer
    entries, log = [], log_before
    for tip in judged.tips:
        log, body = write_entry(entry_of(tip, judged_by.commit), log, judged.now_s, signer)
        entries.append(body)
    updates = [
        *last.heads.move_from(base, ns),
        RefUpdate(watchlog_ref(ns, epoch), log_before, hash_object(COMMIT, entries[-1])),
    ]
    newest = entries[-1]
    moved = _audited_move(gate, judged_by, last, log)
    if not moved:  # the audit comes after the answer, when the pack may be rolled up with others
        record = sent_record(ns, log, pack.oids, judged.now_s)
        entries.append(record)
        updates.append(RefUpdate(unaudited_ref(ns, log), ZERO_OID, hash_object(COMMIT, record)))
    txns = [tip.ledger.attestation.txn for tip in judged.tips]
    delivery = Delivery(pack.pack_path, entries, updates + moved)
    receiving.durable.make_durable(delivery, txns)
    return Receipt(last, log, newest)


def _audited_move(gate: Gate, judged_by: JudgedPolicy, tip: Tip, log: Oid) -> list[RefUpdate]:
    """Audited before the answer: the mark moves along. Otherwise the background audit moves it."""
    rules, ref = judged_by.policy.namespace(tip.ns), audited_ref(tip.ns)
    before = gate.refs.read(ref)
    everything_before_is = before == gate.watchlog_tip(tip)
    if rules is None or rules.verify != VERIFY_BEFORE_ACK or not everything_before_is:
        return []
    return [RefUpdate(ref, before or ZERO_OID, log)]


def _lost_race(ref: bytes, error: ConflictError) -> Verdict:
    return refuse(
        [
            reason(
                CONFLICT,
                "base.stale",
                ref,
                error.actual,
                error.expected,
                "fetch, rebuild on the new tip, and push again",
            )
        ]
    )


def _policy_moved(judged_by: JudgedPolicy, now: JudgedPolicy) -> Verdict:
    return refuse(
        [
            reason(
                CONFLICT,
                "policy.moved",
                POLICY_REF,
                now.commit.hex(),
                judged_by.commit.hex(),
                "push again",
            )
        ]
    )
