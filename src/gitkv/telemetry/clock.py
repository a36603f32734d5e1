"""The system's clock as a port."""

from __future__ import annotations

import time


class SystemClock:
    """ports.Clock on the operating system's real time."""

    def now_s(self) -> int:
        """Seconds since 1970."""
        return int(time.time())
