"""Who may wait to log in, and who may stay: rules over counts. Sockets, clocks and dice are the
caller's.

A stranger is bounded by where they come from, a principal by who they are. Whoever has to make room
is chosen so that a crowd pays for itself: the most crowded address, the principal with the most
connections, and among those whoever has done least.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from gitkv.model.configuration import DEFAULTS, ConnectionLimits, LoginLimits

EARLY_DROP_FIRST = 0.3  # as sshd's MaxStartups begins
KNOWN_MAX = 4096  # addresses that somebody logged in from
IDLE_SETTLED_S = 10.0  # younger idleness is a client about to send its command

SILENT, SPEAKING, ENCRYPTED = 0, 1, 2  # how far a waiting connection has come

T = TypeVar("T", bound=Hashable)


class Ruling(NamedTuple, Generic[T]):
    """Whether a newcomer may come in, and who has to go for it."""

    admitted: bool
    leaves: T | None = None


def source_of(address: str) -> str:
    """What counts as one sender: an IPv4 address, the first 64 bits of an IPv6 address; anything
    else is one sender of its own.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def early_drop(waiting: int, limits: LoginLimits = DEFAULTS.logins) -> float:
    """The probability that a newcomer is dropped while so many wait: 0 below `waiting_early`, then
    from 0.3 evenly up to 1.
    """
    if waiting < limits.waiting_early:
        return 0.0
    share = (waiting - limits.waiting_early) / max(1, limits.waiting_max - limits.waiting_early)
    return min(1.0, EARLY_DROP_FIRST + (1.0 - EARLY_DROP_FIRST) * share)


class Waiting(Generic[T]):
    """Connections that have not logged in. `chance` gives numbers in [0, 1)."""

    def __init__(self, chance: Callable[[], float], limits: LoginLimits = DEFAULTS.logins) -> None:
        self._chance, self._limits = chance, limits
        self._waiting: dict[T, str] = {}  # to its source
        self._stages: dict[T, int] = {}
        self._counts: Counter[str] = Counter()
        self._known: dict[str, None] = {}  # the longest unseen first

    def __len__(self) -> int:
        return len(self._waiting)

    def arrive(self, one: T, source: str) -> Ruling[T]:
        """A newcomer from `source` (see `source_of`)."""
        leaves: T | None = None
        if self._counts[source] >= self._limits.waiting_of_one_max:
            leaves = self._give_way(
                [other for other in self._waiting if self._is_of(other, source)]
            )
        elif len(self._waiting) >= self._limits.waiting_max:
            leaves = self._make_room(source)
        elif self._is_dropped_early(source):
            return Ruling(False)
        else:
            self._add(one, source)
            return Ruling(True)
        if leaves is None:
            return Ruling(False)
        self.leave(leaves)
        self._add(one, source)
        return Ruling(True, leaves)

    def advance(self, one: T, stage: int) -> None:
        """The connection has come as far as `stage`."""
        if one in self._stages:
            self._stages[one] = max(self._stages[one], stage)

    def leave(self, one: T) -> None:
        """Harmless for one that does not wait."""
        source = self._waiting.pop(one, None)
        self._stages.pop(one, None)
        if source is not None:
            self._counts[source] -= 1
            if not self._counts[source]:
                del self._counts[source]

    def log_in(self, one: T) -> None:
        """It waits no longer, and where it comes from is remembered: strangers give way to it."""
        source = self._waiting.get(one)
        self.leave(one)
        if source is not None:
            self._known.pop(source, None)
            self._known[source] = None
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]

    def _add(self, one: T, source: str) -> None:
        self._waiting[one] = source
        self._stages[one] = SILENT
        self._counts[source] += 1

    def _is_of(self, one: T, source: str) -> bool:
        return self._waiting[one] == source

    def _is_dropped_early(self, source: str) -> bool:
        return (
            self._counts[source] > 0
            and source not in self._known
            and self._chance() < early_drop(len(self._waiting), self._limits)
        )

    def _make_room(self, source: str) -> T | None:
        """Who goes when all places are taken: somebody of the most crowded source. None: nobody
        goes for this newcomer.
        """
        most = max(self._counts.values())
        crowd = [one for one, of in self._waiting.items() if self._counts[of] == most]
        if most > self._counts[source] + 1:
            return self._least(crowd)
        strangers = [one for one in crowd if self._waiting[one] not in self._known]
        if source not in self._known:
            return self._give_way(strangers) if strangers else None
        return self._least(strangers) if strangers else self._give_way(crowd)

    def _give_way(self, crowd: list[T]) -> T | None:
        """A newcomer that is no better than the crowd: whoever says nothing always goes for it,
        whoever is about to log in every other time.
        """
        one = self._least(crowd)
        return one if self._stages[one] == SILENT or self._chance() < 0.5 else None

    def _least(self, crowd: list[T]) -> T:
        """One of those that have come least far, by chance: nobody can arrange to be the last."""
        lowest = min(self._stages[one] for one in crowd)
        least = [one for one in crowd if self._stages[one] == lowest]
        return least[int(self._chance() * len(least))]


