"""Stargate's use case without its sockets: transactions are built by the client's code and judged
by the gateway's, in this process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from bench.stage import Stage
from gitkv.admission.deep_audit import audit_under
from gitkv.client.author import Author
from gitkv.client.build import Built, build
from gitkv.client.draft import make_draft
from gitkv.client.replica import Replica, open_replica
from gitkv.client.store import edge_for
from gitkv.client.values import Expect
from gitkv.daemon.opening import open_repository
from gitkv.gateway.judge import Pushed, judge_transaction
from gitkv.gateway.stargate import Stargate
from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.git.quarantine import Quarantine
from gitkv.ledger.plan import Put
from gitkv.model.refs import Namespace
from gitkv.ports import QuarantinedPack
from gitkv.verifying.audit_loader import AuditLoader
from gitkv.wire.push_grammar import TransactionPush

MAIN = Namespace("main")
_CACHE_MIB = 96


class Timed(NamedTuple):
    """Seconds of the parts of one judgement; `audit_s` is None where the audit was left out."""

    index_pack_s: float
    admission_s: float
    audit_s: float | None


class Gate:
    """A Stargate repository, opened to judge and never to move a ref."""

    def __init__(self, stargate: Stargate, git: Git, writer: Replica) -> None:
        self._stargate, self._git, self._writer = stargate, git, writer

    def build(self, pairs: Mapping[str, str]) -> Built:
        """A signed transaction of the writer on the tip."""
        draft = make_draft(
            {key: Put(value.encode(), "", 0) for key, value in pairs.items()}, Expect(), "bench"
        )
        built = build(self._writer, self._writer.tip(), draft, Author(self._writer, "bench"))
        assert built is not None
        return built

    @staticmethod
    def close_all(built: Mapping[int, Built]) -> None:
        for one in built.values():
            one.pack.close()

    def judge(self, built: Built, *, audit: bool) -> Timed:
        """Quarantines and judges a transaction as `gateway.receive` does, then discards it."""
        quarantine = Quarantine(self._git)
        try:
            started = time.perf_counter()
            for chunk in built.pack.chunks():
                quarantine.feed(chunk)
            pack = quarantine.finish()
            index_pack_s = time.perf_counter() - started
            _chill_caches()
            with GitObjectStore(self._git, quarantine_dir=quarantine.objects_dir) as objects:
                admission_s = self._admit(built, pack, objects)
                return Timed(
                    index_pack_s, admission_s, self._audit(built, objects) if audit else None
                )
        finally:
            quarantine.discard()

    def _admit(self, built: Built, pack: QuarantinedPack, objects: GitObjectStore) -> float:
        judged_by = self._stargate.gate.policy()
        push = TransactionPush(MAIN, built.base.heads, built.tip.heads)
        started = time.perf_counter()
        pushed = Pushed(push, objects, pack.oids)
        judged = judge_transaction(self._stargate.judging, pushed, judged_by)
        seconds = time.perf_counter() - started
        assert judged.verdict.accepted, judged.verdict
        return seconds

    def _audit(self, built: Built, objects: GitObjectStore) -> float:
        judged_by = self._stargate.gate.policy()
        principal = judged_by.policy.principal("bob")
        started = time.perf_counter()
        audit = audit_under(
            judged_by.policy, (built.base, built.tip), principal, AuditLoader(objects)
        )
        seconds = time.perf_counter() - started
        assert not audit.reasons, audit.reasons
        return seconds


def _chill_caches() -> None:
    """Every admission starts with cold caches, as it does after the unpacking of a large pack; a
    small one would find them warm.
    """
    bytearray(os.urandom(1 << 20)) * _CACHE_MIB


@contextmanager
def open_gate(world: Stage) -> Iterator[Gate]:
    """Beside the daemon, which may go on serving; the writer is bob, in his clone."""
    bob = world.person("bob")
    opened = open_repository(str(world.gate), world.base_env())
    writer = open_replica(str(bob.clone_dir), MAIN, edge_for(bob.env))
    try:
        stargate = Stargate(opened.adapters, lambda event, fields: None)
        stargate.known.load(stargate.gate.refs, stargate.gate.objects, stargate.history)
        yield Gate(stargate, opened.git, writer)
    finally:
        writer.close()
        opened.close()
