"""Writers of one namespace take turns: first come, first served, and nobody is starved."""

from __future__ import annotations

import random
from collections import Counter

from gitkv.gateway.turns import LATE_EVERY, PENALTY_S, Turn, Turns
from gitkv.model.refs import Namespace

MAIN, OTHER = Namespace("main"), Namespace("other")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def join(turns: Turns, who: str, told: list[str], ns: Namespace = MAIN) -> Turn:
    return turns.join(ns, who, lambda: told.append(who))


def test_the_first_is_next_at_once_and_the_others_in_the_order_they_came() -> None:
    turns, told = Turns(), list[str]()
    first, second, third = (join(turns, who, told) for who in ("ann", "bob", "cid"))
    assert told == ["ann"]
    assert [turns.before(turn) for turn in (first, second, third)] == [0, 1, 2]
    turns.end(first)
    assert told == ["ann", "bob"]
    assert second.is_held and not first.is_held
    turns.end(second)
    turns.end(third)
    assert told == ["ann", "bob", "cid"]
    assert turns.busy() == []


def test_namespaces_do_not_wait_for_each_other() -> None:
    turns, told = Turns(), list[str]()
    join(turns, "ann", told)
    join(turns, "bob", told, OTHER)
    assert told == ["ann", "bob"]
    assert turns.busy() == [MAIN, OTHER]


def test_who_gives_up_waiting_leaves_no_gap_and_ending_twice_is_harmless() -> None:
    turns, told = Turns(), list[str]()
    first, second, third = (join(turns, who, told) for who in ("ann", "bob", "cid"))
    turns.end(second)
    turns.end(second)
    turns.end(first)
    turns.end(first)
    assert told == ["ann", "cid"]
    assert third.is_held


def test_who_stalls_comes_after_the_others_for_a_while() -> None:
    clock, told = Clock(), list[str]()
    turns = Turns(clock)
    stalled = join(turns, "mallory", told)
    bob = join(turns, "bob", told)
    turns.end(stalled, stalled=True)
    again = join(turns, "mallory", told)
    cid = join(turns, "cid", told)
    turns.end(bob)
    turns.end(cid)
    assert told == ["mallory", "bob", "cid", "mallory"]
    turns.end(again)
    clock.now_s += PENALTY_S
    dan = join(turns, "dan", told)
    join(turns, "mallory", told)
    join(turns, "eve", told)
    turns.end(dan)
    assert told[-1] == "mallory"


def test_even_the_late_are_not_starved() -> None:
    turns, told = Turns(Clock()), list[str]()
    turns.end(join(turns, "mallory", told), stalled=True)
    held = join(turns, "0", told)
    join(turns, "mallory", told)
    for number in range(1, 3 * LATE_EVERY):
        following = join(turns, str(number), told)
        turns.end(held)
        held = following
        if "mallory" in told[1:]:
            break
    assert "mallory" in told[1:]


def test_in_any_order_of_events_one_holds_the_turn_and_each_gets_it_once() -> None:
    chance = random.Random(7)
    for _ in range(200):
        turns, told = Turns(Clock()), list[str]()
        live: dict[str, Turn] = {}
        gone: set[str] = set()
        for number in range(40):
            if live and chance.random() < 0.5:
                name = chance.choice(sorted(live))
                if not live[name].is_held:
                    gone.add(name)
                turns.end(live.pop(name), stalled=chance.random() < 0.2)
            else:
                live[str(number)] = join(turns, str(number), told)
            assert sum(turn.is_held for turn in live.values()) == (1 if live else 0)
        while live:
            name = next(name for name, turn in live.items() if turn.is_held)
            turns.end(live.pop(name))
        assert max(Counter(told).values()) == 1
        assert gone.isdisjoint(told)
        assert turns.busy() == []
