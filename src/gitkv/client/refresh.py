"""How fresh the local replica must be before it answers, and whether to look again. Looking is left
to `follow.py`, loaded when needed.
"""

from __future__ import annotations

from gitkv.client.freshness import age_s, max_age_s
from gitkv.client.replica import Replica
from gitkv.errors import AccessError, BusyError, MachineError, UnavailableError, UsageError

MIRROR, STARGATE, LOCAL = "mirror", "stargate", "local"


def refresh(replica: Replica, read_from: str) -> None:
    """Brings the trusted tip as far as `read_from` says: "local" not at all, "stargate" always,
    "mirror" when older than kv.maxAge.

    When the mirror cannot be reached, warns how old the local state is. Raises IntegrityError for a
    rewound or forked history, UnavailableError when Stargate cannot be reached.
    """
    if read_from not in (MIRROR, STARGATE, LOCAL):
        raise UsageError(f"read_from: expected mirror, stargate or local, got {read_from[:60]!r}")
    if read_from == STARGATE:
        _refresh_from_stargate(replica)
    elif read_from == MIRROR and replica.remote:
        since_s = age_s(replica)
        if since_s is None or since_s >= max_age_s(replica):
            _refresh_from_mirror(replica, since_s)


def _refresh_from_stargate(replica: Replica) -> None:
    from gitkv.client.follow import follow
    from gitkv.client.trust.shown import stargate_of

    try:
        follow(replica, stargate_of(replica))
    except AccessError as error:
        from gitkv.client.log_in import with_reason  # only on the way out

        raise with_reason(replica, error) from None


def _refresh_from_mirror(replica: Replica, since_s: float | None) -> None:
    from gitkv.client.follow import follow
    from gitkv.client.trust.shown import mirror_of

    try:
        follow(replica, mirror_of(replica))
    except (UnavailableError, AccessError) as error:
        if replica.heads() is None:
            raise
        old = "of unknown age" if since_s is None else f"{_spell(since_s)} old"
        ours = isinstance(error, (BusyError, MachineError))
        why = "this clone cannot be brought up to date" if ours else "the mirror cannot be reached"
        if isinstance(error, AccessError):  # it answers, and not with a store
            why = "the mirror cannot be read"
        replica.host.warn(f"{why}, the answer is {old}: {error}")


def _spell(seconds: float) -> str:
    for unit, size_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{seconds:.0f} s"
