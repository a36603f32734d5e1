"""What a refused caller is told to do next."""

from __future__ import annotations

from gitkv.errors import RejectedError
from gitkv.model.verdict import BROKEN, POLICY, reason, refuse


def test_a_gateway_that_cannot_judge_now_is_worth_another_try() -> None:
    held = reason(BROKEN, "stargate.unavailable", "stargate", "an available gateway", "held")
    other = reason(POLICY, "prefix.not-owned", "key", "an own key", "a foreign one")
    assert RejectedError(refuse([held])).retry == "later"
    assert RejectedError(refuse([held, other])).retry == "never"
    assert RejectedError(refuse([other])).retry == "never"
