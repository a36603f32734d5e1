"""A gateway in this process: its real repository, files, key and mirror, without the daemon around
it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from gitkv.daemon.opening import Opened, open_repository
from gitkv.gateway.followers.mirror import Mirror
from gitkv.gateway.receive import Answer, receive
from gitkv.gateway.recover import recover
from gitkv.gateway.setup import CreationRequest, write_first_state
from gitkv.gateway.stargate import Adapters, Stargate
from gitkv.gateway.telling import Step
from gitkv.git.new_repository import Keys, create_repository
from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.git.quarantine import Quarantine
from gitkv.git.remote import GitRemote
from gitkv.git.site import claim_directory, finish_directory
from gitkv.ledger.compose import Stamp, Tip, Transaction, compose
from gitkv.ledger.plan import Changes, Plan, Put, plan_changes
from gitkv.ledger.uuid7 import uuid7
from gitkv.model.commit import Identity, commit_payload, sign_payload
from gitkv.model.configuration import MirrorTiming
from gitkv.model.event import Event
from gitkv.model.heads import NOWHERE
from gitkv.model.oid import BLOB, COMMIT, TREE, Oid, hash_object
from gitkv.model.refs import POLICY_REF, Namespace, RefUpdate
from gitkv.policy.tree import policy_text
from gitkv.ports import Clock, Settings
from gitkv.sign.gateway_key import Ed25519Signer, generate
from gitkv.wire.push_grammar import PolicyPush, TransactionPush

NS = Namespace("main")


class Gateway:
    """A created gateway and alice, its admin and only writer. `events`: what it has reported."""

    def __init__(self, root: Path, namespaces: Sequence[Namespace] = (NS,)) -> None:
        self.root, self.mirror, self.env = root, root / "mirror.git", dict(os.environ)
        subprocess.run(["git", "init", "--quiet", "--bare", str(self.mirror)], check=True)
        self.keys = Keys(generate()[0], generate()[0])
        private, public = generate()
        self.alice = Ed25519Signer(private)
        request = CreationRequest(
            str(root / "gate.git"),
            str(self.mirror),
            "ssh://git@stargate.example/gate.git",
            ("alice", public.decode().strip()),
            [],
            namespaces,
        )
        claim_directory(request.git_dir)
        settings = Settings(request.mirror, tuple(namespaces))
        create_repository(request.git_dir, settings, self.keys, self.env)
        self.git_dir = Path(request.git_dir)
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.step: Step = lambda name: None
        self.opened, self.stargate = self._open()
        public_line = Ed25519Signer(self.keys.gateway).public_line
        write_first_state(self.stargate.author, request, public_line)
        finish_directory(request.git_dir)

    def _open(self) -> tuple[Opened, Stargate]:
        opened = open_repository(str(self.git_dir), self.env, self._reached)
        return opened, self._stargate(opened.adapters)

    def _stargate(self, adapters: Adapters) -> Stargate:
        def report(event: Event) -> None:
            self.events.append((event.name, event.fields()))

        return Stargate(adapters, report, self._reached)

    def _reached(self, name: str) -> None:
        self.step(name)

    def set_clock(self, clock: Clock) -> None:
        """Goes on with another clock."""
        self.stargate = self._stargate(self.opened.adapters._replace(clock=clock))

    @property
    def git(self) -> Git:
        """Git in the gateway's repository."""
        return self.opened.git

    def restart(self, env: Mapping[str, str] | None = None) -> Stargate:
        """As the daemon starts: another process would find the same. Raises what `recover` does.

        `watch` is its mirror worker, not running by itself.
        """
        self.close()
        self.env |= env or {}
        self.opened, self.stargate = self._open()
        recover(self.stargate)
        timing = MirrorTiming(interval_s=0)
        self.watch = Mirror(self.stargate.mirroring, self.remote(), timing)
        self.watch.begin()
        return self.stargate

    def close(self) -> None:
        self.opened.close()

    def remote(self, url: str = "") -> GitRemote:
        """The mirror, as the operator's git reaches it."""
        return GitRemote(Git(str(self.git_dir), env=self.env), url or str(self.mirror))

    def tip(self, ns: Namespace = NS) -> Tip:
        found = self.stargate.gate.tip(ns)
        assert found is not None
        return found

    def transaction(
        self,
        changes: Changes | None = None,
        txn: str = "",
        bend: Callable[[Plan], Plan] = lambda plan: plan,
        ns: Namespace = NS,
        ahead_s: int = 0,
        also: Iterable[tuple[bytes, bytes]] = (),
    ) -> tuple[Transaction, PackWriter]:
        """Alice's, on the tip, her clock ahead; `bend` makes something else of the plan. `also`:
        kinds and bodies of objects that travel with it.
        """
        writer, tip = PackWriter(str(self.root)), self.tip(ns)
        made = changes or {b"k:" + os.urandom(6).hex().encode(): Put(os.urandom(4).hex().encode())}
        read, has = self.stargate.gate.objects.read, self.stargate.gate.objects.has

        def add(kind: bytes, body: bytes) -> Oid:
            """What the repository has is not sent, as git does it."""
            oid = hash_object(kind, body)
            return oid if has(oid) else writer.add(kind, body)

        for kind, body in also:
            add(kind, body)
        plan = bend(plan_changes(tip.trees, tip.seq + 1, made, read, add))
        who = Identity("Alice", "alice@example.com", int(time.time()) + ahead_s)
        stamp = Stamp(who, txn or uuid7(time.time_ns() // 1_000_000, os.urandom(10)), "kv: set")
        return compose(tip, plan, stamp, self.alice.sign, read, writer.add), writer

    def push(self, made: tuple[Transaction, PackWriter] | None = None) -> Answer:
        transaction, writer = made or self.transaction()
        return self._receive(
            TransactionPush(
                transaction.tip.ns, transaction.before or NOWHERE, transaction.tip.heads
            ),
            writer,
        )

    def change_policy(self, change: Callable[[bytes], bytes]) -> Answer:
        """Alice commits what `change` makes of the policy's text."""
        writer, base = PackWriter(str(self.root)), self.stargate.gate.policy().commit
        text = change(policy_text(base, self.stargate.gate.objects.read))
        folder = writer.add(TREE, b"100644 policy.yaml\0" + writer.add(BLOB, text))
        tree = writer.add(TREE, b"40000 .kv\0" + folder)
        who = Identity("Alice", "alice@example.com", int(time.time()))
        payload = commit_payload(tree, (base,), who.line(), b"policy: change\n")
        oid = writer.add(COMMIT, sign_payload(payload, self.alice.sign(payload)))
        return self._receive(PolicyPush(RefUpdate(POLICY_REF, base, oid)), writer)

    def _receive(self, push: TransactionPush | PolicyPush, writer: PackWriter) -> Answer:
        quarantine = Quarantine(self.git)
        for chunk in writer.finish().chunks():
            quarantine.feed(chunk)
        return receive(self.stargate.receiving, push, quarantine, quarantine.finish())

    def refs(self, repository: Path | None = None) -> dict[str, str]:
        line = ["git", "for-each-ref", "--format=%(refname) %(objectname)"]
        told = subprocess.run(line, cwd=repository or self.git_dir, check=True, capture_output=True)
        return dict(entry.split(" ") for entry in told.stdout.decode().splitlines())

    def names(self, event: str) -> list[Mapping[str, object]]:
        """The fields of every event of this name."""
        return [fields for name, fields in self.events if name == event]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A fresh gateway for each test."""
    made = Gateway(tmp_path)
    yield made
    made.close()
