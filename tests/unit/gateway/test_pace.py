"""Who is too slow a sender: throughput decides, not time."""

from __future__ import annotations

from gitkv.gateway.pace import Pace


def test_a_large_push_at_a_fair_pace_may_take_for_ever() -> None:
    pace = Pace(120.0, 16 << 10)
    assert all(pace.is_kept(1.0, 20 << 10) for _ in range(100_000))


def test_whoever_trickles_is_dropped_when_the_patience_is_over() -> None:
    pace, waited_s = Pace(120.0, 16 << 10), 0.0
    while pace.is_kept(50.0, 1):
        waited_s += 50.0
    assert waited_s == 100.0


def test_a_burst_buys_no_more_than_the_first_patience() -> None:
    pace = Pace(120.0, 16 << 10)
    assert pace.is_kept(0.0, 1 << 40)
    assert pace.is_kept(119.0, 0)
    assert not pace.is_kept(2.0, 0)


def test_a_slow_sender_who_catches_up_is_kept() -> None:
    pace = Pace(120.0, 1000)
    for _ in range(50):
        assert pace.is_kept(100.0, 10)
        assert pace.is_kept(1.0, 200_000)
