"""When a remote was last looked at, and how long that may be ago: the time of an empty file, and
`kv.maxAge`.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from gitkv.client.replica import Replica
from gitkv.errors import UsageError

_AGE_DEFAULT_S = 5
_AGE = re.compile(r"([0-9]{1,9})(s|m|h|d)?")
_UNIT_S = {None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def max_age_s(replica: Replica) -> int:
    """kv.maxAge in seconds: a number, or one with s, m, h or d. Raises UsageError for another
    spelling.
    """
    text = replica.config.get("kv.maxage", str(_AGE_DEFAULT_S))
    found = _AGE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"kv.maxAge: expected seconds, or a number with s, m, h or d, got {text[:60]!r}",
            hint="git config kv.maxAge 5s",
        )
    return int(found[1]) * _UNIT_S[found[2]]


def age_s(replica: Replica) -> float | None:
    """Seconds since the last look at a remote, None when there was none."""
    try:
        looked_at = os.stat(_stamp_path(replica)).st_mtime
    except FileNotFoundError:
        return None
    seconds = replica.host.now_s() - looked_at
    return seconds if seconds >= 0 else None  # from the future: the clock was set back


def mark_fresh(replica: Replica) -> None:
    """Remembers that a remote was looked at now. Where that cannot be written, the next read looks
    again.
    """
    path = _stamp_path(replica)
    with suppress(OSError):
        os.makedirs(replica.directory, exist_ok=True)
        with open(path, "ab"):
            os.utime(path, times=(replica.host.now_s(), replica.host.now_s()))


def forget_freshness(replica: Replica) -> None:
    """Has the next read look at a remote, whatever kv.maxAge says."""
    with suppress(OSError):
        os.unlink(_stamp_path(replica))


def _stamp_path(replica: Replica) -> str:
    return os.path.join(replica.directory, f"refreshed-{replica.ns}")
