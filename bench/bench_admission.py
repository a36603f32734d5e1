"""Admission in constant time: what Stargate does before it answers in `verify: before-publish`, by
the number of keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bench.gate import Gate, Timed, open_gate
from bench.measure import Outcome, Row, median, seconds_of
from bench.stage import Stage, batch, kv, pairs, stage

SIZES = (1, 100, 10_000, 100_000)
BASE_KEYS = 10_000
ROUNDS, AUDITS = (
    25,
    3,
)  # audits come last: what they leave in memory makes starting a process slower
PUSHES = {1: 5, 100: 5, 10_000: 3, 100_000: 1}
FLAT = 1.2


class _Parts(NamedTuple):
    """Seconds of each part, by transaction size, one a round."""

    admission: dict[int, list[float]]
    audit: dict[int, list[float]]
    index_pack: dict[int, list[float]]
    push: dict[int, list[float]]


def run(work: Path) -> Outcome:
    with stage(work / "admission", verify="before-publish") as world:
        kv(
            world.person("bob"),
            "mset",
            "--file",
            str(batch(world.root / "batch.jsonl", pairs(BASE_KEYS, "base"))),
        )
        world.wait_for_mirror()
        parts = _Parts(*({size: [] for size in SIZES} for _ in _Parts._fields))
        _time_parts(world, parts)
        _time_pushes(world, parts)
    samples = {
        f"{name} {size}": times[size] for name, times in parts._asdict().items() for size in SIZES
    }
    return Outcome(_rows(parts), samples, _notes())


def _time_parts(world: Stage, parts: _Parts) -> None:
    """Real packs in real quarantines, judged in this process and then discarded: every round meets
    the same state.
    """
    with open_gate(world) as gate:
        built = {size: gate.build(dict(pairs(size, "new"))) for size in SIZES}
        gate.judge(built[1], audit=False)  # the first of all starts processes and reads the policy
        for at in range(ROUNDS + AUDITS):
            for size in SIZES if at % 2 else SIZES[::-1]:
                _add(parts, size, gate.judge(built[size], audit=at >= ROUNDS))
        Gate.close_all(built)


def _add(parts: _Parts, size: int, timed: Timed) -> None:
    if timed.audit_s is not None:
        parts.audit[size].append(timed.audit_s)
    else:
        parts.admission[size].append(timed.admission_s)
        parts.index_pack[size].append(timed.index_pack_s)


def _time_pushes(world: Stage, parts: _Parts) -> None:
    bob = world.person("bob")
    for at in range(max(PUSHES.values())):
        for size in SIZES:
            if at < PUSHES[size]:
                file = str(batch(world.root / "batch.jsonl", pairs(size, f"push{at}-{size}")))
                parts.push[size].append(
                    seconds_of(lambda at, file=file: kv(bob, "mset", "--file", file) and None, at)
                )  # type: ignore[misc]
                world.wait_for_mirror(timeout_s=120)


def _rows(parts: _Parts) -> list[Row]:
    rows = []
    one = median(parts.admission[1])
    for size in SIZES[1:]:
        rows.append(
            Row(
                f"admission of {size:,} keys vs 1 key",
                "flat within 1.2×",
                median(parts.admission[size]),
                one,
                FLAT,
            )
        )
    for size in SIZES:
        audit = median(parts.audit[size])
        rows.append(
            Row(f"admission vs deep audit, {size:,} keys", "", median(parts.admission[size]), audit)
        )
    for size in SIZES:
        rows.append(
            Row(
                f"git index-pack vs whole push, {size:,} keys",
                "",
                median(parts.index_pack[size]),
                median(parts.push[size]),
            )
        )
    for size in SIZES:
        rows.append(
            Row(
                f"admission vs whole push, {size:,} keys",
                "",
                median(parts.admission[size]),
                median(parts.push[size]),
            )
        )
    for size in SIZES:
        rows.append(
            Row(
                f"deep audit vs whole push, {size:,} keys",
                "",
                median(parts.audit[size]),
                median(parts.push[size]),
            )
        )
    return rows


def _notes() -> list[str]:
    return [
        f"On a store of {BASE_KEYS:,} keys, with `verify: before-publish`: admission is all that "
        "is decided before the answer; the deep "
        "audit runs after it, before anything reaches the mirror.",
        "Admission is `gateway.judge.judge_transaction` on a quarantined pack: signature, form, "
        "roots, order, prefixes. It does not count "
        "`git index-pack`, which unpacks and hashes every object and is linear by nature; that is "
        "shown beside it. All sizes start "
        "with cold processor caches, as a large pack leaves them.",
        "The whole push is `git kv mset` by the wall clock, with the client's own work.",
    ]
