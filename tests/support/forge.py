"""Transactions made by hand, and a bare line to Stargate: what a test bends or breaks is one thing,
the rest stays right.

`Forge` builds on the tip of a world's Stargate with the product's own planner; `Bend` names the
places where a test may interfere. `Forge.push` speaks git's push protocol over a plain `ssh`
process, byte for byte as told, and reads the answer with its own few lines.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from support.residue import Unharmed as Unharmed
from support.residue import assert_nothing_left as assert_nothing_left
from support.residue import residue as residue
from support.residue import settled as settled

from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.git.ref_store import PackedRefStore
from gitkv.ledger.compose import Tip, read_tip
from gitkv.ledger.plan import Changes, Plan, Put, plan_changes
from gitkv.ledger.seek import jump_target
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.attestation import Attestation
from gitkv.model.commit import DerivedFacts, Identity, commit_payload, index_commit, sign_payload
from gitkv.model.heads import Heads, heads_among
from gitkv.model.oid import COMMIT, ZERO_OID, Oid
from gitkv.model.refs import POLICY_REF, Namespace, Ref, RefUpdate, index_ref, ledger_ref
from gitkv.sign.gateway_key import Ed25519Signer
from gitkv.testing.world import Person, World

TAG = b"tag"
CAPABILITIES = b"report-status side-band-64k atomic object-format=sha1 kv-report agent=forge"
PLAIN_CAPABILITIES = b"report-status side-band-64k atomic object-format=sha1 agent=git/2.39.5"
FLUSH = b"0000"
_KIND_NUMBERS = {COMMIT: 1, b"tree": 2, b"blob": 3, TAG: 4}
_REASON = re.compile(rb"kv-reason ([0-9]+) ([A-Za-z0-9._-]+) ([!-~]+) ([!-~]+) ([!-~]+) ([!-~]+)")
_PLAIN_REASON = re.compile(rb"(?:remote: )?\[([0-9]+) ([A-Za-z0-9._-]+)\] [ -~]+")

Objects = dict[Oid, tuple[bytes, bytes]]  # id -> kind, body


def _same(body: bytes) -> bytes:
    return body


class Bend(NamedTuple):
    """Where a test interferes; each function gets the good thing and returns what stands in its
    place.

    In order: the plan, the attestation's values, the identity line, the message, the unsigned
    commit, what is signed, the armour, the finished commit, the index commit. `trees` may add
    objects through `emit`. `resign` is for signers other than the forge's own.
    """

    trees: Callable[[Plan, Callable[[bytes, bytes], Oid]], Plan] = lambda plan, emit: plan
    said: Callable[[Attestation], Attestation] = lambda said: said
    identity: Callable[[bytes], bytes] = _same
    message: Callable[[bytes], bytes] = _same
    payload: Callable[[bytes], bytes] = _same
    sign: Callable[[bytes], bytes] | None = None  # payload -> armour; b"" leaves it unsigned
    armour: Callable[[bytes], bytes] = _same
    body: Callable[[bytes], bytes] = _same
    index: Callable[[bytes], bytes] = _same


GOOD = Bend()


class Forged(NamedTuple):
    """A transaction ready to push: `objects` go into the pack, `updates` are the ledger's and the
    index's move.
    """

    base: Tip
    objects: Objects
    updates: tuple[RefUpdate, ...]
    said: Attestation

    @property
    def ledger(self) -> Oid:
        return Oid(bytes(self.updates[0].new))

    @property
    def index(self) -> Oid:
        return Oid(bytes(self.updates[1].new))

    @property
    def commit_body(self) -> bytes:
        return self.objects[self.ledger][1]


class WireReason(NamedTuple):
    """A reason as it came over the wire."""

    code: int
    rule: str
    text: bytes


class Answered(NamedTuple):
    """What came back: `greeting` refs, band 2 lines, the report. `dropped`: no report at all.
    `exit_code` is ssh's.
    """

    greeting: dict[bytes, bytes]
    lines: list[bytes]
    unpack: bytes
    results: dict[bytes, bytes]  # ref -> b"" when ok, else why not
    exit_code: int
    stderr: bytes
    seconds: float

    @property
    def dropped(self) -> bool:
        return not self.unpack and not self.results

    @property
    def accepted(self) -> bool:
        return self.unpack == b"ok" and bool(self.results) and not any(self.results.values())

    @property
    def reasons(self) -> list[WireReason]:
        return [found for line in self.lines if (found := read_reason(line)) is not None]

    @property
    def rules(self) -> set[str]:
        return {entry.rule for entry in self.reasons}

    @property
    def codes(self) -> set[int]:
        return {entry.code for entry in self.reasons}


def read_reason(line: bytes) -> WireReason | None:
    """A reason in either spelling; None for another line."""
    if (match := _REASON.fullmatch(line)) is not None:
        return WireReason(
            int(match[1]), match[2].decode(), unquote_to_bytes(b" ".join(match.groups()[2:]))
        )
    if (match := _PLAIN_REASON.fullmatch(line)) is not None:
        return WireReason(int(match[1]), match[2].decode(), line)
    return None


class Forge:
    """Builds and pushes as `person`. Reads Stargate's repository directly; use it as a context, or
    `close` it.
    """

    def __init__(self, world: World, person: Person, ns: str = "main") -> None:
        self.world, self.person, self.ns = world, person, Namespace(ns)
        git = Git(str(world.gate), env=world.base_env())
        self.store = GitObjectStore(git)
        self.signer = Ed25519Signer(person.key.read_bytes())
        self.made: Objects = {}

    def __enter__(self) -> Forge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    def load(self, oid: Oid, kind: bytes) -> bytes:
        """An object of Stargate's, or one made here and not pushed."""
        if oid in self.made:
            return self.made[oid][1]
        return self.store.read(oid, kind)

    def _refs(self) -> dict[Ref, Oid]:
        """As they are now; a store that is kept takes what the daemon deletes for cut off."""
        with closing(PackedRefStore(str(self.world.gate))) as refs:
            return refs.read_all()

    def tip(self) -> Tip:
        """Where Stargate's ledger stands."""
        heads = heads_among(self._refs(), self.ns)
        assert heads is not None
        return read_tip(heads, self.load)

    def policy_commit(self) -> Oid:
        found = self._refs().get(POLICY_REF)
        assert found is not None
        return found

    def identity(self, *, seconds: int = 0, name: str = "", email: str = "") -> Identity:
        who = self.person.name
        return Identity(
            name or who.title(), email or f"{who}@example.com", seconds or int(time.time())
        )

    def transaction(
        self,
        changes: Changes | None = None,
        bend: Bend = GOOD,
        *,
        base: Tip | None = None,
        text: str = "kv: forged",
    ) -> Forged:
        """A transaction on `base` (Stargate's tip unless given). `changes`: encoded name -> Put,
        None to delete; a fresh key unless given.

        What it makes is remembered, so that another transaction can be built on it (see `tip_of`).
        """
        base = base or self.tip()
        objects: Objects = {}
        emit = emitter(objects)
        changes = (
            {b"forge:" + os.urandom(6).hex().encode(): Put(os.urandom(8).hex().encode())}
            if changes is None
            else changes
        )
        plan = bend.trees(plan_changes(base.trees, base.seq + 1, changes, self.load, emit), emit)
        said = bend.said(self._attestation(base, plan))
        identity = self.identity(
            seconds=max(int(time.time()), base.ledger.commit.identity().seconds)
        )
        message = bend.message(text.encode() + b"\n\n" + said.trailers())
        payload = bend.payload(
            commit_payload(
                plan.ledger_tree, (base.ledger.oid,), bend.identity(identity.line()), message
            )
        )
        armour = bend.armour((bend.sign or self.signer.sign)(payload))
        ledger = emit(COMMIT, bend.body(sign_payload(payload, armour) if armour else payload))
        facts = DerivedFacts(
            said.ns, said.seq, ledger, identity.seconds, plan.index_tree, base.index_oid
        )
        index = emit(COMMIT, bend.index(index_commit(facts)[1]))
        updates = (
            RefUpdate(ledger_ref(self.ns), base.ledger.oid, ledger),
            RefUpdate(index_ref(self.ns), base.index_oid, index),
        )
        self.made |= objects
        return Forged(base, objects, updates, said)

    def _attestation(self, base: Tip, plan: Plan) -> Attestation:
        parent = base.ledger
        return Attestation(
            ns=base.ns,
            txn=fresh_txn(),
            seq=base.seq + 1,
            base=parent.oid,
            base_tree=parent.commit.tree,
            jump=jump_target(parent, self.load),
            index_tree=plan.index_tree,
            epoch=parent.attestation.epoch,
            keys_set=plan.keys_set,
            keys_del=plan.keys_del,
        )

    def tip_of(self, forged: Forged) -> Tip:
        """The tip a forged (canonical) transaction makes, to build the next on."""
        return read_tip(Heads(forged.ledger, forged.index), self.load)

    def policy_change(
        self,
        text: bytes,
        *,
        base: Oid | None = None,
        sign: Callable[[bytes], bytes] | None = None,
        seconds: int = 0,
        others: Sequence[bytes] = (),
    ) -> Forged:
        """A policy commit with this text on `base` (Stargate's policy unless given); `others`: more
        raw entries for the root tree.
        """
        base = base or self.policy_commit()
        objects: Objects = {}
        emit = emitter(objects)
        folder = emit(b"tree", b"100644 policy.yaml\0" + emit(b"blob", text))
        tree = emit(b"tree", b"40000 .kv\0" + folder + b"".join(others))
        payload = commit_payload(
            tree, (base,), self.identity(seconds=seconds).line(), b"policy: change\n"
        )
        armour = (sign or self.signer.sign)(payload)
        commit = emit(COMMIT, sign_payload(payload, armour) if armour else payload)
        self.made |= objects
        return Forged(
            self.tip(),
            objects,
            (RefUpdate(POLICY_REF, base, commit),),
            self.tip().ledger.attestation,
        )

    def push(
        self, forged: Forged, *, capabilities: bytes = CAPABILITIES, person: Person | None = None
    ) -> Answered:
        """Pushes it, atomically, in one pack."""
        return self.send(
            commands(forged.updates, capabilities) + pack_of(forged.objects.values()), person=person
        )

    def send(
        self,
        data: bytes,
        *,
        person: Person | None = None,
        command: str = "git-receive-pack '/gate.git'",
    ) -> Answered:
        """Writes these very bytes behind the greeting, ends the input, and reads everything that
        comes back.
        """
        started = time.monotonic()
        done = talk(self.world, person or self.person, command, data)
        return _read_answer(done, time.monotonic() - started)

    def push_good(self) -> Answered:
        """A transaction nobody could object to; AssertionError when Stargate does."""
        answered = self.push(self.transaction())
        assert answered.accepted, answered
        return answered


