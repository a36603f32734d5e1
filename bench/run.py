"""`make bench`: runs the benches named on the command line, or all, and rewrites
bench/results/latest.json and docs/benchmarks.md.

    python bench/run.py [set] [admission] [mset] [million] [startup]

Everything is on loopback; every server is ended by its own process id.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "img" / "benchmarks.svg"
NAMES = ("startup", "set", "admission", "mset", "million")

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.pop(
    "PYTHONDONTWRITEBYTECODE", None
)  # without compiled modules every command would pay for compiling them


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench/run.py", description="measure git-kv against its peers"
    )
    parser.add_argument(
        "names", nargs="*", metavar="BENCH", help=f"{', '.join(NAMES)} (default: all)"
    )
    parser.add_argument(
        "--render",
        action="store_true",
        help="only draw page and plot from the results that are there",
    )
    args = parser.parse_args()
    unknown = set(args.names) - set(NAMES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    if not args.render:
        _measure(args.names or list(NAMES))
    _render()
    return 0


def _measure(names: list[str]) -> None:
    from bench import machine, results

    work = Path(tempfile.mkdtemp(prefix="git-kv-bench-"))
    try:
        for name in names:
            on, started = machine.describe(work), time.monotonic()
            print(f"{name} ...", flush=True)
            outcome = importlib.import_module(f"bench.bench_{name}").run(work)
            results.record(RESULTS, name, outcome, on, time.monotonic() - started)
            for row in outcome.rows:
                print("  " + results.spell(row.as_json()), flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _render() -> None:
    from bench import page, results

    found = results.load(RESULTS)
    plotted = _plot(found)
    PAGE.write_text(page.render(found, NAMES, PLOT.relative_to(PAGE.parent) if plotted else None))
    print(f"wrote {PAGE.relative_to(ROOT)}")


def _plot(found: dict[str, object]) -> bool:
    try:
        from bench import plot
    except ImportError:
        print("no matplotlib: the plot is not drawn again")
        return PLOT.exists()
    PLOT.parent.mkdir(exist_ok=True)
    plot.draw(found, NAMES, PLOT)
    return True


if __name__ == "__main__":
    sys.exit(main())
