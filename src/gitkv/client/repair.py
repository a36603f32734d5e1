"""Healing a clone that trusts what no receipt proves: it goes on from what receipts do prove, and
keeps what it drops under a rescue ref.

Asked is Stargate, or the mirror in a clone that was set up for reading; either must prove what it
shows. What a gateway's receipt has proved here is never dropped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.client.follow import is_explained
from gitkv.client.heal import heal
from gitkv.client.replica import Replica
from gitkv.client.trust.judge import judge, look_of, verifier_of
from gitkv.client.trust.memory import (
    POLICY_TRUSTED,
    Memory,
    change,
    read_memory,
    shown_refs,
    written_ref,
)
from gitkv.client.trust.policies import prove_policy
from gitkv.client.trust.proof import Proof, is_genuine, receipt_at
from gitkv.client.trust.receipt import heads_of, receipt_ref
from gitkv.client.trust.shown import Shown, Source, fetch_shown, mirror_source
from gitkv.errors import GitKvError, IntegrityError, UnavailableError, UsageError
from gitkv.git.ancestry import is_ancestor
from gitkv.git.ref_store import GitRefStore
from gitkv.git.repository import set_config
from gitkv.ledger.seek import read_ledger_commit
from gitkv.model.heads import Heads, MissingHeadError, head_refs, heads_among
from gitkv.model.oid import OID_HEX, Oid, parse_oid
from gitkv.model.refs import Ref, RefUpdate
from gitkv.model.verdict import FormError

_RESCUE = b"refs/kv-rescue/"
_LISTED_MAX = 1000  # dropped commits that are told one by one
_MOVES_MAX = 20


class Dropped(NamedTuple):
    """A commit that is trusted no more. `seq`: None for one that is not a ledger commit."""

    seq: int | None
    commit: str


class Repaired(NamedTuple):
    """`seq`, `commit`: what is trusted now, which `receipt` proves. `dropped`: newest first, kept
    at the ref `rescue`; nothing when the clone was right.
    """

    ns: str
    seq: int
    commit: str
    receipt: str
    dropped: list[Dropped]
    rescue: str


class _Before(NamedTuple):
    """What is trusted before the repair, right or wrong, and what of the memory stands."""

    refs: Mapping[Ref, Oid]
    heads: Heads | None
    memory: Memory
    sound: Memory

    @property
    def ledger(self) -> Oid | None:
        """The ledger head; there may be one without an index."""
        return next(iter(self.refs.values()), None) if self.heads is None else self.heads.ledger


def repair_source(replica: Replica, remote: str, pin: str) -> Source:
    """Who is asked. Raises UsageError without such a remote."""
    if replica.is_standalone and not remote:
        raise UsageError(
            "this store is standalone: nobody else has its objects",
            hint="restore the repository from a copy; git fsck shows how far the damage goes",
        )
    name = remote or replica.remote or "origin"
    if not replica.config.get(f"remote.{name}.url"):
        raise UsageError(f"there is no remote {name}", hint="name another one with --remote")
    url = replica.config.get(f"remote.{name}.pushurl", "")
    if url:
        return Source("Stargate", url, f"{name}-stargate", True, pin)
    return mirror_source(name, pin)


def repair(replica: Replica, source: Source) -> Repaired:
    """Moves what is trusted to what the source's receipts prove, in a clone whose damaged files
    were put aside and fetched again first.

    Raises IntegrityError when they do not prove what it shows, or contradict a receipt that is
    proved here; UnavailableError when it cannot be reached, or the trusted refs stay locked.
    """
    for line in heal(replica, source):
        replica.host.warn(line)
    shown = fetch_shown(replica, source)
    for _ in range(_MOVES_MAX):
        memory = read_memory(replica, source.tracking)
        sound, proof = _prove(replica, shown, memory, source)
        if proof.gap:
            raise IntegrityError(
                f"{source.name} cannot prove what it shows: {proof.gap}", hint="nothing was changed"
            )
        before = _before(replica, memory, sound)
        repaired = _move(replica, source, before, proof)
        if repaired is not None:
            if source.pin:
                set_config(replica.git, "kv.gatewayKey", source.pin)
            return repaired
        replica.host.sleep(0.01)  # another process moves the same refs
    raise UnavailableError(f"the refs of {replica.ns} are busy", hint="try again")


def _before(replica: Replica, memory: Memory, sound: Memory) -> _Before:
    refs = replica.read_refs(head_refs(replica.ns))
    try:
        return _Before(refs, heads_among(refs, replica.ns), memory, sound)
    except MissingHeadError:
        return _Before(refs, None, memory, sound)


def _prove(replica: Replica, shown: Shown, memory: Memory, source: Source) -> tuple[Memory, Proof]:
    """What of our memory stands, and what is proved. Raises IntegrityError."""
    known = memory.receipt
    try:
        proof = judge(replica, shown, memory._replace(shown=None), source)
    except IntegrityError as problem:
        proof = judge(replica, shown, Memory(), source)
        if _is_proved_too(replica, memory, proof):
            raise problem from None
        return Memory(), proof
    if known is not None and not is_ancestor(replica.git, known, proof.receipt.oid):
        if source.is_authority:
            raise IntegrityError(
                f"{source.name} has gone back: receipt {known.hex()}, which its gateway signed, is "
                f"not in what it shows up to {proof.receipt.oid.hex()}",
                hint="tell the operator: an old backup may have been restored; nothing was changed",
            )
        receipt = receipt_at(known, replica.ns, look_of(replica))  # a mirror may lag
        proof = proof._replace(receipt=receipt, heads=heads_of(receipt))
    return memory, proof


def _is_proved_too(replica: Replica, memory: Memory, proof: Proof) -> bool:
    """Whether what a proof contradicts is proved as well, from the same first policy: that is more
    than a clone can mend.
    """
    look, verifier = look_of(replica), verifier_of(replica)
    if memory.receipt is not None and is_genuine(
        memory.receipt, replica.ns, proof.policy, look, verifier
    ):
        return True
    if memory.policy is None:
        return False
    try:
        ours = prove_policy(memory.policy, None, look, verifier)
        follows = look.descends(memory.policy, proof.policy.oid)
    except (GitKvError, FormError):
        return False
    return not follows and ours.versions[0].oid == proof.policy.versions[0].oid


def _move(replica: Replica, source: Source, before: _Before, proof: Proof) -> Repaired | None:
    """None when another process has moved something meanwhile."""
    target = _target(replica, source, before, proof)
    dropped = _dropped(replica, before, target)
    rescued: list[RefUpdate] = []
    if dropped and before.ledger is not None and replica.has_commit(before.ledger):
        rescue = Ref(b"%b%b/%b" % (_RESCUE, replica.ns.encode(), before.ledger.hex().encode()))
        rescued = change(rescue, GitRefStore(replica.git).read(rescue), before.ledger)
        name = os.fsdecode(rescue)
    else:
        name = ""
    tip = replica.read_pair(target)
    updates = [
        *rescued,
        *_memory_updates(replica, before.memory, proof, target.ledger),
        *(
            one
            for ref, oid in target._replace(chunks=None).by_ref(replica.ns).items()
            for one in change(ref, before.refs.get(ref), oid)
        ),
    ]
    if not replica.move_refs(updates):
        return None
    receipt = proof.receipt.oid.hex()
    return Repaired(replica.ns, tip.seq, target.ledger.hex(), receipt, dropped, name)


def _target(replica: Replica, source: Source, before: _Before, proof: Proof) -> Heads:
    """What is proved; what we wrote and have no receipt for yet stays before a mirror, which may
    lag.
    """
    proved = proof.heads
    if source.is_authority or before.heads is None:
        return proved
    goes_on = all(
        _is_ancestor(replica, older, newer)
        for older, newer in zip(proved[:2], before.heads[:2], strict=True)
    )
    if goes_on and is_explained(replica, before.heads.ledger, before.sound):
        return before.heads
    return proved


def _dropped(replica: Replica, before: _Before, target: Heads) -> list[Dropped]:
    """What is trusted and does not come before the target, newest first."""
    ledger = before.ledger
    if ledger is None or _is_ancestor(replica, ledger, target.ledger):
        return []
    if not replica.has_commit(ledger):
        return [Dropped(None, ledger.hex())]
    listed = replica.git.run(
        "rev-list",
        "--first-parent",
        f"--max-count={_LISTED_MAX}",
        ledger.hex(),
        f"^{target.ledger.hex()}",
        "--",
        check=False,
    ).stdout
    found = [parse_oid(line) for line in listed.split(b"\n") if len(line) == OID_HEX]
    return [Dropped(_seq(replica, oid), oid.hex()) for oid in found]


def _seq(replica: Replica, oid: Oid) -> int | None:
    try:
        return read_ledger_commit(oid, replica.load).seq
    except (FormError, GitKvError):
        return None


def _memory_updates(replica: Replica, memory: Memory, proof: Proof, ledger: Oid) -> list[RefUpdate]:
    """The memory as the proof has it; of what sources have shown and we have written only what it
    confirms.
    """
    receipt, written = proof.receipt.oid, memory.written
    updates = change(POLICY_TRUSTED, memory.policy, proof.policy.oid)
    updates += change(receipt_ref(replica.ns), memory.receipt, receipt)
    if written is not None and not _is_ancestor(replica, written, ledger):
        updates += change(written_ref(replica.ns), written, None)
    for ref, oid in GitRefStore(replica.git).read_all(shown_refs(replica.ns)).items():
        if not _is_ancestor(replica, oid, receipt):
            updates += change(ref, oid, None)
    return updates


def _is_ancestor(replica: Replica, older: Oid, newer: Oid) -> bool:
    """False also for anything else, or is not here: a lie need not be whole."""
    return all(replica.has_commit(oid) for oid in (older, newer)) and is_ancestor(
        replica.git, older, newer
    )
