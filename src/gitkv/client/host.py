"""What use cases need of the world besides the repository: a clock, randomness, sleep, and
someone to warn. Tests bring their own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple


def _now_s() -> int:
    return int(time.time())


def warn_in_python(text: str) -> None:
    """A warning as Python programs get them."""
    import warnings

    warnings.warn(text, stacklevel=3)


class Host(NamedTuple):
    """`env`: the environment children start from; `now_s`: seconds since 1970; `sleep` takes
    seconds.
    """

    env: Mapping[str, str]
    warn: Callable[[str], None] = warn_in_python
    now_s: Callable[[], int] = _now_s
    random_bytes: Callable[[int], bytes] = os.urandom
    sleep: Callable[[float], None] = time.sleep
    monotonic_s: Callable[[], float] = time.monotonic


def pauses(host: Host, attempts: int, first_s: float, longest_s: float) -> Iterator[None]:
    """Yields `attempts` times: at once, then after pauses that double from `first_s`, each cut to a
    random part of it.

    Writers that lost the same race come back at different times.
    """
    limit_s = first_s
    for attempt in range(attempts):
        if attempt:
            host.sleep(limit_s * (0.25 + 0.75 * host.random_bytes(1)[0] / 255))
            limit_s = min(limit_s * 2, longest_s)
        yield
