"""The results file: one JSON object, a member for each bench, with machine, commit and time of its
run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import machine
from bench.measure import Outcome

Results = dict[str, Any]


def load(path: Path) -> Results:
    """What was found so far; empty before the first run."""
    return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]


def record(path: Path, name: str, outcome: Outcome, on: dict[str, str], seconds: float) -> None:
    """Replaces one bench's results; the others stay. `on`: the machine as it was when the bench
    began.
    """
    results = load(path)
    results[name] = {
        "commit": machine.commit(),
        "when": machine.now(),
        "took_s": round(seconds, 1),
        "machine": on,
        "rows": [
            {key: _rounded(value) for key, value in row.as_json().items()} for row in outcome.rows
        ],
        "samples_s": {
            case: [round(sample, 6) for sample in samples]
            for case, samples in outcome.samples.items()
        },
        "notes": outcome.notes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def spell(row: dict[str, Any]) -> str:
    """A row for the terminal."""
    peer = f" / {duration(row['peer'])}" if row["peer"] else ""
    ratio = f" = {times(row['ratio'])}" if row["ratio"] else ""
    return (
        f"{row['what']}: {duration(row['ours'])}{peer}{ratio}  (aim {row['aim'] or 'none'}: "
        f"{verdict(row)})"
    )


def verdict(row: dict[str, Any]) -> str:
    return {True: "yes", False: "no", None: "–"}[row["met"]]


def times(ratio: float) -> str:
    """A ratio with two digits at least."""
    return f"{ratio:.2f}×" if ratio >= 0.1 else f"{ratio:.2g}×"


def duration(seconds: float) -> str:
    """Three digits, in the unit that suits."""
    if seconds >= 1:
        return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"


def _rounded(value: object) -> object:
    return round(value, 7) if isinstance(value, float) else value
