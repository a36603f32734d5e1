"""Every step of every delivery fails in every way: it is refused, lost before the commit point,
done but not confirmed, or the process is killed. Afterwards the whole history is verified again,
what was acknowledged is there once, and everything goes on.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.memory_stargate import (
    EAGER,
    NS,
    Killed,
    MemoryStargate,
    kills_at,
    loses_after,
    loses_before,
    refuses,
)

from gitkv.gateway.standing import is_suspended
from gitkv.ledger.plan import Put
from gitkv.model.refs import SUSPENDED, UNAUDITED
from gitkv.ports import OutcomeUnknownError

STEPS = ("prepare", "prepared", "commit", "committed", "finish", "finished")
FAULTS: dict[str, Callable[[str], None]] = {
    "refused": refuses,
    "lost before": loses_before,
    "done but not confirmed": loses_after,
}
ALL = [*FAULTS, *(f"killed at {step}" for step in STEPS)]
MOVED = ("done but not confirmed", "killed at committed", "killed at finish", "killed at finished")


def _fault(name: str) -> Callable[[str], None]:
    """Fresh: the one that kills counts."""
    return FAULTS[name] if name in FAULTS else kills_at(name.removeprefix("killed at "))


def _break(gate: MemoryStargate, name: str, act: Callable[[], object]) -> str:
    """What whoever asked has heard: the answer, or what was raised. Then another process goes
    on.
    """
    gate.journal.fault = _fault(name)
    try:
        answer = act()
    except (OSError, OutcomeUnknownError, Killed) as error:
        heard = type(error).__name__
    else:
        heard = str(answer)
    gate.journal.fault = lambda step: None
    gate.restart()
    return heard


def _check(gate: MemoryStargate) -> None:
    """Everything agrees, and everything goes on."""
    found = gate.verify()
    assert not found.reasons, [entry.text() for entry in found.reasons]
    assert gate.stored.packs == {}
    assert gate.push(gate.make({b"after": Put(b"%d" % gate.tip().seq)})).verdict.accepted
    gate.audit()
    assert gate.refs.read_all(UNAUDITED) == {}
    reached = set(gate.history.reachable(gate.refs.read_all().values()))
    assert {oid for oid, _, _ in gate.objects.all()} <= reached, "something was left behind"
    assert gate.watch.push_once().state in ("pushed", "current")
    assert gate.mirror.shown[POLICY] == gate.stargate.gate.policy().commit
    assert not gate.verify(gate.mirror.shown).reasons


POLICY = b"refs/heads/main"


@pytest.fixture
def gate() -> MemoryStargate:
    return MemoryStargate()


@pytest.fixture
def eager(gate: MemoryStargate) -> MemoryStargate:
    """One that answers before it audits."""
    assert gate.change_policy(*EAGER).verdict.accepted
    return gate


@pytest.mark.parametrize("name", ALL)
def test_a_transaction_happened_or_did_not(gate: MemoryStargate, name: str) -> None:
    before, made = gate.tip(), gate.make({b"k": Put(b"v")})
    _break(gate, name, lambda: gate.push(made))
    has_moved = name in MOVED
    assert gate.tip() == (made[0].tip if has_moved else before)
    assert gate.stargate.known.knows(made[0].tip.ledger.attestation.txn) == has_moved
    again = gate.push(made)
    assert again.verdict.accepted != has_moved
    if has_moved:
        assert [entry.rule for entry in again.verdict.reasons] == ["base.stale", "base.stale"]
    _check(gate)


@pytest.mark.parametrize("name", ALL)
def test_a_change_of_the_policy_happened_or_did_not(gate: MemoryStargate, name: str) -> None:
    before = gate.stargate.gate.policy().commit
    _break(gate, name, lambda: gate.change_policy(b"version: 1\n", b"version: 1\n# more\n"))
    assert (gate.stargate.gate.policy().commit != before) == (name in MOVED)
    _check(gate)


@pytest.mark.parametrize("name", ALL)
def test_what_waits_for_its_audit_is_audited_once_it_can(eager: MemoryStargate, name: str) -> None:
    assert eager.push(eager.make({b"k": Put(b"v")})).verdict.accepted
    [record] = eager.refs.read_all(UNAUDITED).values()
    _break(eager, name, eager.audit)
    left = eager.refs.read_all(UNAUDITED)
    assert (left == {}) == (name in MOVED)
    assert eager.objects.has(record) == (name not in MOVED), "it is there exactly as long"
    assert eager.audit() == len(left)
    _check(eager)


@pytest.mark.parametrize("name", ALL)
def test_a_suspension_is_there_exactly_when_the_restoration_is(
    eager: MemoryStargate, name: str
) -> None:
    good = eager.tip()
    forged = eager.make({b"bad": Put(b"v")}, bend=lambda plan: plan._replace(keys_set=7))
    assert eager.push(forged).verdict.accepted
    sound = eager.make({b"sound": Put(b"1")}, eager.alice)
    assert eager.push(sound).verdict.accepted
    _break(eager, name, eager.audit)
    is_restored = eager.tip().ledger.oid != sound[0].tip.ledger.oid
    assert is_restored == bool(eager.refs.read_all(SUSPENDED)) == (name in MOVED)
    eager.audit()
    assert is_suspended(eager.refs, "bob", eager.stargate.gate.policy().commit)
    refused = eager.push(eager.make({b"more": Put(b"v")}))
    assert [entry.rule for entry in refused.verdict.reasons] == ["writer.suspended"]
    assert eager.tip().seq > good.seq + 3, "what was sound is applied again"
    assert eager.change_policy(b"version: 1\n", b"version: 1\n# talked\n").verdict.accepted
    assert eager.refs.read_all(SUSPENDED) == {}
    _check(eager)


@pytest.mark.parametrize("name", ALL)
def test_the_mirror_catches_up_when_its_watermark_could_not_be_noted(
    gate: MemoryStargate, name: str
) -> None:
    assert gate.push(gate.make({b"k": Put(b"v")})).verdict.accepted
    _break(gate, name, gate.watch.push_once)
    gate.watch.push_once()
    assert gate.refs.read_all(b"refs/kv-mirror/") == {b"refs/kv-mirror/main": gate.tip().ledger.oid}
    _check(gate)


def test_who_does_not_lead_moves_nothing(gate: MemoryStargate) -> None:
    before, made = gate.refs.read_all(), gate.make({b"k": Put(b"v")})
    gate.lease.leads = False
    with pytest.raises(Exception, match="another Stargate leads"):
        gate.push(made)
    assert gate.refs.read_all() == before
    gate.lease.leads = True
    assert gate.push(made).verdict.accepted
    _check(gate)


def test_an_answer_of_the_mirror_that_is_lost_is_found_out(gate: MemoryStargate) -> None:
    assert gate.watch.push_once().state == "pushed"
    assert gate.push(gate.make({b"k": Put(b"v")})).verdict.accepted
    gate.mirror.loses_answers = True
    assert gate.watch.push_once().state == "failed"
    gate.mirror.loses_answers = False
    assert gate.watch.look_once().state == "current"
    assert gate.refs.read_all(b"refs/kv-mirror/") == {
        b"refs/kv-mirror/main": gate.tip(NS).ledger.oid
    }
    _check(gate)
