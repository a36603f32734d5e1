"""The rules at the door: a crowd pays for itself, whoever comes alone gets in."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gitkv.daemon.door import (
    ENCRYPTED,
    IDLE_SETTLED_S,
    SPEAKING,
    LoggedIn,
    Waiting,
    early_drop,
    source_of,
)
from gitkv.model.configuration import DEFAULTS

LOGINS, CONNECTIONS = DEFAULTS.logins, DEFAULTS.connections


def dice(seed: int = 1) -> Waiting[str]:
    return Waiting(random.Random(seed).random)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a socket's path", "a socket's path"),
    ],
)
def test_an_address_belongs_to_its_source(address: str, source: str) -> None:
    assert source_of(address) == source


def test_newcomers_are_dropped_early_ever_more_often() -> None:
    chances = [early_drop(count) for count in range(LOGINS.waiting_max + 1)]

    assert chances[LOGINS.waiting_early - 1] == 0.0
    assert chances[LOGINS.waiting_early] == pytest.approx(0.3)
    assert chances[LOGINS.waiting_early :] == sorted(chances[LOGINS.waiting_early :])
    assert chances[LOGINS.waiting_max] == 1.0


def test_one_source_never_holds_more_than_its_share() -> None:
    waiting = dice()

    for number in range(10_000):
        waiting.arrive(f"attacker {number}", "192.0.2.1")

    assert len(waiting) == LOGINS.waiting_of_one_max


def test_a_distant_client_is_never_sent_away_for_a_crowd_from_another_address() -> None:
    """It needs long for its log-in: thousands come meanwhile."""
    waiting = dice()
    for number in range(1000):
        waiting.arrive(f"before {number}", "192.0.2.1")

    assert waiting.arrive("honest", "198.51.100.1").admitted
    gone = {waiting.arrive(f"after {number}", "192.0.2.1").leaves for number in range(10_000)}

    assert "honest" not in gone


def test_a_client_gets_in_though_every_place_is_taken_by_a_few_addresses() -> None:
    waiting = dice()
    for number in range(5000):
        waiting.arrive(f"attacker {number}", f"192.0.2.{number % 40}")

    ruling = waiting.arrive("honest", "198.51.100.1")
    gone = {
        waiting.arrive(f"after {number}", f"192.0.2.{number % 40}").leaves for number in range(5000)
    }

    assert ruling.admitted
    assert "honest" not in gone
    assert len(waiting) <= LOGINS.waiting_max


def test_an_address_somebody_logged_in_from_gets_in_while_strangers_take_all_places() -> None:
    waiting = dice()
    waiting.arrive("first", "198.51.100.1")
    waiting.log_in("first")
    for number in range(5000):
        waiting.arrive(f"attacker {number}", f"10.0.{number // 250}.{number % 250}")
    assert len(waiting) == LOGINS.waiting_max

    assert waiting.arrive("again", "198.51.100.1").admitted
    gone = {waiting.arrive(f"after {n}", f"10.1.{n // 250}.{n % 250}").leaves for n in range(200)}
    assert len(gone) > 1
    assert "again" not in gone


def test_behind_one_address_the_silent_give_way_to_those_who_speak() -> None:
    waiting = dice()
    for number in range(LOGINS.waiting_of_one_max):
        waiting.arrive(f"silent {number}", "192.0.2.1")

    ruling = waiting.arrive("honest", "192.0.2.1")
    waiting.advance("honest", SPEAKING)
    waiting.advance("honest", ENCRYPTED)
    gone = [waiting.arrive(f"later {number}", "192.0.2.1").leaves for number in range(1000)]

    assert ruling.admitted and ruling.leaves is not None
    assert "honest" not in gone and None not in gone


def test_whoever_leaves_makes_room() -> None:
    waiting = dice()
    for number in range(LOGINS.waiting_of_one_max):
        waiting.arrive(f"{number}", "192.0.2.1")
        waiting.leave(f"{number}")
        waiting.leave(f"{number}")

    assert len(waiting) == 0
    assert waiting.arrive("next", "192.0.2.1") == (True, None)


def filled(clock: Clock, principals: int, *, busy: bool = False) -> LoggedIn[str]:
    """A server that `principals` writers fill as far as they can."""
    inside: LoggedIn[str] = LoggedIn(clock)
    for name in range(principals):
        for number in range(CONNECTIONS.of_one_max + 5):
            one = f"{name} {number}"
            if inside.enter(one, f"writer {name}", is_admin=False).admitted and busy:
                inside.begin(one)
    return inside


@pytest.mark.parametrize("busy", [False, True])
def test_an_admin_gets_in_however_many_writers_there_are(busy: bool) -> None:
    inside = filled(Clock(), 6, busy=busy)

    for number in range(CONNECTIONS.kept_for_admins):
        assert inside.enter(f"admin {number}", "alice", is_admin=True).admitted


def test_a_principal_without_connections_takes_the_place_of_an_idle_one_of_the_crowd() -> None:
    inside = filled(Clock(), 4)

    ruling = inside.enter("newcomer", "zoe", is_admin=False)

    assert ruling.admitted and ruling.leaves is not None
    assert inside.enter("second", "zoe", is_admin=False).admitted


def test_nobody_who_runs_a_command_is_sent_away() -> None:
    inside = filled(Clock(), 6, busy=True)

    assert inside.enter("newcomer", "zoe", is_admin=False) == (False, None)


def test_a_principal_has_a_limit_of_its_own_and_its_idle_connections_go_first() -> None:
    clock = Clock()
    inside: LoggedIn[str] = LoggedIn(clock)
    for number in range(CONNECTIONS.of_one_max):
        assert inside.enter(f"{number}", "bob", is_admin=True).admitted
        clock.now_s += 0.01

    assert not inside.enter("one too many", "bob", is_admin=True).admitted
    inside.begin("0")
    clock.now_s += IDLE_SETTLED_S
    assert inside.enter("one more", "bob", is_admin=True) == (True, "1")


def test_a_connection_without_a_command_is_overdue_after_a_while() -> None:
    clock = Clock()
    inside: LoggedIn[str] = LoggedIn(clock)
    inside.enter("idle", "bob", is_admin=False)
    inside.enter("busy", "bob", is_admin=False)
    inside.begin("busy")

    clock.now_s += CONNECTIONS.idle_s - 1
    assert inside.overdue() == []
    clock.now_s += 1
    assert inside.overdue() == ["idle"]
    inside.end("busy")
    assert inside.overdue() == ["idle"]
    clock.now_s += CONNECTIONS.idle_s
    assert inside.overdue() == ["idle", "busy"]


def test_the_places_never_run_over() -> None:
    """Whatever comes and goes."""
    clock, chance = Clock(), random.Random(7)
    inside: LoggedIn[str] = LoggedIn(clock)
    held: dict[str, str] = {}
    for number in range(5000):
        clock.now_s += chance.random()
        who = f"p{chance.randrange(9)}"
        ruling = inside.enter(f"{number}", who, is_admin=who == "p0")
        if ruling.leaves is not None:
            del held[ruling.leaves]
        if ruling.admitted:
            held[f"{number}"] = who
        if chance.random() < 0.3 and held:
            left = chance.choice(list(held))
            inside.leave(left)
            del held[left]
        assert len(held) <= CONNECTIONS.all_max
        assert max(Counter(held.values()).values(), default=0) <= CONNECTIONS.of_one_max
