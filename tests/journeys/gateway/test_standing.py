"""Suspensions, and what is kept for the audit after the answer, are refs: they move in the delivery
that they belong to, and nothing else knows of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.gateway import NS, Gateway

from gitkv.gateway.followers.audit import audit_pending
from gitkv.gateway.followers.published import published_refs
from gitkv.gateway.standing import is_suspended
from gitkv.ledger.plan import Put
from gitkv.model.oid import ZERO_OID, Oid
from gitkv.model.refs import (
    PRIVATE,
    SUSPENDED,
    UNAUDITED,
    Namespace,
    Ref,
    RefUpdate,
    suspended_ref,
)
from gitkv.model.verdict import Verdict
from gitkv.wire.push_grammar import classify
from gitkv.wire.receive_pack import Command, ProposedCommands

OTHER = Namespace("other")


class Killed(BaseException):
    """What a killed gateway would have done next is not done."""


def _begin(gateway: Gateway) -> Gateway:
    gateway.restart()

    def eager(text: bytes) -> bytes:
        return text.replace(b"verify: before-ack ", b"verify: before-publish ")

    assert gateway.change_policy(eager).verdict.accepted
    return gateway


@pytest.fixture
def eager(gateway: Gateway) -> Gateway:
    """One that answers first."""
    return _begin(gateway)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Gateway]:
    """The same, with two namespaces."""
    made = Gateway(tmp_path, (NS, OTHER))
    yield _begin(made)
    made.close()


def _forge(gateway: Gateway) -> None:
    forged = gateway.transaction(bend=lambda plan: plan._replace(keys_set=7))
    assert gateway.push(forged).verdict.accepted


def _is_suspended(gateway: Gateway) -> bool:
    return is_suspended(gateway.stargate.gate.refs, "alice", gateway.stargate.gate.policy().commit)


def _lift(gateway: Gateway) -> None:
    assert gateway.change_policy(lambda text: text + b"# talked about it\n").verdict.accepted


def _subjects(gateway: Gateway) -> list[str]:
    told = gateway.git.run("log", "--format=%s", "refs/kv/main").stdout.decode()
    return [line for line in told.splitlines() if line.startswith("restore")]


def _dies_at(step: str, times: int) -> Callable[[str], None]:
    left = [times]

    def reached(name: str) -> None:
        left[0] -= name == step
        if name == step and left[0] == 0:
            raise Killed

    return reached


def test_a_suspension_is_a_ref_to_the_policy_and_goes_with_its_next_move(eager: Gateway) -> None:
    _forge(eager)
    audit_pending(eager.stargate.auditing, NS)
    assert eager.stargate.gate.refs.read_all(SUSPENDED) == {
        suspended_ref("alice"): eager.stargate.gate.policy().commit
    }
    assert not os.path.lexists(eager.git_dir / "kv" / "suspended")
    eager.restart()
    assert _is_suspended(eager)
    _lift(eager)
    assert eager.stargate.gate.refs.read_all(SUSPENDED) == {}


def test_a_gateway_that_ends_before_the_restoration_has_suspended_nobody(eager: Gateway) -> None:
    _forge(eager)
    eager.step = _dies_at("entries-written", 1)
    with pytest.raises(Killed):
        audit_pending(eager.stargate.auditing, NS)
    eager.step = lambda name: None
    eager.restart()
    assert not _is_suspended(eager) and not _subjects(eager)
    audit_pending(eager.stargate.auditing, NS)
    assert _is_suspended(eager) and len(_subjects(eager)) == 1


def test_a_gateway_that_ends_after_the_restoration_suspends_nobody_again(eager: Gateway) -> None:
    _forge(eager)
    eager.step = _dies_at("refs-moved", 1)
    with pytest.raises(Killed):
        audit_pending(eager.stargate.auditing, NS)
    eager.step = lambda name: None
    eager.restart()
    assert _is_suspended(eager) and len(_subjects(eager)) == 1
    _lift(eager)
    audit_pending(eager.stargate.auditing, NS)
    assert not _is_suspended(eager), "an admin had lifted it"
    assert eager.push().verdict.accepted
    assert audit_pending(eager.stargate.auditing, NS) == 1


def test_nobody_escapes_a_suspension_with_a_push_that_was_judged_before(two: Gateway) -> None:
    _forge(two)
    made = two.transaction(ns=OTHER)

    def meanwhile(name: str) -> None:
        if name == "admitted":
            two.step = lambda name: None
            audit_pending(two.stargate.auditing, NS)

    two.step = meanwhile
    answer = two.push(made)
    assert [entry.rule for entry in answer.verdict.reasons] == ["writer.suspended"]


def test_what_a_push_held_is_known_until_its_audit_and_then_gone(eager: Gateway) -> None:
    made = eager.transaction({b"k%04d" % n: Put(b"%d" % n) for n in range(2000)})
    assert eager.push(made).verdict.accepted
    [(ref, record)] = eager.stargate.gate.refs.read_all(UNAUDITED).items()
    body = eager.stargate.gate.objects.read(record, b"commit")
    assert b"\n%b\n" % made[0].tip.ledger.oid.hex().encode() in body and len(body) > 64 << 10
    eager.restart()
    assert eager.stargate.gate.refs.read(ref) == record
    assert audit_pending(eager.stargate.auditing, NS) == 1
    assert not eager.names("audit.violation")
    assert eager.stargate.gate.refs.read_all(UNAUDITED) == {}
    eager.opened.objects.close()
    assert not eager.stargate.gate.objects.has(record), "nothing reaches it"


def test_a_push_that_is_not_accepted_leaves_no_record(eager: Gateway) -> None:
    made = eager.transaction()
    assert eager.push().verdict.accepted
    audit_pending(eager.stargate.auditing, NS)
    assert not eager.push(made).verdict.accepted
    assert eager.stargate.gate.refs.read_all(UNAUDITED) == {}


def test_what_is_private_is_not_brought_to_the_mirror_nor_shown_to_readers(eager: Gateway) -> None:
    _forge(eager)
    before = eager.stargate.gate.refs.read_all(UNAUDITED)
    eager.watch.push_once()
    audit_pending(eager.stargate.auditing, NS)
    eager.watch.push_once()
    ours = eager.stargate.gate.refs.read_all()
    assert before and all(any(ref.startswith(prefix) for ref in ours) for prefix in PRIVATE[:2])
    shown = [ref.encode() for ref in eager.refs(eager.mirror)]
    assert not [ref for ref in shown if ref.startswith(PRIVATE)]
    assert not [ref for ref in published_refs(eager.stargate.gate) if ref.startswith(PRIVATE)]
    listed = eager.git.run("ls-remote", str(eager.git_dir)).stdout
    assert b"refs/kv/main" in listed and not any(prefix in listed for prefix in PRIVATE)


@pytest.mark.parametrize("prefix", PRIVATE)
def test_nobody_pushes_what_is_private(prefix: bytes) -> None:
    command = Command(ZERO_OID, Oid(b"\x01" * 20), prefix + b"main")
    verdict = classify(ProposedCommands((command,), frozenset(), False, 1, True, b""))
    assert isinstance(verdict, Verdict)
    assert [entry.rule for entry in verdict.reasons] == ["push.gateway-ref"]


class _Hurried:
    """The refs as the audit reads them: a push is accepted after each of its first readings."""

    def __init__(self, gateway: Gateway, readings: int) -> None:
        self._gateway, self._refs = gateway, gateway.stargate.gate.refs
        self._left = readings

    def _hurry(self) -> None:
        if self._left:
            self._left -= 1
            gate = self._gateway.stargate.gate
            gate.refs, hurried = self._refs, gate.refs
            assert self._gateway.push().verdict.accepted
            gate.refs = hurried

    def read(self, ref: Ref) -> Oid | None:
        found = self._refs.read(ref)
        self._hurry()
        return found

    def read_all(self, prefix: bytes = b"refs/") -> dict[Ref, Oid]:
        found = self._refs.read_all(prefix)
        self._hurry()
        return found

    def move(self, updates: Sequence[RefUpdate]) -> None:
        self._refs.move(updates)


@pytest.mark.parametrize("readings", [1, 2, 3, 4, 5])
def test_a_push_audited_before_its_answer_is_never_audited_against_itself(
    gateway: Gateway, readings: int
) -> None:
    gateway.restart()
    assert gateway.push().verdict.accepted
    gate = gateway.stargate.gate
    gate.refs = _Hurried(gateway, readings)
    audit_pending(gateway.stargate.auditing, NS)
    assert not [event for event, _ in gateway.events if event == "audit.violation"]
    assert not _subjects(gateway) and not _is_suspended(gateway)
