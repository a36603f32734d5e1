"""The deep audit after the answer, for namespaces with `verify: before-publish`.

Level-triggered: what is to audit is what lies between the mark `refs/kv-audited/<ns>` and the
newest watchlog entry, so a restart loses nothing. The mirror publishes up to the mark only. A
violation is answered by a transaction of the gateway that restores the last good state; later
transactions that are sound by themselves are applied again. Who forged something is suspended until
an admin moves the policy on, which admins can do who are suspended themselves; the suspension moves
with the refs of the restoration.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gitkv.admission.deep_audit import audit_under
from gitkv.audit.step import StepAudit
from gitkv.errors import GitKvError, IntegrityError
from gitkv.gateway.author import Author, deliver, gateway_stamp
from gitkv.gateway.backoff import Backoffs
from gitkv.gateway.followers.follower import POLL_S, cause_of
from gitkv.gateway.gate import Gate, JudgedPolicy
from gitkv.gateway.hold import WriteHold
from gitkv.gateway.judge import stray_reason
from gitkv.gateway.sent_objects import dropped_records, stray_objects
from gitkv.gateway.standing import suspension
from gitkv.gateway.telling import Announcements
from gitkv.gateway.watchlog import Entry
from gitkv.ledger.compose import Tip, compose, read_tip
from gitkv.ledger.index_line import parse_meta
from gitkv.ledger.plan import Changes, Plan, Put, plan_changes
from gitkv.ledger.roots import LedgerTrees, open_ledger
from gitkv.model.commit import parse_commit
from gitkv.model.configuration import DEFAULTS, RetryPauses
from gitkv.model.event import (
    AuditFailed,
    AuditNotReapplied,
    AuditPassed,
    AuditReapplied,
    AuditRecovered,
    AuditRestored,
    AuditViolation,
    Event,
    Report,
)
from gitkv.model.gateway_act import APPLY_AGAIN, RESTORE, GatewayAct
from gitkv.model.identity import PublicKey, Signature
from gitkv.model.manifest import parse_manifest
from gitkv.model.oid import BLOB, COMMIT, EMPTY_TREE, ZERO_OID, Oid
from gitkv.model.policy import Principal
from gitkv.model.refs import Namespace, RefUpdate, audited_ref, ledger_ref
from gitkv.model.verdict import FormError, Reason
from gitkv.ports import History, Spool, Verifier
from gitkv.verifying.audit_loader import AuditLoader

# Limits of the policy, which a client with an older policy oversteps in good faith: undone and
# told, and nobody is suspended for it.
HONEST_RULES = frozenset(
    (
        "value.size",
        "value.total",
        "value.inline",
        "value.chunking",
        "value.lfs",
        "transaction.keys",
        "meta.expires",
        "expiry.missing",
    )
)


class Pending(NamedTuple):
    """An accepted transaction that was not audited yet; `before`: the entry before its own."""

    entry_oid: Oid
    entry: Entry
    before: Oid


class Auditing(NamedTuple):
    """What the audit after the answer takes: `author` to restore, and who is told of a mark that
    has moved.
    """

    author: Author
    verifier: Verifier
    history: History
    announcements: Announcements
    report: Report

    @property
    def gate(self) -> Gate:
        """Where things stand."""
        return self.author.gate


class Audit:
    """The follower. One namespace's failure holds up no other, and each cause is told once. While
    writes are held it does nothing.
    """

    name = "audit"
    is_woken = True

    def __init__(
        self,
        auditing: Auditing,
        hold: WriteHold,
        now_s: Callable[[], float] = time.monotonic,
        retry: RetryPauses = DEFAULTS.retry,
    ) -> None:
        self._auditing, self._hold = auditing, hold
        self._backoffs = Backoffs(now_s, pauses=retry)

    def failed(self, detail: str, hint: str) -> Event:
        """As in the port."""
        return AuditFailed("", detail, hint)

    def recovered(self) -> Event:
        """As in the port."""
        return AuditRecovered()

    def step(self) -> float:
        """Audits what waits in each namespace. Raises only what concerns all of them."""
        if self._hold.because:
            return POLL_S
        namespaces = self._auditing.gate.namespaces()
        self._backoffs.keep(namespaces)
        for ns in namespaces:
            if self._backoffs.left_s(ns) == 0.0:
                self._audit(ns)
        return self._backoffs.next_s(POLL_S)

    def finish(self) -> None:
        """Nothing: what waits is audited after the next start."""

    def _audit(self, ns: Namespace) -> None:
        try:
            audit_pending(self._auditing, ns)
        except Exception as error:  # a defect of ours, too: the others are to be published
            detail = cause_of(error)
            if self._backoffs.failed(ns, detail):
                self._auditing.report(AuditFailed(ns, detail))
        else:
            if self._backoffs.succeeded(ns):
                self._auditing.report(AuditRecovered(ns))


def audit_pending(auditing: Auditing, ns: Namespace) -> int:
    """Audits everything that waits in a namespace, in order; how many transactions that were."""
    audited, reached = 0, {EMPTY_TREE}
    for pending in pending_entries(auditing.gate, ns):
        before = _tip_of(auditing.gate, auditing.gate.entry(pending.before))
        audit, signer = _audit(auditing, pending, before)
        audited += 1
        reached |= audit.objects | set(pending.entry.heads.oids)
        reasons = audit.reasons
        if not reasons:
            gate, history, entry = auditing.gate, auditing.history, pending.entry_oid
            strays = stray_objects(gate, history, entry, reached, before)
            reasons = [stray_reason(strays, ledger_ref(ns))] if strays else []
        if reasons:
            _answer_violation(auditing, ns, pending, signer, reasons)
            return audited + audit_pending(auditing, ns)
        with auditing.author.durable.lock:
            _mark(auditing, ns, pending.entry_oid, [pending])
        accepted = pending.entry
        auditing.report(AuditPassed(ns, accepted.seq, accepted.heads.ledger.hex()))
    return audited


def pending_entries(gate: Gate, ns: Namespace) -> list[Pending]:
    """Watchlog entries after the mark, oldest first.

    Of one state of the refs: a push that is audited before its answer moves the mark with its own
    entry, and with the refs of two moments it would be audited against itself.
    """
    at, mark = gate.watchlog_and_mark(ns)
    found: list[Pending] = []
    while at is not None and mark is not None and at != mark:
        parents = parse_commit(gate.objects.read(at, COMMIT)).parents
        if not parents:
            raise IntegrityError(f"refs/kv-audited/{ns} is not an entry of the watchlog")
        found.append(Pending(at, gate.entry(at), parents[0]))
        at = parents[0]
    return found[::-1]


def _audited_tip(gate: Gate, ns: Namespace) -> Tip:
    mark = gate.refs.read(audited_ref(ns))
    if mark is None:
        raise IntegrityError(f"refs/kv-audited/{ns} is missing")
    return _tip_of(gate, gate.entry(mark))


def _tip_of(gate: Gate, entry: Entry) -> Tip:
    return read_tip(entry.heads, gate.objects.read)


def _audit(auditing: Auditing, pending: Pending, before: Tip) -> tuple[StepAudit, Principal | None]:
    """By the policy that admitted it; `before`: what it was built on."""
    gate = auditing.gate
    judged_by, after = gate.policy_at(pending.entry.policy), _tip_of(gate, pending.entry)
    signer = _signer(auditing, after, judged_by)
    return audit_under(
        judged_by.policy, (before, after), signer, AuditLoader(auditing.gate.objects)
    ), signer


def _signer(auditing: Auditing, tip: Tip, judged_by: JudgedPolicy) -> Principal | None:
    signature = _signature(auditing, tip, judged_by.keys)
    return (
        judged_by.policy.principal_of_key(signature.fingerprint) if signature.fingerprint else None
    )


def _signature(auditing: Auditing, tip: Tip, keys: Sequence[PublicKey]) -> Signature:
    commit = tip.ledger.commit
    seconds = commit.identity().seconds
    return auditing.verifier.verify(commit.payload, commit.armour, keys, seconds)


def _mark(auditing: Auditing, ns: Namespace, entry: Oid, done: Iterable[Pending]) -> None:
    """Moves the mark, and with it goes what was kept for the audit of those that are `done`; to be
    called with the lock held.
    """
    refs = auditing.gate.refs
    before = refs.read(audited_ref(ns)) or ZERO_OID
    dropped = dropped_records(refs, ns, [pending.entry_oid for pending in done])
    updates = [RefUpdate(audited_ref(ns), before, entry), *dropped.updates]
    auditing.author.durable.move_marks(updates, dropped.commits)
    auditing.announcements.announce()


def _answer_violation(
    auditing: Auditing, ns: Namespace, bad: Pending, signer: Principal | None, reasons: list[Reason]
) -> None:
    """Restores, applies the sound ones again, and suspends who forged something. The attempt stays
    in the history for everyone to see.
    """
    forger = signer if any(entry.rule not in HONEST_RULES for entry in reasons) else None
    said = [entry.text() for entry in reasons]
    who, suspended = (one.name if one is not None else "" for one in (signer, forger))
    auditing.report(AuditViolation(ns, bad.entry.seq, who, suspended, said))
    with auditing.author.durable.lock:
        later = [
            pending
            for pending in pending_entries(auditing.gate, ns)
            if pending.entry.seq > bad.entry.seq
        ]
        good = _audited_tip(auditing.gate, ns)
        current = auditing.gate.tip(ns)
        assert current is not None
        act = GatewayAct(RESTORE, ns, good.seq)
        text = _restoration_text(act, bad.entry, said, later)
        suspends: list[RefUpdate] = []
        if forger is not None and not _was_restored(auditing, act, bad, later):
            suspends = suspension(auditing.gate.refs, forger.name, auditing.gate.policy().commit)
        plan = Plan(*good.trees, 0, 0)
        restored = _author(auditing, current, (plan, auditing.author.spool()), text, suspends)
        auditing.report(AuditRestored(ns, restored.seq, good.seq))
        for base, pending in zip([bad, *later], later, strict=False):
            _apply_again(auditing, base, pending, forger)
        # The mark moves last: a gateway killed before it finds the violation again and does all of
        # this once more but suspend, which loses nothing.
        end = auditing.gate.tip(ns)
        assert end is not None
        _mark(auditing, ns, auditing.gate.watchlog_tip(end), [bad, *later])


def _was_restored(auditing: Auditing, act: GatewayAct, bad: Pending, later: list[Pending]) -> bool:
    """Whether a restoration of ours answers this violation already: a gateway that was killed
    before it moved the mark suspends nobody once more, for an admin may have lifted it meanwhile.
    """
    begins = _restoration_head(act, bad.entry).encode()
    for pending in later:
        tip = _tip_of(auditing.gate, pending.entry)
        if tip.ledger.commit.message.startswith(begins):
            judged_by = auditing.gate.policy_at(pending.entry.policy)
            if _signature(auditing, tip, judged_by.policy.gateway_keys).status == "good":
                return True
    return False


def _restoration_head(act: GatewayAct, bad: Entry) -> str:
    return f"{act.subject()}\n\nTransaction {bad.txn} ({bad.ns}@{bad.seq}) failed the audit:\n"


def _restoration_text(act: GatewayAct, bad: Entry, said: list[str], later: list[Pending]) -> str:
    """Names every transaction that is undone, so that whoever waits for one of them can be told."""
    lines = [_restoration_head(act, bad).rstrip("\n"), *said]
    if later:
        lines += ["", "Undone with it:"]
        lines += [f"Transaction {entry.txn} ({entry.ns}@{entry.seq})" for _, entry, _ in later]
    return "\n".join(lines)


def _apply_again(
    auditing: Auditing, base: Pending, pending: Pending, suspended: Principal | None
) -> None:
    """Applies a transaction that was built on `base`, if it is right by itself: the gateway signs
    no violation of anybody's.
    """
    about = (pending.entry.ns, pending.entry.seq, pending.entry.txn)
    try:
        before = _tip_of(auditing.gate, base.entry)
        audit, signer = _audit(auditing, pending, before)
        if signer is None or signer == suspended or audit.reasons:
            why = (
                audit.reasons[0].text()
                if audit.reasons
                else "signed by the suspended writer, or by the gateway"
            )
            auditing.report(AuditNotReapplied(*about, why))
            return
        current = auditing.gate.tip(pending.entry.ns)
        assert current is not None
        changes = _changes(
            auditing, audit.changes, (before, _tip_of(auditing.gate, pending.entry), current)
        )
        writer = auditing.author.spool()
        plan = plan_changes(
            current.trees, current.seq + 1, changes, auditing.gate.objects.read, writer.add
        )
        if plan.keys_set + plan.keys_del == 0:
            why = "without what was undone it changes nothing"
            auditing.report(AuditNotReapplied(*about, why))
            return
        act = GatewayAct(APPLY_AGAIN, pending.entry.ns, pending.entry.seq, signer.name)
        text = (
            f"{act.subject()}\n\nTransaction {pending.entry.txn} was undone together with a "
            "violation before it."
        )
        _author(auditing, current, (plan, writer), text)
        auditing.report(AuditReapplied(*about))
    except (FormError, GitKvError) as error:
        auditing.report(AuditNotReapplied(*about, str(error)))


def _changes(
    auditing: Auditing, audited: Iterable[tuple[bytes, Oid | None]], tips: tuple[Tip, Tip, Tip]
) -> Changes:
    """What a transaction changed; `tips`: its base, itself, and where it is to be applied.

    New metadata of a value that it did not set goes with that value only: another one was somebody
    else's, and is undone.
    """
    read = auditing.gate.objects.read
    before, after, current = [open_ledger(tip.ledger.commit.tree, read) for tip in tips]
    changes: dict[bytes, Put | None] = {}
    for name, value in audited:
        if value is None:
            changes[name] = None
        elif _value(before, name) != value or _value(current, name) == value:
            meta = after.meta.get(name)
            ctype, expires = parse_meta(read(Oid(meta), BLOB)) if meta is not None else ("", 0)
            body = read(value, BLOB)
            is_large = after.manifests.get(name) is not None
            changes[name] = Put(parse_manifest(body) if is_large else body, ctype, expires)
    return changes


def _value(ledger: LedgerTrees, name: bytes) -> bytes | None:
    return ledger.data.get(name) or ledger.manifests.get(name)


def _author(
    auditing: Auditing,
    base: Tip,
    planned: tuple[Plan, Spool],
    text: str,
    updates: Sequence[RefUpdate] = (),
) -> Tip:
    """Makes the planned transaction durable, with its receipt; `updates` move along."""
    plan, writer = planned
    stamp = gateway_stamp(auditing.author.clock, text)
    transaction = compose(
        base, plan, stamp, auditing.author.signer.sign, auditing.gate.objects.read, writer.add
    )
    log_before = auditing.gate.watchlog_tip(base)
    deliver(auditing.author, transaction, writer, log_before, audited=False, also=updates)
    return transaction.tip
