"""Timing and what comes of it: interleaved rounds, quantiles, and rows that say whether an aim was
met.

Speeds of a shared machine drift by tens of per cent within minutes, so only what ran in the same
rounds is ever compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Case = Callable[
    [int], "float | None"
]  # does round N; its own measurement in seconds, or None for the wall clock's


class Row(NamedTuple):
    """One line of the report, in seconds; `limit` bounds the ratio, `bound_s` how much longer ours
    may take than the peer (or nothing).
    """

    what: str
    aim: str
    ours: float
    peer: float | None = None
    limit: float | None = None
    bound_s: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """None for a row without an aim."""
        if self.limit is not None and self.ratio is not None:
            return self.ratio <= self.limit
        if self.bound_s is not None:
            return self.ours - (self.peer or 0.0) <= self.bound_s
        return None

    def as_json(self) -> dict[str, object]:
        return {**self._asdict(), "ratio": self.ratio, "met": self.met}


class Outcome(NamedTuple):
    """What one bench found: its rows, its raw times in seconds by case, and remarks."""

    rows: list[Row]
    samples: dict[str, list[float]]
    notes: list[str]


def interleave(
    cases: Mapping[str, Case], rounds: int, *, warmups: int = 1
) -> dict[str, list[float]]:
    """Seconds of each case, one a round; every other round runs them in reverse, so no case always
    profits from its neighbour.
    """
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for at in range(-warmups, rounds):
        names = list(cases) if at % 2 == 0 else list(cases)[::-1]
        for name in names:
            seconds = seconds_of(cases[name], at + warmups)
            if at >= 0:
                samples[name].append(seconds)
    return samples


def seconds_of(case: Case, at: int) -> float:
    started = time.perf_counter()
    own = case(at)
    return time.perf_counter() - started if own is None else own


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def p95(samples: Sequence[float]) -> float:
    """The smallest sample that at least 95 % of them do not exceed."""
    return sorted(samples)[max(0, -(-95 * len(samples) // 100) - 1)]
