"""What an operator may set of a Stargate: times, limits and intervals, as one value with the usual
ones as defaults. It is made and proved once, when the daemon starts, and handed down: each part of
the program gets the section that it needs.

A section is a table of `stargate.toml`, a field a key of it. The last word of a name is its unit:
`_s` seconds, `_bytes` bytes, otherwise a count. Not here: what the policy says, and the bounds of
protocols and formats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

from gitkv.errors import UsageError

_DAY_S = 86_400
_PROBLEMS_SHOWN = 20


class Range(NamedTuple):
    """What a field may be; both ends count."""

    least: float
    most: float


class RetryPauses(NamedTuple):
    """`[retry]`: what fails in the background is left alone twice as long each time."""

    first_s: Annotated[float, Range(0.01, 60)] = 0.5
    longest_s: Annotated[float, Range(1, 3600)] = 60.0


class MirrorTiming(NamedTuple):
    """`[mirror]`: the least time between two pushes (for a folder of this machine, and for a host;
    `interval_s` for either), how long a push (to which its size adds) and a look may take, how
    often it is looked at; what of large values travels in one push at most.
    """

    interval_s: Annotated[float | None, Range(0, 3600)] = None
    interval_local_s: Annotated[float, Range(0, 3600)] = 0.05
    # GitHub asks for at most six pushes a minute to one repository
    interval_remote_s: Annotated[float, Range(0, 3600)] = 10.0
    push_timeout_s: Annotated[float, Range(1, _DAY_S)] = 600.0
    look_timeout_s: Annotated[float, Range(1, 600)] = 15.0  # the start waits for a silent mirror
    look_every_s: Annotated[float, Range(1, _DAY_S)] = 180.0
    # GitHub takes 2 GB in one push
    push_bytes: Annotated[int, Range(16 << 10, 1 << 40)] = 1 << 30

    def interval_for_s(self, url: str) -> float:
        """The least time between two pushes to the mirror at `url`, in seconds."""
        if self.interval_s is not None:
            return self.interval_s
        is_local = url.startswith(("/", "file://"))
        return self.interval_local_s if is_local else self.interval_remote_s


class Upkeep(NamedTuple):
    """`[upkeep]`: packs are counted so often, and rolled up when there are more than so many."""

    every_s: Annotated[float, Range(0.1, 3600)] = 5.0
    packs_max: Annotated[int, Range(4, 10_000)] = 48


class ShutdownTiming(NamedTuple):
    """`[shutdown]`: what ends when, after the signal: pushes under way, then every git, then the
    process. `fatal_`: after an error of ours; `hurry_s`: every git, after a second signal.
    """

    drain_s: Annotated[float, Range(0, 3600)] = 20.0
    children_s: Annotated[float, Range(0.1, 3600)] = 25.0
    process_s: Annotated[float, Range(0.2, 3600)] = 29.0
    fatal_children_s: Annotated[float, Range(0.1, 60)] = 3.0
    fatal_process_s: Annotated[float, Range(0.2, 120)] = 6.0
    hurry_s: Annotated[float, Range(0.1, 60)] = 1.0


class LoginLimits(NamedTuple):
    """`[logins]`: connections that have not logged in: of all, of one sender; from `waiting_early`
    on newcomers are dropped at random, ever more.
    """

    timeout_s: Annotated[float, Range(1, 600)] = 20.0
    waiting_max: Annotated[int, Range(1, 100_000)] = 128
    waiting_early: Annotated[int, Range(1, 100_000)] = 64
    waiting_of_one_max: Annotated[int, Range(1, 100_000)] = 32


class ConnectionLimits(NamedTuple):
    """`[connections]`: those that have logged in: of all, of these kept for admins, of one
    principal; how long one may run no command.
    """

    all_max: Annotated[int, Range(2, 100_000)] = 128
    kept_for_admins: Annotated[int, Range(1, 1000)] = 8
    of_one_max: Annotated[int, Range(1, 100_000)] = 32
    idle_s: Annotated[float, Range(1, _DAY_S)] = 120.0


class SessionLimits(NamedTuple):
    """`[sessions]`: pushes and fetches at a time: of all, of one principal, and how many more of
    admins.
    """

    all_max: Annotated[int, Range(1, 2000)] = 96
    of_one_max: Annotated[int, Range(1, 2000)] = 16
    more_for_admins: Annotated[int, Range(1, 100)] = 16

    @property
    def most(self) -> int:
        """How many there ever are."""
        return self.all_max + self.more_for_admins


class PushBounds(NamedTuple):
    """`[push]`: the longest silence; the time from a writer's turn to its push, and for the list of
    commands; how long a pack may come more slowly than `least_bytes` a second; the time for
    judging, to which its size adds; the room of all pushes under way together, and of those of one
    principal.
    """

    idle_s: Annotated[float, Range(1, 3600)] = 60.0
    turn_s: Annotated[float, Range(0.1, 600)] = 5.0
    # For the whole list: whoever sends a byte now and then shall not hold a connection for ever
    commands_s: Annotated[float, Range(1, 3600)] = 300.0
    slow_s: Annotated[float, Range(1, _DAY_S)] = 120.0
    least_bytes: Annotated[int, Range(1, 1 << 30)] = 16 << 10
    judging_s: Annotated[float, Range(1, 3600)] = 120.0
    # One push of a default policy takes at most about 1.5 GiB
    room_bytes: Annotated[int, Range(64 << 20, 1 << 50)] = 8 << 30
    room_of_one_bytes: Annotated[int, Range(64 << 20, 1 << 50)] = 3 << 30


class FetchBounds(NamedTuple):
    """`[fetch]`: the longest silence, and how long it may go more slowly than `least_bytes` a
    second: whoever takes a byte now and then holds a git.
    """

    idle_s: Annotated[int, Range(1, 3600)] = 300
    slow_s: Annotated[float, Range(1, _DAY_S)] = 3600.0
    least_bytes: Annotated[int, Range(1, 1 << 30)] = 16 << 10


class Configuration(NamedTuple):
    """All sections."""

    retry: RetryPauses = RetryPauses()
    mirror: MirrorTiming = MirrorTiming()
    upkeep: Upkeep = Upkeep()
    shutdown: ShutdownTiming = ShutdownTiming()
    logins: LoginLimits = LoginLimits()
    connections: ConnectionLimits = ConnectionLimits()
    sessions: SessionLimits = SessionLimits()
    push: PushBounds = PushBounds()
    fetch: FetchBounds = FetchBounds()


DEFAULTS = Configuration()

# The first must not be more than the second
_ORDERED = (
    ("retry.first_s", "retry.longest_s"),
    ("shutdown.drain_s", "shutdown.children_s"),
    ("shutdown.children_s", "shutdown.process_s"),
    ("shutdown.fatal_children_s", "shutdown.fatal_process_s"),
    ("logins.waiting_early", "logins.waiting_max"),
    ("logins.waiting_of_one_max", "logins.waiting_max"),
    ("connections.kept_for_admins", "connections.all_max"),
    ("connections.of_one_max", "connections.all_max"),
    ("sessions.of_one_max", "sessions.all_max"),
    ("push.room_of_one_bytes", "push.room_bytes"),
)


def parse_configuration(tables: Mapping[str, object], where: str = "") -> Configuration:
    """The configuration that these tables of values say, as a TOML reader gives them; what they
    leave out is usual. Raises UsageError with every problem, a line each: the key, what was
    expected, what is there. `where`: the file's name, for these lines.
    """
    problems: list[str] = []
    sections: dict[str, Any] = {}
    for name, table in tables.items():
        if name not in Configuration._fields:
            problems.append(f"[{name}]: expected one of {', '.join(Configuration._fields)}")
        elif not isinstance(table, Mapping):
            problems.append(f"{name}: expected a table, [{name}], got {table!r}")
        else:
            usual = getattr(DEFAULTS, name)
            sections[name] = usual._replace(**_read_section(name, usual, table, problems))
    found = Configuration(**sections)
    problems += [] if problems else _disorder(found)
    if problems:
        start = f"{where}: " if where else ""
        raise UsageError("\n".join(start + line for line in problems[:_PROBLEMS_SHOWN]))
    return found


def fields() -> Iterator[tuple[str, object, Range]]:
    """Every key as `section.name`, its usual value and what it may be, for the documents."""
    for section, usual in DEFAULTS._asdict().items():
        for name, hint in get_type_hints(type(usual), include_extras=True).items():
            yield f"{section}.{name}", getattr(usual, name), get_args(hint)[1]


def _read_section(
    section: str, usual: Any, table: Mapping[str, object], problems: list[str]
) -> dict[str, object]:
    hints = get_type_hints(type(usual), include_extras=True)
    good: dict[str, object] = {}
    for name, value in table.items():
        if name not in hints:
            problems.append(f"{section}.{name}: expected one of {', '.join(hints)}")
            continue
        kind, bounds = get_args(hints[name])
        if _is_within(value, kind, bounds):
            good[name] = value
        else:
            expected = f"{_what(name, kind)} from {bounds.least:g} to {bounds.most:.15g}"
            problems.append(f"{section}.{name}: expected {expected}, got {value!r}")
    return good


def _is_within(value: object, kind: object, bounds: Range) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return False
    return math.isfinite(value) and bounds.least <= value <= bounds.most


def _what(name: str, kind: object) -> str:
    unit = {"s": " of seconds", "bytes": " of bytes"}.get(name.rpartition("_")[2], "")
    return f"{'a whole number' if kind is int else 'a number'}{unit}"


def _disorder(found: Configuration) -> Iterable[str]:
    for less, more in _ORDERED:
        low, high = _value(found, less), _value(found, more)
        if low > high:
            yield f"{less}: expected at most {more}, which is {high:g}, got {low:g}"


def _value(found: Configuration, key: str) -> float:
    section, _, name = key.partition(".")
    value: float = getattr(getattr(found, section), name)
    return value
