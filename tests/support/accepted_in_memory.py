"""A team's history in memory: policies, a ledger and its receipts, signed with real keys, as a
Stargate would have accepted them. Tests spoil a part of it and ask what verification says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gitkv.gateway.watchlog import Entry, write_entry
from gitkv.ledger.compose import Stamp, Tip, Transaction, compose, compose_first
from gitkv.ledger.plan import Changes, Plan, plan_changes
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity, commit_payload, sign_payload
from gitkv.model.gateway_act import BEGIN, GatewayAct
from gitkv.model.identity import PublicKey
from gitkv.model.oid import BLOB, COMMIT, TREE, Oid
from gitkv.model.public_key import parse_ssh_key
from gitkv.model.refs import EpochLabel, Namespace
from gitkv.policy.template import format_policy
from gitkv.sign.gateway_key import Ed25519Signer, generate
from gitkv.sign.verifier import SignatureVerifier
from gitkv.testing.memory import MemoryObjectStore
from gitkv.verifying.history import Request, Seen, Verified, verify_ledger
from gitkv.verifying.objects import Sighting

START_S = 1_700_000_000
NS = Namespace("main")
EPOCH = EpochLabel("e1")


class Keyed(NamedTuple):
    """Somebody who signs."""

    name: str
    signer: Ed25519Signer

    @property
    def line(self) -> str:
        return self.signer.public_line.decode().strip()

    @property
    def key(self) -> PublicKey:
        return parse_ssh_key(self.signer.public_line)


def keyed(name: str) -> Keyed:
    return Keyed(name, Ed25519Signer(generate()[0]))


class Accepted:
    """Grows by what is accepted; nothing is judged here. `now_s` is the gateway's clock."""

    def __init__(self) -> None:
        self.store = MemoryObjectStore()
        self.gateway, self.alice, self.bob = keyed("stargate"), keyed("alice"), keyed("bob")
        self.now_s = START_S
        self.policies: list[Oid] = []
        self.receipts: list[Oid] = []
        self.tips: list[Tip] = []
        self.text = format_policy(
            "ssh://git@127.0.0.1/store",
            ("alice", self.alice.line),
            [("bob", self.bob.line)],
            self.gateway.line,
        )
        self._txns = 0

    def begin(self) -> Accepted:
        """The first policy and the empty first transaction."""
        self.add_policy(self.text, self.gateway)
        stamp = self._stamp(self.gateway, GatewayAct(BEGIN, NS).subject())
        first = compose_first(NS, EPOCH, stamp, self.gateway.signer.sign, self.store.add)
        self.add_tip(first.tip)
        return self

    @property
    def tip(self) -> Tip:
        return self.tips[-1]

    def add_policy(self, text: bytes, by: Keyed, time_s: int = 0) -> Oid:
        """A policy commit after the newest one, by the gateway's clock unless a time is given."""
        folder = self.store.add(TREE, b"100644 policy.yaml\0" + self.store.add(BLOB, text))
        tree = self.store.add(TREE, b"40000 .kv\0" + folder)
        identity = self._identity(by, time_s or self.now_s)
        payload = commit_payload(
            tree, tuple(self.policies[-1:]), identity.line(), b"policy: change\n"
        )
        oid = self.store.add(COMMIT, sign_payload(payload, by.signer.sign(payload)))
        self.policies.append(oid)
        self.text = text
        return oid

    def write(self, changes: Changes, by: Keyed, *, time_s: int = 0, text: str = "kv: test") -> Tip:
        """A transaction and its receipt; `time_s`: the commit's own time, if not the gateway's."""
        plan = plan_changes(
            self.tip.trees, self.tip.seq + 1, changes, self.store.read, self.store.add
        )
        return self.write_plan(plan, by, time_s=time_s, text=text)

    def make(self, changes: Changes, by: Keyed, time_s: int) -> Transaction:
        """A transaction on the tip that nobody has accepted yet."""
        plan = plan_changes(
            self.tip.trees, self.tip.seq + 1, changes, self.store.read, self.store.add
        )
        stamp = self._stamp(by, "kv: test", time_s)
        return compose(self.tip, plan, stamp, by.signer.sign, self.store.read, self.store.add)

    def oids(self) -> set[Oid]:
        """Every object there is."""
        return {oid for oid, _, _ in self.store.all()}

    def write_plan(self, plan: Plan, by: Keyed, *, time_s: int = 0, text: str = "kv: test") -> Tip:
        stamp = self._stamp(by, text, time_s)
        made = compose(self.tip, plan, stamp, by.signer.sign, self.store.read, self.store.add)
        return self.add_tip(made.tip)

    def add_tip(self, tip: Tip) -> Tip:
        self.tips.append(tip)
        self.add_receipt(tip)
        return tip

    def add_receipt(
        self,
        tip: Tip,
        bend: Callable[[Entry], Entry] = lambda entry: entry,
        by: Keyed | None = None,
    ) -> Oid:
        """The watchlog entry of a tip, or one that says something else."""
        said = tip.ledger.attestation
        entry = Entry(
            said.ns,
            said.epoch,
            said.seq,
            said.txn,
            tip.heads,
            self.policies[-1],
        )
        before = self.receipts[-1] if self.receipts else None
        _, body = write_entry(bend(entry), before, self.now_s, (by or self.gateway).signer)
        self.receipts.append(self.store.add(COMMIT, body))
        return self.receipts[-1]

    def seen(self) -> Seen:
        """What a mirror of it shows."""
        return Seen(
            NS,
            self.tip.heads,
            watchlogs={EPOCH: (Sighting("refs/kv-watchlog/main@e1", self.receipts[-1]),)},
            policies=(Sighting("refs/heads/main", self.policies[-1]),),
            fetches_receipts=True,
        )

    def verify(self, seen: Seen | None = None, request: Request | None = None) -> Verified:
        verifier = SignatureVerifier("/nowhere", {})
        return verify_ledger(seen or self.seen(), request or Request(), self.store, verifier)

    def rules(self, seen: Seen | None = None, request: Request | None = None) -> set[str]:
        """The rules that are broken."""
        return {entry.rule for entry in self.verify(seen, request).reasons}

    def _identity(self, by: Keyed, time_s: int) -> Identity:
        return Identity(by.name.title(), f"{by.name}@example.com", time_s)

    def _stamp(self, by: Keyed, text: str, time_s: int = 0) -> Stamp:
        self._txns += 1
        txn = uuid7((START_S + self._txns) * 1000, bytes(10))
        return Stamp(self._identity(by, time_s or self.now_s), txn, text)


def texts(found: Verified) -> list[str]:
    """Reasons as a person reads them."""
    return [entry.text() for entry in found.reasons]