class _Member:
    """A logged-in connection: whose it is, how many commands it runs, since when it runs none."""

    def __init__(self, principal: str, is_admin: bool, now_s: float) -> None:
        self.principal, self.is_admin = principal, is_admin
        self.commands, self.idle_since_s = 0, now_s


class LoggedIn(Generic[T]):
    """Connections that have logged in. `now` is a monotonic clock in seconds."""

    def __init__(
        self, now: Callable[[], float], limits: ConnectionLimits = DEFAULTS.connections
    ) -> None:
        self._now, self._limits = now, limits
        self._members: dict[T, _Member] = {}  # the oldest first

    def enter(self, one: T, principal: str, *, is_admin: bool) -> Ruling[T]:
        """Whether there is room for one more of this principal's, perhaps when an idle one goes."""
        newcomer = _Member(principal, is_admin, self._now())
        leaves: T | None = None
        limits = self._limits
        if self._count(principal) >= limits.of_one_max:
            leaves = self._longest_idle(self._of(principal), IDLE_SETTLED_S)
            if leaves is None:
                return Ruling(False)
        elif len(self._members) >= limits.all_max - (0 if is_admin else limits.kept_for_admins):
            leaves = self._make_room(newcomer)
            if leaves is None:
                return Ruling(False)
        if leaves is not None:
            self.leave(leaves)
        self._members[one] = newcomer
        return Ruling(True, leaves)

    def begin(self, one: T) -> None:
        """It runs a command more."""
        if one in self._members:
            self._members[one].commands += 1

    def end(self, one: T) -> None:
        """It runs a command less."""
        if one in self._members:
            self._members[one].commands -= 1
            self._members[one].idle_since_s = self._now()

    def leave(self, one: T) -> None:
        """Harmless for one that is not here."""
        self._members.pop(one, None)

    def overdue(self) -> list[T]:
        """Those that have run no command for too long."""
        limit = self._now() - self._limits.idle_s
        return [
            one
            for one, member in self._members.items()
            if not member.commands and member.idle_since_s <= limit
        ]

    def _of(self, principal: str) -> list[T]:
        return [one for one, member in self._members.items() if member.principal == principal]

    def _count(self, principal: str) -> int:
        return len(self._of(principal))

    def _make_room(self, newcomer: _Member) -> T | None:
        """The longest idle connection of whoever has most of them, as long as that is more than the
        newcomer's principal has; for an admin, of any who is none.
        """
        counts = Counter(member.principal for member in self._members.values())
        own = counts[newcomer.principal]
        for principal, count in counts.most_common():
            crowd = self._of(principal)
            is_less = newcomer.is_admin and not any(self._members[one].is_admin for one in crowd)
            if count > own + 1 or (is_less and principal != newcomer.principal):
                leaves = self._longest_idle(crowd, 0.0)
                if leaves is not None:
                    return leaves
        return None

    def _longest_idle(self, crowd: Iterable[T], settled_s: float) -> T | None:
        limit = self._now() - settled_s
        idle = [
            (self._members[one].idle_since_s, number, one)
            for number, one in enumerate(crowd)
            if not self._members[one].commands and self._members[one].idle_since_s <= limit
        ]
        return min(idle)[2] if idle else None
