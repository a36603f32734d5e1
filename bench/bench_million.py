"""A store of a million keys: filling it, listing and reading it, and what one more write costs
there.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import gitkv
from bench.measure import Case, Outcome, Row, interleave, median, p95, seconds_of
from bench.stage import Stage, batch, kv, pairs, stage
from gitkv.testing.world import Person

BATCHES, BATCH_KEYS = 10, 100_000
SMALL_KEYS = 100
LISTED = 1_000  # keys of one group of one batch
ROUNDS_IN_PROCESS, ROUNDS_READ, ROUNDS_WRITE = 200, 40, 25
LIST_BOUND_S, LIST_COMMAND_BOUND_S = 0.050, 0.120
SET_LIMIT = 1.5

Samples = dict[str, list[float]]


def run(work: Path) -> Outcome:
    with stage(work / "million") as large, stage(work / "hundred") as small:
        samples: Samples = {"import": list(_fill(large))}
        _mset(small, "m0", SMALL_KEYS)
        alone, alone_small = _standalone(large), _standalone(small)
        samples |= _read_in_process(alone)
        samples |= _read_by_command(large.person("bob"), alone)
        samples |= _write((large, alone), (small, alone_small))
    return Outcome(_rows(samples), samples, _notes(samples))


def _fill(world: Stage) -> Iterator[float]:
    for at in range(BATCHES):
        yield _mset(world, f"m{at}", BATCH_KEYS)
    world.wait_for_mirror(timeout_s=300)


def _mset(world: Stage, tag: str, count: int) -> float:
    file = str(batch(world.root / "batch.jsonl", pairs(count, tag)))
    return seconds_of(lambda at: kv(world.person("bob"), "mset", "--file", file) and None, 0)


def _standalone(world: Stage) -> Path:
    """A copy of the clone that no longer knows of a Stargate: the same objects, written to and read
    on the spot.
    """
    bob, copy = world.person("bob"), world.root / "alone"
    shutil.copytree(bob.clone_dir, copy)
    for name in ("kv.remote", "remote.origin.pushurl"):
        bob.git("config", "--unset", name, cwd=copy)
    return copy


def _read_in_process(directory: Path) -> Samples:
    draw = random.Random(1)
    with gitkv.open(directory) as store:

        def list_some(at: int) -> None:
            assert sum(1 for _ in store.list(_prefix(draw))) == LISTED

        return interleave(
            {
                "list in process": list_some,
                "get in process": lambda at: store.value(_key(draw)) and None,
            },
            ROUNDS_IN_PROCESS,
        )


def _read_by_command(bob: Person, directory: Path) -> Samples:
    draw = random.Random(2)
    with gitkv.open(directory) as store:
        etags = [store.value(_key(draw)).etag for _ in range(ROUNDS_READ + 1)]

    def list_some(at: int) -> None:
        assert kv(bob, "list", "--prefix", _prefix(draw), cwd=directory).out.count(b"\n") == LISTED

    cases: dict[str, Case] = {
        "list command": list_some,
        "get command": lambda at: kv(bob, "get", _key(draw), cwd=directory) and None,
        "git cat-file": lambda at: bob.git("cat-file", "blob", etags[at], cwd=directory) and None,
    }
    return interleave(cases, ROUNDS_READ)


def _write(large: tuple[Stage, Path], small: tuple[Stage, Path]) -> Samples:
    cases: dict[str, Case] = {}
    for name, (world, alone) in (("1M", large), ("100", small)):
        bob = world.person("bob")
        cases[f"set standalone, {name}"] = lambda at, bob=bob, cwd=alone: (
            kv(bob, "set", _ANY, f"value {at}", cwd=cwd) and None
        )  # type: ignore[misc]
        cases[f"set Stargate, {name}"] = lambda at, world=world: _set_through_stargate(world, at)  # type: ignore[misc]
    return interleave(cases, ROUNDS_WRITE, warmups=2)


def _set_through_stargate(world: Stage, at: int) -> float:
    seconds = seconds_of(
        lambda at: kv(world.person("bob"), "set", _ANY, f"value {at}") and None, at
    )
    world.wait_for_mirror()
    return seconds


_ANY = "m0:g07:item0000007"


def _prefix(draw: random.Random) -> str:
    return f"m{draw.randrange(BATCHES)}:g{draw.randrange(100):02d}:"


def _key(draw: random.Random) -> str:
    number = draw.randrange(BATCH_KEYS)
    return f"m{draw.randrange(BATCHES)}:g{number % 100:02d}:item{number:07d}"


def _rows(samples: Samples) -> list[Row]:
    listed = f"list {LISTED:,} of 1M keys, p95"
    cat = median(samples["git cat-file"])
    rows = [
        Row(
            "last 100,000 keys of a million vs the first 100,000",
            "",
            samples["import"][-1],
            samples["import"][0],
        ),
        Row(
            f"{listed}, in process",
            "< 50 ms",
            p95(samples["list in process"]),
            bound_s=LIST_BOUND_S,
        ),
        Row(
            f"{listed}, whole command",
            "< 120 ms",
            p95(samples["list command"]),
            bound_s=LIST_COMMAND_BOUND_S,
        ),
        Row(
            "get of 1M keys, in process, vs git cat-file of the value's id",
            "",
            median(samples["get in process"]),
            cat,
        ),
        Row(
            "get of 1M keys, whole command, vs git cat-file of the value's id",
            "",
            median(samples["get command"]),
            cat,
        ),
    ]
    for where in ("standalone", "Stargate"):
        large, small = samples[f"set {where}, 1M"], samples[f"set {where}, 100"]
        rows.append(
            Row(
                f"set, {where}, 1M keys vs {SMALL_KEYS} keys",
                "≤ 1.5×",
                median(large),
                median(small),
                SET_LIMIT,
            )
        )
    return rows


def _notes(samples: Samples) -> list[str]:
    total = sum(samples["import"])
    return [
        f"The million came in {BATCHES} transactions of {BATCH_KEYS:,} keys through Stargate, "
        f"audited before the answer, in {total:.1f} s: "
        f"{BATCHES * BATCH_KEYS / total:,.0f} keys a second, first {samples['import'][0]:.1f} s, "
        f"last {samples['import'][-1]:.1f} s.",
        "Reads are of a clone's own objects, without network. `git cat-file` is given the value's "
        "id, so it looks up no key.",
    ]
