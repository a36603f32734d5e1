"""Times to live as people write them: a number and a unit."""

from __future__ import annotations

import re

TTL_S_MAX = (
    36525 * 86400
)  # a hundred years: every sum with the present stays within spec/format 4.3
DURATION_FORM = "a number and a unit, like 90s, 45m, 12h, 30d or 2w"

_DURATION = re.compile(r"([0-9]{1,10})(s|m|h|d|w)")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str) -> int:
    """Seconds of `90s`, `45m`, `12h`, `30d` or `2w`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {DURATION_FORM}, got {text[:60]!r}")
    return int(match[1]) * _UNITS_S[match[2]]
