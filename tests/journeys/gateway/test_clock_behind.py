"""A gateway whose clock has fallen back: whose clock it is, is said."""

from __future__ import annotations

import time

import pytest
from support.gate_in_memory import SetClock
from support.gateway import Gateway


def _rules(gateway: Gateway) -> set[tuple[int, str]]:
    return {(entry.code, entry.rule) for entry in gateway.push().verdict.reasons}


@pytest.mark.parametrize("behind_s", [660, 1200, 1201, 3600, 90 * 86400])
def test_a_clock_before_the_newest_receipt_is_to_blame(gateway: Gateway, behind_s: int) -> None:
    assert gateway.push().verdict.accepted
    gateway.set_clock(SetClock(int(time.time()) - behind_s))
    assert _rules(gateway) == {(5, "clock.behind")}


def test_a_policy_change_is_told_the_same(gateway: Gateway) -> None:
    assert gateway.push().verdict.accepted
    gateway.set_clock(SetClock(int(time.time()) - 700))
    verdict = gateway.change_policy(lambda text: text + b"# more\n").verdict
    assert {entry.rule for entry in verdict.reasons} == {"clock.behind"}


def test_a_clock_a_little_behind_accepts(gateway: Gateway) -> None:
    assert gateway.push().verdict.accepted
    gateway.set_clock(SetClock(int(time.time()) - 500))
    assert gateway.push().verdict.accepted


def test_without_a_receipt_that_shows_it_nobody_knows_whose_clock_it_is(gateway: Gateway) -> None:
    """The writer's may be ahead as well: both are named."""
    assert gateway.push().verdict.accepted
    ahead = gateway.push(gateway.transaction(ahead_s=700))
    assert {(entry.code, entry.rule) for entry in ahead.verdict.reasons} == {(3, "commit.time")}
