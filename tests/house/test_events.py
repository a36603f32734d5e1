"""The page of log lines says what the code reports: every event, and no field that it has not."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

from house.project import PACKAGE, ROOT, parsed, python_files

from gitkv.model.event import Event

PAGE = (ROOT / "docs" / "operate" / "log.md").read_text()
EVENTS = {kind.name: kind for kind in Event.__subclasses__()}
FIELDS = {name: [field.name.rstrip("_") for field in fields(kind)] for name, kind in EVENTS.items()}
WORD = re.compile(r"`([^`]+)`")


def _rows() -> list[tuple[list[str], str]]:
    """The events of each row of the tables, and what the row says of them."""
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    return [(WORD.findall(cells[0]), "|".join(cells[1:])) for cells in rows]


def test_every_event_is_told_and_every_row_is_of_events() -> None:
    listed = [name for names, _ in _rows() for name in names]
    assert len(listed) == len(set(listed)) > 30 and set(listed) <= set(EVENTS)
    assert [name for name in EVENTS if f"`{name}`" not in PAGE] == []


def test_a_row_names_only_fields_of_its_events() -> None:
    known = {field for names in FIELDS.values() for field in names}
    wrong = [
        f"{names[0]}: {word}"
        for names, said in _rows()
        for word in WORD.findall(said)
        if word in known and not any(word in FIELDS[name] for name in names)
    ]
    assert not wrong


def test_the_lines_shown_have_the_fields_of_their_events_in_order() -> None:
    [shown] = re.findall(r"```text\n(.*?)```", PAGE, re.S)
    for line in shown.splitlines():
        _, name, rest = line.split(" ", 2)
        told = re.findall(r"(?:^| )([a-z_]+)=", re.sub(r'"[^"]*"', "", rest))
        assert told == [field for field in FIELDS[name] if field in told] and told


def test_every_event_is_reported_somewhere() -> None:
    named = {
        node.id
        for path in python_files()
        if PACKAGE in path.parents and path.name != "event.py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert [kind.__name__ for kind in EVENTS.values() if kind.__name__ not in named] == []


def test_names_are_in_one_form() -> None:
    assert all(re.fullmatch(r"[a-z]+(?:\.[a-z-]+)?", name) for name in EVENTS)
