"""Moments as people write them: a date, or a date and time of RFC 3339. A calendar, not a clock."""

from __future__ import annotations

import re

MOMENT_MAX_S = 253402300799  # 9999-12-31T23:59:59Z
FORMS = (
    "a date such as 2027-01-31 (its first second, UTC) or a time with its zone such as "
    "2027-01-31T12:00:00Z"
)

_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,9})?)?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2})))?"
)


def parse_moment(text: str) -> int | None:
    """Seconds since 1970-01-01T00:00:00Z; None for what is no moment of the years 1970 to 9999.

    A date is its first second in UTC. A time names its zone, `Z` or `±hh:mm`; its seconds may be
    left out, and a fraction of one is cut off.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    from datetime import date

    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    zone_hour, zone_minute = int(match[8] or 0), int(match[9] or 0)
    if max(hour, zone_hour) > 23 or max(minute, second, zone_minute) > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    ahead_s = (zone_hour * 3600 + zone_minute * 60) * (-1 if match[7] == "-" else 1)
    seconds = days * 86400 + hour * 3600 + minute * 60 + second - ahead_s
    return seconds if 1 <= seconds <= MOMENT_MAX_S else None
