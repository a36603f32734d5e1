"""The runner of the followers: who steps when, and what a failing one costs the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import cast

import pytest

from gitkv.daemon.workers import Schedule, Workers
from gitkv.errors import UnavailableError
from gitkv.gateway.backoff import Backoffs
from gitkv.model.configuration import DEFAULTS
from gitkv.model.event import Event, MaintenanceFailed, MaintenanceRecovered
from gitkv.testing.world import wait_until

Act = tuple[object, ...]


@pytest.mark.parametrize(
    ("acts", "due_s"),
    [
        ([], {"woken": 0.0, "slow": 0.0}),
        ([("take",), ("done", "woken", 1.0)], {"woken": 1.0}),
        ([("take",), ("done", "woken", 1.0), ("done", "slow", 5.0)], {"woken": 1.0, "slow": 5.0}),
        ([("take",), ("done", "woken", 9.0), ("done", "slow", 5.0), ("moved",)],
         {"woken": 0.0, "slow": 5.0}),
        ([("take",), ("moved",), ("done", "woken", 9.0)], {"woken": 0.0}),
        ([("take",), ("failed", "woken", 9.0), ("moved",)], {"woken": 9.0}),
        ([("take",), ("moved",), ("failed", "woken", 9.0)], {"woken": 9.0}),
        ([("take",), ("failed", "woken", 9.0), ("at", 9.0), ("take",), ("done", "woken", 4.0),
          ("moved",)], {"woken": 9.0}),
        ([("take",)], {}),
    ],
    ids=[
        "everybody steps at once at first",
        "who has stepped waits, who steps does not count",
        "each has its own time",
        "a move wakes only who is to be woken",
        "a move during a step asks for one more",
        "a move does not shorten the pause after a failure",
        "a move during a step that fails neither",
        "after the pause moves wake again",
        "while all step nobody is due",
    ],
)  # fmt: skip
def test_the_schedule(acts: list[Act], due_s: Mapping[str, float]) -> None:
    schedule, now_s = Schedule({"woken": True, "slow": False}), 0.0
    for act, *rest in acts:
        if act == "take":
            schedule.take(now_s)
        elif act == "moved":
            schedule.moved(now_s)
        elif act == "at":
            now_s = cast(float, rest[0])
        else:
            name, wait_s = cast(tuple[str, float], tuple(rest))
            schedule.done(name, now_s, wait_s, failed=act == "failed")

    first_s = min(due_s.values(), default=None)
    assert schedule.wait_s(now_s) == (None if first_s is None else first_s - now_s)
    for at_s in sorted(set(due_s.values())):
        assert at_s <= now_s or not schedule.take(at_s - 0.25)
        assert set(schedule.take(at_s)) == {name for name in due_s if due_s[name] == at_s}


def test_pauses_double_up_to_a_limit_each_name_by_itself_and_end_with_a_success() -> None:
    now = [0.0]
    backoffs = Backoffs(lambda: now[0], lambda: 1.0)
    first_s, longest_s = DEFAULTS.retry
    waits = []
    for _ in range(20):
        backoffs.failed("a", "disk")
        waits.append(backoffs.left_s("a"))
        now[0] += backoffs.left_s("a")

    assert waits[:3] == [first_s, 2 * first_s, 4 * first_s]
    assert waits[-1] == longest_s
    assert (backoffs.left_s("a"), backoffs.failures("a")) == (0.0, 20)
    assert (backoffs.left_s("b"), backoffs.failures("b")) == (0.0, 0)
    assert not backoffs.failed("a", "disk") and backoffs.failed("a", "another cause")
    assert backoffs.succeeded("a") and not backoffs.succeeded("a")
    assert (backoffs.left_s("a"), backoffs.failures("a")) == (0.0, 0)


class Moves:
    """What a gateway tells, and how it wakes the runner."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.wake: Callable[[], None] = lambda: None

    def report(self, event: Event) -> None:
        self.events.append(event)


class Counting:
    """A follower that counts its steps and asks for the next after a day."""

    is_woken = True

    def __init__(self, name: str, act: Callable[[], None] = lambda: None) -> None:
        self.name, self.steps, self.finished, self._act = name, 0, 0, act

    def step(self) -> float:
        self.steps += 1
        self._act()
        return 86_400.0

    def failed(self, detail: str, hint: str) -> Event:
        return MaintenanceFailed(self.name, detail, hint)

    def recovered(self) -> Event:
        return MaintenanceRecovered(self.name)

    def finish(self) -> None:
        self.finished += 1


def _run(moves: Moves, *followers: Counting) -> tuple[Workers, list[BaseException]]:
    failed: list[BaseException] = []
    workers = Workers(followers, moves.report, failed.append)
    moves.wake = workers.wake
    workers.start()
    return workers, failed


def test_a_follower_that_fails_or_hangs_holds_up_no_other_and_each_cause_is_told_once() -> None:
    trouble, hang = [UnavailableError("no route")], threading.Event()

    def fail() -> None:
        if trouble:
            raise trouble[0]

    moves = Moves()
    sound, failing = Counting("sound"), Counting("failing", fail)

    def wait() -> None:
        hang.wait(20)

    hanging = Counting("hanging", wait)
    workers, failed = _run(moves, hanging, failing, sound)
    try:
        for steps in range(1, 4):
            wait_until(lambda steps=steps: sound.steps >= steps, 20)
            moves.wake()
        wait_until(lambda: failing.steps >= 2, 20)
        assert moves.events == [MaintenanceFailed("failing", "no route")]
        trouble.clear()
        wait_until(lambda: len(moves.events) == 2, 20)
        assert moves.events[1] == MaintenanceRecovered("failing")
        assert hanging.steps == 1
    finally:
        hang.set()
        workers.stop(20)
    assert not failed
    assert (sound.finished, failing.finished, hanging.finished) == (1, 1, 1)


def test_once_it_runs_no_thread_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine short of memory Thread.start may wait without end."""
    moves = Moves()
    followers = [Counting(f"f{n}") for n in range(6)]
    workers, failed = _run(moves, *followers)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    try:
        for steps in range(1, 5):
            wait_until(lambda: min(entry.steps for entry in followers) >= steps, 20)  # noqa: B023
            moves.wake()
    finally:
        workers.stop(20)
    assert not failed


def test_a_worker_that_dies_ends_the_daemon() -> None:
    def die() -> None:
        raise SystemExit("out of everything")

    workers, failed = _run(Moves(), Counting("dying", die))
    try:
        wait_until(lambda: failed, 20)
        assert "the dying worker died" in str(failed[0])
    finally:
        workers.stop(20)
