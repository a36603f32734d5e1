"""docs/benchmarks.md, drawn from the results alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.results import Results, duration, times, verdict

_HEAD = """\
# Benchmarks

Written by `make bench` (`bench/run.py`); do not edit. Raw times: `bench/results/latest.json`.

Every number stands beside a peer that did the same work in the same run: the
cases take turns, so that a shared machine's moods hit both, and medians are compared (p95 where it
says so). What misses its aim stays in the table.
"""
_MOODS = {
    "fsync": "an fsync of a small file",
    "load": "load average when the bench began (its own neighbours count, too)",
}
_TITLES = {
    "startup": "Start-up of commands",
    "set": "One key through Stargate",
    "admission": "Admission of a transaction",
    "mset": "One large transaction",
    "million": "A million keys",
}


def render(results: Results, names: Sequence[str], plot: Path | None) -> str:
    parts = [_HEAD]
    if plot is not None:
        parts.append(
            "![Ratios with their aims, and the cost of a transaction by its "
            f"size]({plot.as_posix()})\n"
        )
    for name in names:
        if name in results:
            parts.append(_section(_TITLES[name], name, results[name]))
    parts.append(_machines(results, names))
    return "\n".join(parts)


def _section(title: str, name: str, found: dict[str, Any]) -> str:
    lines = [
        f"## {title}",
        f"`bench/run.py {name}`, commit {found['commit']}, {found['when']}, took "
        f"{found['took_s']:.0f} s.",
        "",
    ]
    lines += ["| what | aim | git-kv | peer | ratio | met |", "|---|---|---:|---:|---:|---|"]
    lines += [_line(row) for row in found["rows"]]
    lines += ["", *(f"- {note}" for note in [*found["notes"], *_row_notes(found["rows"])]), ""]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    peer = duration(row["peer"]) if row["peer"] else "–"
    ratio = times(row["ratio"]) if row["ratio"] else "–"
    return (
        f"| {row['what']} | {row['aim'] or '–'} | {duration(row['ours'])} | {peer} | {ratio} | "
        f"{verdict(row)} |"
    )


def _row_notes(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['what']}: {row['note']}" for row in rows if row["note"]]


def _machines(results: Results, names: Sequence[str]) -> str:
    """The machine of each run; usually one for all."""
    lines = ["## The machine"]
    seen: dict[str, list[str]] = {}
    for name in names:
        if name in results:
            said = ", ".join(
                f"{what} {value}"
                for what, value in results[name]["machine"].items()
                if what not in _MOODS
            )
            seen.setdefault(said, []).append(name)
    for said, of in seen.items():
        lines.append(f"- {', '.join(of)}: {said}")
    for mood, title in _MOODS.items():
        said = ", ".join(
            f"{name} {results[name]['machine'].get(mood, '?')}" for name in names if name in results
        )
        lines.append(f"- {title}: {said}")
    return "\n".join(lines) + "\n"
