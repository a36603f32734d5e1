"""A disk that fails, for code under test in this process: the calls that reach the operating system
are counted from a moment on, and one of them fails.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from typing import Any

import pytest

_CALLS = (
    "open",
    "close",
    "write",
    "fsync",
    "rename",
    "unlink",
    "rmdir",
    "mkdir",
    "stat",
    "fstat",
    "scandir",
    "listdir",
)


class FailingDisk:
    """`begins` tells from a call (its name and first argument) whether the calls after it count.
    The `fail_at`-th of them (from 1) raises OSError with `number`; 0 only records.

    `calls`: what was called since it began, as "name path".
    """

    def __init__(
        self, begins: Callable[[str, object], bool], fail_at: int = 0, number: int = 5
    ) -> None:
        self._begins, self._fail_at, self._number = begins, fail_at, number
        self._begun = False
        self.calls: list[str] = []

    def install(self, patch: pytest.MonkeyPatch) -> FailingDisk:
        for name in _CALLS:
            patch.setattr(os, name, self._failing(name, getattr(os, name)))
        patch.setattr(builtins, "open", self._failing("open", builtins.open))
        return self

    def _failing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._begun:
                self.calls.append(f"{name} {args[0]}")
                if len(self.calls) == self._fail_at:
                    if name == "close":  # Linux gives the descriptor back, whatever it says
                        real(*args, **kwargs)
                    raise OSError(self._number, os.strerror(self._number))
            result = real(*args, **kwargs)
            self._begun = self._begun or self._begins(name, args[0])
            return result

        return call


def after_the_refs_moved(name: str, what: object) -> bool:
    """The commit point of a gateway: packed-refs gets its new content."""
    return name == "rename" and str(what).endswith("packed-refs.lock")
