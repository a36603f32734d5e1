"""`retention` of a namespace: one time to live, in one spelling (spec/policy 2.7, 5.8)."""

from __future__ import annotations

import pytest
from support.policy_texts import FULL

from gitkv.policy.text import PolicyTextError, parse_policy

GIVEN = "{ttl_default: 30d}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (GIVEN, 2592000),
        ("{ttl_default: 1s}", 1),
        ('{ttl_default: "36525d"}', 3155760000),
        ("{}", 0),
    ],
)
def test_a_time_to_live_is_read_in_seconds(text: str, seconds: int) -> None:
    policy = parse_policy(FULL.replace(GIVEN, text).encode())
    assert [rules.ttl_default_s for rules in policy.namespaces] == [seconds, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("30d", "retention: expected a mapping"),
        ("{ttl: 30d}", 'retention: unknown key "ttl"'),
        ("{ttl_default: 30}", "ttl_default: expected a number and a unit"),
        ("{ttl_default: [30d]}", "ttl_default: expected a number and a unit"),
        ("{ttl_default: }", "ttl_default: expected a number and a unit"),
        ("{ttl_default: 0d}", "ttl_default: expected 1s to 36525d"),
        ("{ttl_default: -1d}", "ttl_default: expected a number and a unit"),
        ("{ttl_default: 36526d}", "ttl_default: expected 1s to 36525d"),
        ("{ttl_default: 9999999999w}", "ttl_default: expected 1s to 36525d"),
    ],
)
def test_another_spelling_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(PolicyTextError) as caught:
        parse_policy(FULL.replace(GIVEN, text).encode())
    (problem,) = caught.value.errors
    assert message in problem.message
    assert FULL.splitlines()[problem.line - 1].strip().startswith("retention:")