def emitter(objects: Objects) -> Callable[[bytes, bytes], Oid]:
    """`emit(kind, body)` for planners: gathers into `objects`."""

    def emit(kind: bytes, body: bytes) -> Oid:
        oid = Oid(
            hashlib.sha1(b"%b %d\0%b" % (kind, len(body), body), usedforsecurity=False).digest()
        )
        objects[oid] = (kind, body)
        return oid

    return emit


def fresh_txn() -> str:
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def pkt(payload: bytes) -> bytes:
    return b"%04x%b" % (len(payload) + 4, payload)


def command_line(update: RefUpdate) -> bytes:
    return b"%b %b %b" % (
        bytes(update.old).hex().encode(),
        bytes(update.new).hex().encode(),
        update.ref,
    )


def commands(
    updates: Iterable[RefUpdate | tuple[bytes, bytes, bytes]], capabilities: bytes = CAPABILITIES
) -> bytes:
    """A command list with its flush; updates are (ref, old, new) in raw bytes."""
    lines = [command_line(RefUpdate(Ref(ref), old, new)) for ref, old, new in updates]
    lines[:1] = [line + b"\0 " + capabilities for line in lines[:1]]
    return b"".join([pkt(line) for line in lines]) + FLUSH


def entry(kind: int, body: bytes, *, size: int = -1, before: bytes = b"") -> bytes:
    """One object in a pack; `kind` is the packed number, `size` may lie, `before` stands between
    header and data (a delta's base).
    """
    left = len(body) if size < 0 else size
    head, left = bytearray([kind << 4 | left & 15]), left >> 4
    while left:
        head[-1] |= 128
        head.append(left & 127)
        left >>= 7
    return bytes(head) + before + zlib.compress(body, 1)


