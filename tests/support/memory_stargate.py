"""A whole Stargate in memory: the real use cases and real signatures over the adapters of
`gitkv.testing`, with a mirror, two developers, and faults at every step of a delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from support.accepted_in_memory import START_S, Keyed, keyed

from gitkv.gateway.followers.audit import audit_pending
from gitkv.gateway.followers.mirror import Mirror
from gitkv.gateway.receive import Answer, receive
from gitkv.gateway.recover import recover
from gitkv.gateway.setup import CreationRequest, write_first_state
from gitkv.gateway.stargate import Adapters, Stargate
from gitkv.ledger.compose import Stamp, Tip, Transaction, compose
from gitkv.ledger.plan import Changes, Plan, plan_changes
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity, commit_payload, sign_payload
from gitkv.model.configuration import MirrorTiming
from gitkv.model.event import Event
from gitkv.model.heads import NOWHERE
from gitkv.model.oid import BLOB, COMMIT, TREE, Oid, hash_object
from gitkv.model.refs import FIRST_EPOCH, POLICY_REF, Namespace, Ref, RefUpdate, watchlog_ref
from gitkv.policy.tree import policy_text
from gitkv.ports import Delivery, Journal, OutcomeUnknownError
from gitkv.sign.verifier import SignatureVerifier
from gitkv.testing.memory import MemoryJournal, MemoryLease, MemoryObjectStore, MemoryRefStore
from gitkv.testing.memory_gateway import (
    MemoryClock,
    MemoryHistory,
    MemoryHost,
    MemoryIntake,
    MemoryRemote,
    MemorySpool,
)
from gitkv.verifying.history import Request, Seen, Verified, verify_ledger
from gitkv.verifying.objects import Sighting
from gitkv.wire.push_grammar import PolicyPush, TransactionPush

NS = Namespace("main")
EAGER = (b"verify: before-ack ", b"verify: before-publish ")


class Killed(BaseException):
    """The process has ended: nothing that it would have done is done."""


class FaultyJournal:
    """A journal that fails at one of its steps: `fault` is asked at "prepare", "prepared",
    "commit", "committed", "finish" and "finished", and raises or not. After Killed it does nothing
    any more, as a dead process.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.fault: Callable[[str], None] = lambda step: None
        self.is_dead = False

    def prepare(self, delivery: Delivery, fence: int) -> None:
        self._reach("prepare")
        self._journal.prepare(delivery, fence)
        self._reach("prepared")

    def commit(self, fence: int) -> None:
        self._reach("commit")
        self._journal.commit(fence)
        self._reach("committed")

    def finish(self) -> None:
        self._reach("finish")
        self._journal.finish()
        self._reach("finished")

    def abort(self) -> None:
        self._reach("abort")
        self._journal.abort()

    def recover(self, fence: int) -> str:
        self._reach("recover")
        return self._journal.recover(fence)

    def _reach(self, step: str) -> None:
        if self.is_dead:
            raise Killed
        try:
            self.fault(step)
        except Killed:
            self.is_dead = True
            raise


def refuses(step: str) -> None:
    """The disk takes nothing."""
    if step == "prepare":
        raise OSError(28, "No space left on device")


def loses_before(step: str) -> None:
    """The refs cannot be written."""
    if step == "commit":
        raise OSError(5, "Input/output error")


def loses_after(step: str) -> None:
    """The refs have moved, and the disk does not confirm it."""
    if step == "committed":
        raise OutcomeUnknownError("the refs moved, but are perhaps not durable")


def kills_at(step: str, times: int = 1) -> Callable[[str], None]:
    """Ends the process when it reaches the step so often."""
    left = [times]

    def fault(reached: str) -> None:
        left[0] -= reached == step
        if reached == step and left[0] == 0:
            raise Killed

    return fault


