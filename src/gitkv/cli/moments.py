"""Times as a person reads them in lists: UTC to the second, and how long something still lives."""

from __future__ import annotations

from time import gmtime, strftime

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def utc(seconds: int) -> str:
    """Seconds since 1970 as a date and time in UTC."""
    return strftime("%Y-%m-%d %H:%M:%SZ", gmtime(seconds))


def remaining(expires: int, now_s: int) -> str:
    """`29d`, `5h`, `12m`, `3s`: rounded down; `expired`; `-` for a key that does not expire
    (`expires` is 0).
    """
    if expires <= now_s:
        return "expired" if expires else "-"
    left_s = expires - now_s
    unit, size_s = next((unit for unit in _UNITS if left_s >= unit[1]), _UNITS[-1])
    return f"{left_s // size_s}{unit}"
