"""The mirror that readers clone: down, rewound by others, silent, hostile. Stargate goes on,
catches up by itself, and never forces.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from support.forge import Forge
from support.invariants import check_invariants, events

from gitkv.testing.world import World, run, wait_until

JSON = ("--log-format", "json")
CATCH_UP_S = 30.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path).create()
    yield made
    made.close()


@pytest.fixture
def bob(world: World) -> Iterator[Forge]:
    with Forge(world, world.person("bob")) as forge:
        yield forge


def _push(bob: Forge) -> str:
    forged = bob.transaction()
    assert bob.push(forged).accepted
    return forged.ledger.hex()


def _hook(world: World, name: str, text: str) -> Path:
    path = world.mirror / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_a_mirror_that_is_down_stops_no_writer_and_catches_up_even_over_a_restart(
    world: World, bob: Forge
) -> None:
    world.start(*JSON)
    world.wait_for_mirror()
    away = world.root / "away.git"
    world.mirror.rename(away)
    accepted = [_push(bob)]
    wait_until(lambda: events(world, "mirror.failed"), 20)
    accepted.append(_push(bob))
    world.kill()
    world.start(*JSON)
    accepted.append(_push(bob))
    away.rename(world.mirror)
    world.wait_for_mirror(timeout_s=CATCH_UP_S)
    told = check_invariants(world, acknowledged=accepted)
    assert world.refs(world.mirror)["refs/kv/main"] == told.ledger[-1] == accepted[-1]
    for ref in ("refs/kv-index/main", "refs/kv-watchlog/main@e1", "refs/heads/main"):
        assert world.refs(world.mirror)[ref] == world.refs(world.gate)[ref]


def test_a_diverged_mirror_is_an_alarm_and_is_never_forced(world: World, bob: Forge) -> None:
    world.start(*JSON)
    first = _push(bob)
    world.wait_for_mirror()
    env = world.person("bob").env
    tree = run(["git", "rev-parse", "refs/kv/main^{tree}"], env, world.mirror).out.decode().strip()
    foreign = (
        run(["git", "commit-tree", tree, "-m", "not ours"], env, world.mirror).out.decode().strip()
    )
    run(["git", "update-ref", "refs/kv/main", foreign], env, world.mirror)
    then = _push(bob)
    wait_until(lambda: len(events(world, "mirror.diverged")) > 1, 20)
    assert world.refs(world.mirror)["refs/kv/main"] == foreign
    assert world.refs(world.gate)["refs/kv-mirror/main"] == first, (
        "the watermark claims what the mirror does not show"
    )
    assert (
        world.refs(world.mirror)["refs/kv-index/main"]
        != world.refs(world.gate)["refs/kv-index/main"]
    ), "half of a transaction is shown"
    last = _push(bob)
    run(
        ["git", "update-ref", "refs/kv/main", first], env, world.mirror
    )  # an operator has looked at it
    world.wait_for_mirror(timeout_s=CATCH_UP_S)
    check_invariants(world, acknowledged=[first, then, last])


def test_a_mirror_put_back_to_an_older_state_is_brought_forward(world: World, bob: Forge) -> None:
    world.start(*JSON)
    first = _push(bob)
    world.wait_for_mirror()
    older = world.refs(world.mirror)
    second = _push(bob)
    world.wait_for_mirror()
    for ref in ("refs/kv/main", "refs/kv-index/main", "refs/kv-watchlog/main@e1"):
        run(["git", "update-ref", ref, older[ref]], world.base_env(), world.mirror)
    third = _push(bob)
    world.wait_for_mirror(timeout_s=CATCH_UP_S)
    check_invariants(world, acknowledged=[first, second, third])


def test_a_report_that_is_lost_is_found_out_by_asking_again(world: World, bob: Forge) -> None:
    world.start(*JSON)
    world.wait_for_mirror()
    _hook(
        world,
        "post-receive",
        f"test -e {world.root}/once && exit 0\ntouch {world.root}/once\nkill -9 $PPID\n",
    )
    pushed = _push(bob)
    wait_until(lambda: (world.root / "once").exists(), 20)
    world.wait_for_mirror(timeout_s=CATCH_UP_S)
    assert world.refs(world.gate)["refs/kv-mirror/main"] == pushed
    check_invariants(world, acknowledged=[pushed])


def test_the_watermark_only_moves_forward_and_never_ahead_of_the_mirror(
    world: World, bob: Forge
) -> None:
    world.start(*JSON)
    seen: list[tuple[str, str]] = []
    done = Event()

    def watch() -> None:
        while not done.is_set():
            mark = world.refs(world.gate)["refs/kv-mirror/main"]
            seen.append((mark, world.refs(world.mirror)["refs/kv/main"]))

    watcher = Thread(target=watch)
    watcher.start()
    for _ in range(12):
        _push(bob)
    world.wait_for_mirror()
    done.set()
    watcher.join()
    order = check_invariants(world).ledger
    marks = [order.index(mark) for mark, _ in seen]
    assert marks == sorted(marks) and marks[-1] > marks[0]
    assert all(order.index(mark) <= order.index(shown) for mark, shown in seen)


def test_transactions_that_come_while_a_push_runs_travel_together(world: World, bob: Forge) -> None:
    world.start(*JSON, "--mirror-interval", "1.5")
    wait_until(lambda: events(world, "mirror.pushed"), 20)
    for _ in range(8):
        _push(bob)
    world.wait_for_mirror()
    assert len(events(world, "mirror.pushed")) <= 4


def test_what_a_hostile_mirror_says_is_logged_as_plain_text(world: World, bob: Forge) -> None:
    _hook(
        world,
        "pre-receive",
        "printf '\\033[2J\\033]0;owned\\007 no\\r\\nforged line\\n' >&2\nexit 1\n",
    )
    world.start("--log-format", "text")
    pushed = _push(bob)
    wait_until(
        lambda: (
            "mirror.failed" in world.log.read_text() or "mirror.diverged" in world.log.read_text()
        ),
        20,
    )
    raw = world.log.read_bytes()
    assert b"\x1b" not in raw and b"\x07" not in raw and b"\r" not in raw
    assert not [line for line in raw.split(b"\n") if line.startswith(b"forged line")]
    assert "mirror.diverged" not in raw.decode(), "a mirror that says no has not diverged"
    (world.mirror / "hooks" / "pre-receive").unlink()
    world.wait_for_mirror(timeout_s=CATCH_UP_S)
    check_invariants(world, acknowledged=[pushed])


def test_a_drain_brings_the_last_transaction_to_the_mirror(world: World, bob: Forge) -> None:
    world.start(*JSON, "--mirror-interval", "30")
    wait_until(lambda: events(world, "mirror.pushed"), 20)
    pushed = _push(bob)
    started = time.monotonic()
    assert world.stop() == 0
    assert time.monotonic() - started < 20
    assert world.refs(world.mirror)["refs/kv/main"] == pushed