class MemoryStargate:
    """A created Stargate that serves; alice is the admin, bob a writer. `events`: what was
    reported.
    """

    def __init__(self, namespaces: Sequence[Namespace] = (NS,)) -> None:
        self.objects, self.refs, self.lease = MemoryObjectStore(), MemoryRefStore(), MemoryLease()
        self.stored = MemoryJournal(self.objects, self.refs, self.lease)
        self.history, self.clock = MemoryHistory(self.objects), MemoryClock(START_S)
        self.host, self.mirror = MemoryHost("memory", namespaces), MemoryRemote(self.history)
        self.key, self.alice, self.bob = keyed("stargate"), keyed("alice"), keyed("bob")
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self._txns = 0
        self._open()
        admin, writers = ("alice", self.alice.line), [("bob", self.bob.line)]
        url = "ssh://git@stargate.example/store"
        request = CreationRequest("/nowhere", "memory", url, admin, writers, namespaces)
        write_first_state(self.stargate.author, request, self.key.signer.public_line)
        self.restart()

    def restart(self) -> None:
        """As another process finds it. Raises what `recover` does."""
        self._open()
        recover(self.stargate)
        timing = MirrorTiming(interval_s=0)
        self.watch = Mirror(self.stargate.mirroring, self.mirror, timing, lambda: 0.0)
        self.watch.begin()

    def _open(self) -> None:
        self.journal = FaultyJournal(self.stored)
        adapters = Adapters(
            self.objects,
            self.refs,
            self.history,
            self.host,
            lambda: MemorySpool(self.stored.packs),
            self.journal,
            self.lease,
            self.key.signer,
            SignatureVerifier("/nowhere", {}),
            self.clock,
        )
        self.stargate = Stargate(adapters, self._heard)

    def _heard(self, event: Event) -> None:
        self.events.append((event.name, event.fields()))

    def tip(self, ns: Namespace = NS) -> Tip:
        found = self.stargate.gate.tip(ns)
        assert found is not None
        return found

    def make(
        self,
        changes: Changes,
        by: Keyed | None = None,
        bend: Callable[[Plan], Plan] = lambda plan: plan,
        ns: Namespace = NS,
    ) -> tuple[Transaction, list[tuple[bytes, bytes]]]:
        """A transaction on the tip, and what of it is new; `bend` makes something else of it."""
        who, tip, added = by or self.bob, self.tip(ns), dict[Oid, tuple[bytes, bytes]]()

        def add(kind: bytes, body: bytes) -> Oid:
            oid = hash_object(kind, body)
            if not self.objects.has(oid):
                added[oid] = kind, body
            return oid

        plan = bend(plan_changes(tip.trees, tip.seq + 1, changes, self.objects.read, add))
        self._txns += 1
        txn = uuid7((START_S + self._txns) * 1000, bytes(10))
        stamp = Stamp(self._identity(who), txn, "kv: test")
        made = compose(tip, plan, stamp, who.signer.sign, self.objects.read, add)
        return made, list(added.values())

    def push(self, made: tuple[Transaction, list[tuple[bytes, bytes]]]) -> Answer:
        transaction, sent = made
        heads = transaction.before or NOWHERE
        tip = transaction.tip
        return self._receive(TransactionPush(tip.ns, heads, tip.heads), sent)

    def change_policy(self, old: bytes, new: bytes, by: Keyed | None = None) -> Answer:
        """A policy commit of the admin's that replaces a text."""
        base, sent, who = self.stargate.gate.policy().commit, dict[Oid, tuple[bytes, bytes]](), by

        def add(kind: bytes, body: bytes) -> Oid:
            oid = hash_object(kind, body)
            sent[oid] = kind, body
            return oid

        text = policy_text(base, self.objects.read)
        assert old in text
        folder = add(TREE, b"100644 policy.yaml\0" + add(BLOB, text.replace(old, new)))
        tree, who = add(TREE, b"40000 .kv\0" + folder), by or self.alice
        payload = commit_payload(tree, (base,), self._identity(who).line(), b"policy: change\n")
        oid = add(COMMIT, sign_payload(payload, who.signer.sign(payload)))
        return self._receive(PolicyPush(RefUpdate(POLICY_REF, base, oid)), list(sent.values()))

    def audit(self, ns: Namespace = NS) -> int:
        return audit_pending(self.stargate.auditing, ns)

    def verify(self, refs: Mapping[Ref, Oid] | None = None) -> Verified:
        """Re-verifies the whole history that these refs show, ours or the mirror's."""
        shown = self.refs.read_all() if refs is None else refs
        tip = self.tip()
        log = watchlog_ref(NS, FIRST_EPOCH)
        assert refs is not None or shown[log] == self.stargate.gate.watchlog_tip(tip)
        heads = (
            tip.heads
            if refs is None
            else type(tip.heads)(*(shown[ref] for ref in tip.heads.by_ref(NS)))
        )
        seen = Seen(
            NS,
            heads,
            watchlogs={FIRST_EPOCH: (Sighting(log.decode(), shown[log]),)},
            policies=(Sighting(POLICY_REF.decode(), shown[POLICY_REF]),),
            fetches_receipts=True,
        )
        return verify_ledger(seen, Request(), self.objects, SignatureVerifier("/nowhere", {}))

    def names(self, event: str) -> list[Mapping[str, object]]:
        """The fields of every event of this name."""
        return [fields for name, fields in self.events if name == event]

    def _receive(
        self, push: TransactionPush | PolicyPush, sent: Sequence[tuple[bytes, bytes]]
    ) -> Answer:
        intake = MemoryIntake(self.objects, self.stored.packs, sent)
        return receive(self.stargate.receiving, push, intake, intake.pack)

    def _identity(self, who: Keyed) -> Identity:
        return Identity(who.name.title(), f"{who.name}@example.com", self.clock.now_s())
