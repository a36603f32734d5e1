"""The deep audit behind the answer, for namespaces with `verify: before-publish`.

Level-triggered: what is to audit is what lies between the mark `refs/kv-audited/<ns>` and the newest watchlog entry, so a restart loses
nothing. The mirror publishes up to the mark only. A violation is answered by a transaction of the gateway that restores the last good
state; later transactions that are sound by themselves are applied again, and the writer is suspended until an admin moves the policy on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gitkv.errors import GitKvError, IntegrityError
from gitkv.gateway.author import deliver, gateway_stamp, spool
from gitkv.gateway.commit import commit
from gitkv.gateway.stargate import JudgedPolicy, Stargate
from gitkv.gateway.watchlog import Entry
from gitkv.git.audit_loader import AuditLoader
from gitkv.git.pack import PackWriter
from gitkv.ledger.compose import Tip, compose, read_tip
from gitkv.ledger.index_line import parse_meta
from gitkv.ledger.plan import Changes, Plan, Put, plan_changes
from gitkv.ledger.policy_audit import audit_under
from gitkv.ledger.policy_rules import allowed_ranges, in_ranges
from gitkv.ledger.roots import open_ledger
from gitkv.ledger.tree_diff import differences
from gitkv.model.commit import parse_commit
from gitkv.model.key import is_name
from gitkv.model.oid import BLOB, COMMIT, Oid
from gitkv.model.policy import Principal
from gitkv.model.refs import Namespace, RefUpdate, audited_ref
from gitkv.model.verdict import FormError, Reason


class Pending(NamedTuple):
    """An accepted transaction that was not audited yet."""

    entry_oid: Oid
    entry: Entry


def audit_pending(stargate: Stargate, ns: Namespace) -> int:
    """Audits everything that waits in a namespace, in order; how many transactions that were."""
    audited = 0
    for pending in list(pending_entries(stargate, ns)):
        before = _audited_tip(stargate, ns)
        after = read_tip(pending.entry.ledger, pending.entry.index_oid, stargate.objects.read)
        reasons, signer = _audit(stargate, pending, before, after)
        audited += 1
        if reasons:
            _answer_violation(stargate, ns, pending, signer, reasons)
            return audited + audit_pending(stargate, ns)
        _mark(stargate, ns, pending.entry_oid)
        stargate.report("audit.passed", {"ns": ns, "seq": pending.entry.seq, "ledger": pending.entry.ledger.hex()})
    return audited


def pending_entries(stargate: Stargate, ns: Namespace) -> Iterator[Pending]:
    """Watchlog entries behind the mark, oldest first."""
    tip, mark = stargate.tip(ns), stargate.refs.read(audited_ref(ns))
    if tip is None or mark is None:
        return
    found = []
    at = stargate.watchlog_tip(tip)
    while at != mark:
        found.append(Pending(at, stargate.entry(at)))
        parents = parse_commit(stargate.objects.read(at, COMMIT)).parents
        if not parents:
            raise IntegrityError(f"refs/kv-audited/{ns} is not an entry of the watchlog")
        at = parents[0]
    yield from reversed(found)


def _audited_tip(stargate: Stargate, ns: Namespace) -> Tip:
    mark = stargate.refs.read(audited_ref(ns))
    if mark is None:
        raise IntegrityError(f"refs/kv-audited/{ns} is missing")
    entry = stargate.entry(mark)
    return read_tip(entry.ledger, entry.index_oid, stargate.objects.read)


def _audit(stargate: Stargate, pending: Pending, before: Tip, after: Tip) -> tuple[list[Reason], Principal | None]:
    judged_by = stargate.policy_at(pending.entry.policy)
    signer = _signer(stargate, after, judged_by)
    return audit_under(judged_by.policy, (before, after), signer, AuditLoader(stargate.objects)).reasons, signer


def _signer(stargate: Stargate, tip: Tip, judged_by: JudgedPolicy) -> Principal | None:
    commit_ = tip.ledger.commit
    signature = stargate.verifier.verify(commit_.payload, commit_.armour, judged_by.keys, commit_.identity().seconds)
    return judged_by.policy.principal_of_key(signature.fingerprint) if signature.fingerprint else None


def _mark(stargate: Stargate, ns: Namespace, entry: Oid) -> None:
    with stargate.moving:
        before = stargate.refs.read(audited_ref(ns))
        stargate.refs.move([RefUpdate(audited_ref(ns), before or bytes(20), entry)])
    stargate.announce_move()


def _answer_violation(stargate: Stargate, ns: Namespace, bad: Pending, signer: Principal | None, reasons: list[Reason]) -> None:
    """Restores, suspends, applies the sound ones again. The attempt stays in the history for everyone to see."""
    if signer is not None:
        stargate.suspend(signer.name, stargate.policy().commit)
    said = [entry.text() for entry in reasons]
    stargate.report("audit.violation", {"ns": ns, "seq": bad.entry.seq, "signer": signer.name if signer else "", "reasons": said})
    with stargate.moving:
        later = [pending for pending in pending_entries(stargate, ns) if pending.entry.seq > bad.entry.seq]
        good = _audited_tip(stargate, ns)
        current = stargate.tip(ns)
        assert current is not None
        text = f"restore {ns}@{good.seq}\n\nTransaction {bad.entry.txn} ({ns}@{bad.entry.seq}) failed the audit:\n" + "\n".join(said)
        restored = _author(stargate, current, Plan(*good.trees, 0, 0), spool(stargate), text)
        stargate.report("audit.restored", {"ns": ns, "seq": restored.seq, "state_of": good.seq})
        for pending in later:
            _apply_again(stargate, pending, signer)
        # The mark moves last: a gateway killed before it finds the violation again and does all of this once more, which loses nothing.
        end = stargate.tip(ns)
        assert end is not None
        _mark(stargate, ns, stargate.watchlog_tip(end))


def _apply_again(stargate: Stargate, pending: Pending, suspended: Principal | None) -> None:
    fields: dict[str, object] = {"ns": pending.entry.ns, "seq": pending.entry.seq, "txn": pending.entry.txn}
    try:
        judged_by = stargate.policy_at(pending.entry.policy)
        after = read_tip(pending.entry.ledger, pending.entry.index_oid, stargate.objects.read)
        signer = _signer(stargate, after, judged_by)
        if signer is None or signer == suspended:
            stargate.report("audit.not-reapplied", {**fields, "why": "signed by the suspended writer, or by the gateway"})
            return
        changes = _changes(stargate, judged_by, signer, after)
        current = stargate.tip(pending.entry.ns)
        assert current is not None
        writer = spool(stargate)
        plan = plan_changes(current.trees, current.seq + 1, changes, stargate.objects.read, writer.add)
        if plan.keys_set + plan.keys_del:
            of = f"{pending.entry.ns}@{pending.entry.seq} of {signer.name}"
            text = f"apply {of} again\n\nIt was undone together with a violation before it."
            _author(stargate, current, plan, writer, text)
        stargate.report("audit.reapplied", fields)
    except (FormError, GitKvError) as error:
        stargate.report("audit.not-reapplied", {**fields, "why": str(error)})


def _changes(stargate: Stargate, judged_by: JudgedPolicy, signer: Principal, after: Tip) -> Changes:
    """What a transaction changed against its own parent, as far as its signer may. Raises FormError on malformed trees."""
    objects = stargate.objects
    parent = parse_commit(objects.read(after.ledger.commit.parents[0], COMMIT)).tree
    old, new = open_ledger(parent, objects.read), open_ledger(after.ledger.commit.tree, objects.read)
    ranges = allowed_ranges(judged_by.policy, after.ns, signer.name)
    changes: dict[bytes, Put | None] = {}
    names = {found.name for found in differences(old.data, new.data)} | {found.name for found in differences(old.meta, new.meta)}
    for name in sorted(names):
        if is_name(name) and in_ranges(name, ranges):
            value, meta = new.data.get(name), new.meta.get(name)
            ctype, expires = parse_meta(objects.read(Oid(meta), BLOB)) if meta is not None else ("", 0)
            changes[name] = None if value is None else Put(objects.read(Oid(value), BLOB), ctype, expires)
    return changes


def _author(stargate: Stargate, base: Tip, plan: Plan, writer: PackWriter, text: str) -> Tip:
    stamp = gateway_stamp(stargate, text)
    transaction = compose(base, plan, stamp, stargate.signer.sign, stargate.objects.read, writer.add)
    delivery = deliver(stargate, transaction, writer, stargate.watchlog_tip(base), audited=False)
    commit(stargate, delivery)
    stargate.learn_transaction(stamp.txn)
    return transaction.tip
