"""The project is at home on any machine: it names no machine's paths and no registry's address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from house.project import ROOT, place, text_files

# Written in pieces so that this file does not name what it forbids.
_MACHINE = re.compile(
    "(?<![A-Za-z0-9_.~*$}-])/(?:"
    + "|".join(["wo" + "rk", "ro" + "ot", "tm" + "p/w", "ho" + "me/[a-z]", "opt/" + "wheels"])
    + r")\b"
)
_REGISTRY = re.compile(
    "|".join(
        [
            r"pypi\." + "org",
            "files" + r"\.pythonhosted",
            "--(?:extra-)?index" + "-url",
            "--trusted" + "-host",
            "--find" + "-links",
        ]
    )
)


def test_no_file_names_a_path_of_one_machine() -> None:
    assert not [place(path, number) for path, number, line in _lines() if _MACHINE.search(line)]


def test_no_file_names_a_registry() -> None:
    assert not [place(path, number) for path, number, line in _lines() if _REGISTRY.search(line)]


def test_versions_are_pinned_by_number_alone() -> None:
    pins = [
        line
        for line in (ROOT / "constraints.txt").read_text().split("\n")
        if line and not line.startswith("#")
    ]
    assert pins
    assert not [
        line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+", line)
    ]


def _lines() -> Iterator[tuple[Path, int, str]]:
    for path, text in text_files():
        for number, line in enumerate(text.split("\n"), 1):
            yield path, number, line
