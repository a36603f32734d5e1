"""How long a worker pauses after failures in a row."""

from __future__ import annotations

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 60.0


def backoff_s(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row; `jitter` in [0, 1) spreads several
    gateways.
    """
    limit: float = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 16))
    return limit * (0.5 + jitter / 2)
