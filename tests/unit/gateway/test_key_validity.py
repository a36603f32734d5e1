"""One rule for when a key is valid (spec/policy 6.3), for the gateway and for whoever judges later:
whatever is accepted verifies for ever, and a backdated commit does not revive a key.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support.accepted_in_memory import START_S, Accepted, texts
from support.gate_in_memory import JudgingGate, SetClock

from gitkv.ledger.plan import Put

NOW_S = START_S + 3600
SKEWS_S = (-540, -1, 0, 1, 540)  # of a commit's own time against the gateway's clock
ENDS_S = (-541, -540, -1, 0, 1, 2, 540, 541)  # of the key's `not_after` against that clock


def _world(name: str = "", end_s: int = 0, clock: SetClock | None = None) -> JudgingGate:
    """A history under a policy in which the key of this principal, if any, ends at `end_s`."""
    team = Accepted().begin()
    team.now_s = NOW_S - 900
    if not name:
        return JudgingGate(team, SetClock(NOW_S))
    key = team.bob.line if name == "bob" else team.alice.line
    until = datetime.fromtimestamp(end_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = f"key: {key}\n        not_after: {until}"
    text = team.text.replace(key.encode(), entry.encode())
    if name == "alice":  # an admin who stays, so that a policy change can be judged at all
        text = text.replace(b"  bob:\n", b"  bob:\n    admin: true\n")
    team.add_policy(text, team.alice, NOW_S - 900)
    return JudgingGate(team, clock or SetClock(NOW_S))


@pytest.mark.parametrize("skew_s", SKEWS_S)
@pytest.mark.parametrize("end_s", ENDS_S)
def test_a_transaction_is_accepted_just_when_it_verifies_for_ever(end_s: int, skew_s: int) -> None:
    gate = _world("bob", NOW_S + end_s)
    judged = gate.push({b"k": Put(b"1")}, gate.team.bob, NOW_S + skew_s)
    assert judged.verdict.accepted == (end_s > max(0, skew_s))
    if judged.verdict.accepted:
        found = gate.team.verify()
        assert not found.reasons, texts(found)
    else:
        assert {entry.rule for entry in judged.verdict.reasons} == {"signature.expired-key"}


@pytest.mark.parametrize("skew_s", SKEWS_S)
@pytest.mark.parametrize("end_s", ENDS_S)
def test_a_policy_change_is_accepted_just_when_it_verifies_for_ever(
    end_s: int, skew_s: int
) -> None:
    gate = _world("alice", NOW_S + end_s)
    text = gate.team.text.replace(b"200000", b"100000")
    verdict = gate.push_policy(text, gate.team.alice, NOW_S + skew_s)
    assert verdict.accepted == (end_s > max(0, skew_s))
    found = gate.team.verify()
    assert not found.reasons, texts(found)


@pytest.mark.parametrize("skew_s", SKEWS_S)
@pytest.mark.parametrize("end_s", ENDS_S)
def test_the_last_admins_key_must_outlast_the_change_by_both_clocks(
    end_s: int, skew_s: int
) -> None:
    gate = _world()
    until = datetime.fromtimestamp(NOW_S + end_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = gate.team.alice.line
    text = gate.team.text.replace(key.encode(), f"key: {key}\n        not_after: {until}".encode())
    verdict = gate.push_policy(text, gate.team.alice, NOW_S + skew_s)
    assert verdict.accepted == (end_s > max(0, skew_s))
    found = gate.team.verify()
    assert not found.reasons, texts(found)


def test_the_receipt_shows_the_clock_that_the_push_was_judged_by() -> None:
    gate = _world("bob", NOW_S + 2, SetClock(NOW_S, ticks_s=1))
    judged = gate.push({b"k": Put(b"1")}, gate.team.bob, NOW_S)
    assert judged.verdict.accepted and judged.now_s == NOW_S + 1
    assert not gate.team.verify().reasons


def test_a_receipt_from_after_the_keys_end_is_named() -> None:
    gate = _world("bob", NOW_S + 10)
    gate.team.now_s = NOW_S + 10
    gate.team.write({b"k": Put(b"1")}, gate.team.bob, time_s=NOW_S)
    assert gate.team.rules() == {"signature.expired-key"}


def test_a_commit_more_than_ten_minutes_ahead_of_its_receipt_is_named() -> None:
    gate = _world()
    for ahead_s, rules in ((600, set()), (601, {"commit.date"})):
        gate.team.now_s = NOW_S
        gate.team.write({b"k": Put(b"%d" % ahead_s)}, gate.team.bob, time_s=NOW_S + ahead_s)
        assert gate.team.rules() == rules


def test_a_revoked_key_is_refused_from_the_policy_that_says_so_on_and_not_before() -> None:
    gate = _world()
    team = gate.team
    assert gate.push({b"k": Put(b"1")}, team.bob, NOW_S).verdict.accepted
    entry = f"key: {team.bob.line}\n        revoked: true".encode()
    text = team.text.replace(team.bob.line.encode(), entry)
    assert gate.push_policy(text, team.alice, NOW_S).accepted
    judged = gate.push({b"k": Put(b"2")}, team.bob, NOW_S - 540)
    assert {entry.rule for entry in judged.verdict.reasons} == {"signature.revoked-key"}
    assert not team.verify().reasons
