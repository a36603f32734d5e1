"""A ledger written by the product's own writer, without a disk: what a client does between a draft
and a push.
"""

from __future__ import annotations

from typing import NamedTuple

from gitkv.audit.history import UNLIMITED, Verify, audit_history
from gitkv.audit.limits import AuditRules
from gitkv.audit.step import Roots, StepAudit, StepFacts, audit_step
from gitkv.ledger.compose import Stamp, Tip, compose, compose_first
from gitkv.ledger.plan import Changes, Plan, plan_changes
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity
from gitkv.model.oid import COMMIT, Oid
from gitkv.model.refs import EpochLabel, Namespace
from gitkv.model.verdict import Reason
from gitkv.testing.memory import MemoryObjectStore
from gitkv.verifying.audit_loader import AuditLoader

START_S = 1_700_000_000


def unsigned(payload: bytes) -> bytes:
    return b""


class Step(NamedTuple):
    """One transaction: the tips around it and what the writer emitted for it, in order."""

    before: Tip
    after: Tip
    plan: Plan
    emitted: tuple[Oid, ...]


class LedgerInMemory:
    """Grows by changes, one transaction a second. `steps` has each transaction."""

    def __init__(self, ns: str = "main") -> None:
        self.store = MemoryObjectStore()
        self.ns = Namespace(ns)
        self.steps: list[Step] = []
        self._stamps = 0
        self.first = self.tip = compose_first(
            self.ns, EpochLabel("e1"), self.stamp("begin"), unsigned, self.store.add
        ).tip

    def stamp(self, text: str = "kv: test", email: str = "ann@example.org") -> Stamp:
        self._stamps += 1
        now_s = START_S + self._stamps
        return Stamp(Identity("Ann Example", email, now_s), uuid7(now_s * 1000, bytes(10)), text)

    def plan(self, changes: Changes, emitted: list[Oid] | None = None) -> Plan:
        def emit(kind: bytes, body: bytes) -> Oid:
            oid = self.store.add(kind, body)
            if emitted is not None:
                emitted.append(oid)
            return oid

        return plan_changes(self.tip.trees, self.tip.seq + 1, changes, self.store.read, emit)

    def write(self, changes: Changes) -> Step | None:
        """The transaction, or None when nothing changes."""
        emitted: list[Oid] = []
        plan = self.plan(changes, emitted)
        if plan.keys_set + plan.keys_del == 0:
            assert not emitted
            return None
        return self.append(plan, emitted=tuple(emitted))

    def append(self, plan: Plan, text: str = "kv: test", emitted: tuple[Oid, ...] = ()) -> Step:
        """A transaction with these trees and counts, right or wrong."""
        after = compose(
            self.tip, plan, self.stamp(text), unsigned, self.store.read, self.store.add
        ).tip
        step = Step(self.tip, after, plan, emitted)
        self.steps.append(step)
        self.tip = after
        return step

    def audit(self, step: Step, rules: AuditRules = UNLIMITED) -> StepAudit:
        facts = StepFacts(step.after.seq, step.plan.keys_set, step.plan.keys_del)
        return audit_step(
            Roots(*step.before.trees),
            Roots(*step.after.trees),
            facts,
            rules,
            AuditLoader(self.store),
        )

    def audit_all(self, verify_gateway: Verify | None = None) -> list[Reason]:
        """The independent opinion on the whole ledger."""
        tips = [self.first, *(step.after for step in self.steps)]
        commits = [(tip.ledger.oid, self.store.read(tip.ledger.oid, COMMIT)) for tip in tips]
        indexes = [(tip.index_oid, self.store.read(tip.index_oid, COMMIT)) for tip in tips]
        return audit_history(
            commits, indexes, AuditLoader(self.store), verify_gateway=verify_gateway
        )