def pack_of_entries(entries: Sequence[bytes], *, count: int = -1, version: int = 2) -> bytes:
    """A pack with a right checksum around these entries; count and version may lie."""
    body = (
        b"PACK"
        + version.to_bytes(4, "big")
        + (len(entries) if count < 0 else count).to_bytes(4, "big")
        + b"".join(entries)
    )
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def pack_of(objects: Iterable[tuple[bytes, bytes]]) -> bytes:
    return pack_of_entries([entry(_KIND_NUMBERS[kind], body) for kind, body in objects])


def ssh_line(world: World, person: Person, *options: str) -> list[str]:
    """The ssh command of a person up to and including the host."""
    return [
        *shlex.split(person.ssh),
        *options,
        "-p",
        str(world.port),
        "git@127.0.0.1",
    ]


def talk(
    world: World, person: Person, command: str, data: bytes, *options: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs a remote command with this input, which ends; an empty command asks for a shell."""
    line = [*ssh_line(world, person, *options), *([command] if command else [])]
    return subprocess.run(
        line, env=person.env, input=data, capture_output=True, timeout=120, check=False
    )


def _read_answer(done: subprocess.CompletedProcess[bytes], seconds: float) -> Answered:
    packets = list(_packets(done.stdout))
    flush = packets.index(None) if None in packets else len(packets)
    greeting = {}
    for line in packets[:flush]:
        oid, _, ref = (line or b"").partition(b"\0")[0].rstrip(b"\n").partition(b" ")
        greeting[ref] = oid
    bands = [line for line in packets[flush + 1 :] if line]
    report = list(_packets(b"".join([line[1:] for line in bands if line[:1] == b"\x01"])))
    said = b"".join([line[1:] for line in bands if line[:1] in (b"\x02", b"\x03")])
    unpack, results = b"", {}
    for line in report:
        word, _, rest = (line or b"").rstrip(b"\n").partition(b" ")
        ref, _, why = rest.partition(b" ")
        if word == b"unpack":
            unpack = rest
        elif word in (b"ok", b"ng"):
            results[ref] = why
    return Answered(
        greeting, said.split(b"\n")[:-1], unpack, results, done.returncode, done.stderr, seconds
    )


def _packets(data: bytes) -> Iterable[bytes | None]:
    """Payloads; None for a flush. Ends where the data does."""
    at = 0
    while at + 4 <= len(data):
        length = int(data[at : at + 4], 16)
        yield data[at + 4 : at + length] if length else None
        at += max(length, 4)


def assert_refused(answered: Answered, code: int, *rules: str) -> None:
    """Refused with this exit code's class, by one of these rules (any, if none is named), in clean
    single lines, nothing moved.
    """
    assert not answered.accepted and not answered.dropped, answered
    assert all(answered.results.values()), answered.results
    assert answered.reasons, answered
    assert code in answered.codes, answered.reasons
    assert not rules or answered.rules & set(rules), (rules, answered.reasons)
    for line in answered.lines:
        assert read_reason(line) is not None, line
        assert all(0x20 <= byte < 0x7F for byte in line) and len(line) <= 2000, line


ZERO = bytes(ZERO_OID)
