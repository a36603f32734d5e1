"""The plot of docs/benchmarks.md: every ratio that has an aim, and what a transaction costs by its
number of keys.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "git-kv"  # the same picture has the same bytes
matplotlib.rcParams["svg.fonttype"] = "none"

import matplotlib.pyplot as plt  # noqa: E402 - the backend is chosen first

from bench.results import times  # noqa: E402

_MET, _MISSED = "#2a7f62", "#c0562f"
_LINES = {
    "push": "whole push",
    "audit": "deep audit",
    "index_pack": "git index-pack",
    "admission": "admission",
}
_COLOURS = ("#7d8aa5", "#c0562f", "#b08d2e", "#2a7f62")


def draw(results: dict[str, Any], names: Sequence[str], path: Path) -> None:
    rows = [
        row
        for name in names
        if name in results
        for row in results[name]["rows"]
        if row["limit"] is not None
    ]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 0.3 * len(rows) + 1.4), width_ratios=(3, 2)
    )
    _draw_ratios(left, rows)
    _draw_growth(right, results.get("admission", {}).get("samples_s", {}))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _draw_ratios(axes: Any, rows: list[dict[str, Any]]) -> None:
    places = list(range(len(rows), 0, -1))
    ratios = [row["ratio"] for row in rows]
    axes.barh(places, ratios, color=[_MET if row["met"] else _MISSED for row in rows], height=0.62)
    for place, row in zip(places, rows, strict=True):
        axes.plot([row["limit"]] * 2, [place - 0.42, place + 0.42], color="black", linewidth=1.6)
        axes.text(
            max(row["ratio"], row["limit"]) + 0.03,
            place,
            times(row["ratio"]),
            va="center",
            fontsize=8,
        )
    axes.set_yticks(places, [row["what"] for row in rows], fontsize=8)
    axes.set_xlim(0, max([*ratios, 1.2]) * 1.15)
    axes.set_title("time of git-kv / time of the peer (black: the aim)", fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_growth(axes: Any, samples: dict[str, list[float]]) -> None:
    for (part, title), colour in zip(_LINES.items(), _COLOURS, strict=True):
        points = sorted(
            (int(name.rpartition(" ")[2]), statistics.median(of))
            for name, of in samples.items()
            if name.startswith(part + " ")
        )
        if points:
            axes.plot(
                [keys for keys, _ in points],
                [seconds * 1000 for _, seconds in points],
                marker="o",
                color=colour,
                label=title,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("keys in the transaction", fontsize=8)
    axes.set_title("milliseconds by transaction size, before-publish", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(True, which="major", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(fontsize=8, frameon=False)
