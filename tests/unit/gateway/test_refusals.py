"""What a Stargate in memory refuses: every refusal leaves the refs, the packs and the ids alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from support.memory_stargate import EAGER, NS, MemoryStargate

from gitkv.errors import UnavailableError
from gitkv.gateway.policy_push import PACK_BYTES_MAX
from gitkv.gateway.push_limits import pack_limits
from gitkv.gateway.receive import receive, refuse_stale
from gitkv.ledger.plan import Put
from gitkv.model.heads import NOWHERE, Heads
from gitkv.model.oid import BLOB, Oid, hash_object
from gitkv.model.refs import POLICY_REF, Namespace, RefUpdate
from gitkv.testing.memory_gateway import MemoryIntake
from gitkv.wire.push_grammar import PolicyPush, TransactionPush


@pytest.fixture
def gate() -> Iterator[MemoryStargate]:
    """Whatever is refused: nothing of it stays."""
    made = MemoryStargate()
    yield made
    before = made.refs.read_all()
    assert made.stored.packs == {}
    assert made.refs.read_all() == before and not made.verify().reasons


def _rules(gate: MemoryStargate, push: Callable[[], object]) -> set[str]:
    before = gate.refs.read_all()
    answer = push()
    assert gate.refs.read_all() == before
    return {entry.rule for entry in answer.verdict.reasons}  # type: ignore[attr-defined]


def test_a_namespace_that_is_none_of_ours(gate: MemoryStargate) -> None:
    push = TransactionPush(Namespace("other"), NOWHERE, gate.tip().heads)
    assert _rules(gate, lambda: gate._receive(push, [])) == {"namespace.unknown"}


def test_a_push_that_another_has_overtaken_is_refused_before_its_pack_is_read(
    gate: MemoryStargate,
) -> None:
    late = gate.make({b"late": Put(b"1")})
    push = TransactionPush(NS, gate.tip().heads, late[0].tip.heads)
    assert refuse_stale(gate.stargate.gate, push) is None
    assert gate.push(gate.make({b"first": Put(b"1")})).verdict.accepted
    answer = refuse_stale(gate.stargate.gate, push)
    assert answer is not None and {one.rule for one in answer.verdict.reasons} == {"base.stale"}
    assert _rules(gate, lambda: gate.push(late)) == {"base.stale"}
    policy = PolicyPush(RefUpdate(POLICY_REF, Oid(b"\1" * 20), Oid(b"\2" * 20)))
    assert refuse_stale(gate.stargate.gate, policy) is None


def test_a_pack_that_lacks_what_its_refs_name(gate: MemoryStargate) -> None:
    tip = gate.tip()
    push = TransactionPush(NS, tip.heads, Heads(Oid(b"\1" * 20), *tip.heads[1:]))
    assert _rules(gate, lambda: gate._receive(push, [])) == {"pack.incomplete"}


def test_an_object_that_nothing_reaches(gate: MemoryStargate) -> None:
    made, sent = gate.make({b"k": Put(b"v")})
    assert _rules(gate, lambda: gate.push((made, [*sent, (BLOB, b"stray")]))) == {"pack.stray"}
    known = [(BLOB, b"v")]
    gate.objects.add(*known[0])
    assert gate.push((made, [*sent, *known])).verdict.accepted, "what is here may come again"


def test_a_stray_is_found_by_the_audit_after_the_answer_too(gate: MemoryStargate) -> None:
    assert gate.change_policy(*EAGER).verdict.accepted
    made, sent = gate.make({b"k": Put(b"v")})
    assert gate.push((made, [*sent, (BLOB, b"stray")])).verdict.accepted
    gate.audit()
    assert "pack.stray" in str(gate.names("audit.violation")[0]["reasons"])


def test_values_over_the_limit_are_refused_before_the_answer(gate: MemoryStargate) -> None:
    assert gate.change_policy(*EAGER).verdict.accepted
    policy = gate.stargate.gate.policy().policy.namespace(NS)
    assert policy is not None
    large = {b"large": Put(b"x" * (policy.value_bytes_max + 1))}
    assert _rules(gate, lambda: gate.push(gate.make(large))) == {"value.size"}


def test_a_transaction_id_counts_once_even_after_a_restart(gate: MemoryStargate) -> None:
    assert gate.push(gate.make({b"k": Put(b"1")})).verdict.accepted
    gate.restart()
    gate._txns -= 1
    assert _rules(gate, lambda: gate.push(gate.make({b"k": Put(b"2")}))) == {"transaction.replayed"}


def test_a_signer_whom_nobody_knows(gate: MemoryStargate) -> None:
    made = gate.make({b"k": Put(b"v")}, gate.key)
    assert _rules(gate, lambda: gate.push(made))


def test_a_policy_change_by_who_is_no_admin_or_on_another_base(gate: MemoryStargate) -> None:
    def by_bob() -> object:
        return gate.change_policy(b"version: 1\n", b"version: 1\n# bob's\n", gate.bob)

    assert _rules(gate, by_bob)
    stale = PolicyPush(RefUpdate(POLICY_REF, Oid(b"\1" * 20), Oid(b"\2" * 20)))
    assert _rules(gate, lambda: gate._receive(stale, [])) == {"base.stale"}
    no_commit = hash_object(BLOB, b"no commit")
    move = PolicyPush(RefUpdate(POLICY_REF, gate.stargate.gate.policy().commit, no_commit))
    assert _rules(gate, lambda: gate._receive(move, [(BLOB, b"no commit")])) == {
        "push.not-a-commit"
    }


def test_a_policy_without_the_key_that_serves(gate: MemoryStargate) -> None:
    other = gate.alice.line.split(" ")[1].encode()
    ours = gate.key.line.split(" ")[1].encode()
    assert _rules(gate, lambda: gate.change_policy(ours, other))


def test_a_judgement_that_takes_too_long(gate: MemoryStargate) -> None:
    made, sent = gate.make({b"k": Put(b"v")})
    ticks = itertools.count(step=100)

    def push() -> object:
        intake = MemoryIntake(gate.objects, gate.stored.packs, sent)
        what = TransactionPush(NS, gate.tip().heads, made.tip.heads)
        clock = lambda: float(next(ticks))  # noqa: E731
        return receive(gate.stargate.receiving, what, intake, intake.pack, monotonic=clock)

    assert _rules(gate, push) == {"push.too-long"}


def test_while_writes_are_held(gate: MemoryStargate) -> None:
    gate.stargate.hold.begin("a test says so")
    with pytest.raises(UnavailableError, match="a test says so"):
        gate.push(gate.make({b"k": Put(b"v")}))
    gate.stargate.hold.end()
    assert gate.push(gate.make({b"k": Put(b"v")})).verdict.accepted


def test_what_a_pack_may_cost_follows_the_policy(gate: MemoryStargate) -> None:
    policy = gate.stargate.gate.policy().policy
    rules = policy.namespace(NS)
    assert rules is not None
    limits = pack_limits(policy, TransactionPush(NS, NOWHERE, NOWHERE))
    assert limits.inflated_bytes_max > rules.total_bytes_max
    move = PolicyPush(RefUpdate(POLICY_REF, Oid(b"\1" * 20), Oid(b"\2" * 20)))
    assert pack_limits(policy, move).pack_bytes_max == PACK_BYTES_MAX
