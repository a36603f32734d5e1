"""An allowance: so much at once, so much a second."""

from __future__ import annotations

from gitkv.daemon.allowance import Allowance


def test_a_burst_is_allowed_then_the_pace() -> None:
    now = [0.0]
    allowance = Allowance(3, 2, lambda: now[0])

    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [allowance.take() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
