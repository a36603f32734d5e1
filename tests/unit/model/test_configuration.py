"""What an operator may set: every key has a usual value within its bounds, and what is wrong is
named by its key.
"""

from __future__ import annotations

import math
import tomllib

import pytest

from gitkv.errors import UsageError
from gitkv.model.configuration import DEFAULTS, Range, fields, parse_configuration

KEYS = list(fields())


def _problems(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_configuration(tomllib.loads(text))
    return str(caught.value).split("\n")


def _set(key: str, value: object) -> float:
    section, name = key.split(".")
    found = parse_configuration({section: {name: value}})
    result: float = getattr(getattr(found, section), name)
    return result


def test_nothing_said_is_the_usual_configuration() -> None:
    assert parse_configuration({}) == DEFAULTS
    assert parse_configuration(tomllib.loads("[mirror]\n[push]\n")) == DEFAULTS


def test_a_file_sets_what_it_names_and_leaves_the_rest() -> None:
    text = "[mirror]\ninterval_s = 30\nlook_every_s = 60.5\n[sessions]\nall_max = 200\n"
    found = parse_configuration(tomllib.loads(text))
    assert found.mirror.interval_for_s("https://forge.example/x.git") == 30
    assert (found.mirror.look_every_s, found.sessions.all_max) == (60.5, 200)
    assert found._replace(mirror=DEFAULTS.mirror, sessions=DEFAULTS.sessions) == DEFAULTS


@pytest.mark.parametrize(("key", "usual", "bounds"), KEYS, ids=[key for key, _, _ in KEYS])
def test_every_key_has_a_unit_and_bounds_and_a_usual_value_within(
    key: str, usual: float | None, bounds: Range
) -> None:
    assert bounds.least < bounds.most
    if usual is not None:
        assert bounds.least <= usual <= bounds.most and _set(key, usual) == usual
        is_measured = key.rpartition("_")[2] in ("s", "bytes")
        assert is_measured or isinstance(usual, int), "a count is a whole number"


@pytest.mark.parametrize(("key", "usual", "bounds"), KEYS, ids=[key for key, _, _ in KEYS])
def test_what_is_beyond_the_bounds_or_of_another_kind_is_named_by_its_key(
    key: str, usual: object, bounds: Range
) -> None:
    beyond = (bounds.least - 1, bounds.most + 1)
    others = (True, "10", "10s", [], {}, None, math.nan, math.inf, -math.inf)
    for value in (*beyond, *others, *([1.5] if isinstance(usual, int) else [])):
        with pytest.raises(UsageError) as caught:
            _set(key, value)
        [line] = str(caught.value).split("\n")
        assert line.startswith(f"{key}: expected a") and line.endswith(f"got {value!r}"), line


def test_unknown_sections_and_keys_are_named_with_those_there_are() -> None:
    [section, key, table] = _problems("mirror2.x = 1\nmirror.pushtimeout_s = 1\nretry = 5\n")
    assert section.startswith("[mirror2]: expected one of retry, mirror,")
    assert key.startswith("mirror.pushtimeout_s: expected one of interval_s,")
    assert table == "retry: expected a table, [retry], got 5"


def test_every_problem_is_told_at_once_with_the_files_name() -> None:
    tables = {"retry": {"first_s": -1, "longest_s": "x"}, "push": {"idle_s": 0}}
    with pytest.raises(UsageError) as caught:
        parse_configuration(tables, "stargate.toml")
    lines = str(caught.value).split("\n")
    assert len(lines) == 3 and all(line.startswith("stargate.toml: ") for line in lines)
    many = {"push": {f"x{number}": 1 for number in range(50)}}
    with pytest.raises(UsageError) as caught:
        parse_configuration(many)
    assert len(str(caught.value).split("\n")) == 20


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("retry.first_s = 50\nretry.longest_s = 10\n", "retry.first_s: expected at most retry."),
        ("shutdown.drain_s = 26\n", "shutdown.drain_s: expected at most shutdown.children_s"),
        ("shutdown.process_s = 24\n", "shutdown.children_s: expected at most shutdown.process_s"),
        ("shutdown.fatal_process_s = 1\n", "shutdown.fatal_children_s: expected at most"),
        ("logins.waiting_max = 40\n", "logins.waiting_early: expected at most logins.waiting_max"),
        ("connections.all_max = 20\n", "connections.of_one_max: expected at most connections.all"),
        ("sessions.all_max = 8\n", "sessions.of_one_max: expected at most sessions.all_max"),
        ("push.room_bytes = 1073741824\n", "push.room_of_one_bytes: expected at most push.room"),
    ],
)
def test_what_contradicts_another_key_is_told_with_both(text: str, told: str) -> None:
    assert _problems(text)[0].startswith(told)


@pytest.mark.parametrize(
    ("url", "expected_s"),
    [("/srv/m.git", 0.05), ("file:///srv/m.git", 0.05), ("git@h:m.git", 10), ("https://h/m", 10)],
)
def test_the_interval_suits_the_kind_of_mirror(url: str, expected_s: float) -> None:
    assert DEFAULTS.mirror.interval_for_s(url) == expected_s
