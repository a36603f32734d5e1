"""The first moments of the program `git-kv`, before anything of it is loaded: an interruption ends
it at once, since nothing has begun.
"""

from __future__ import annotations

import os

# What `signal` is made of, without the modules that it loads
from _signal import (  # type: ignore[import-not-found]
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

EXIT_INTERRUPTED = 130


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(EXIT_INTERRUPTED)


if getsignal(SIGINT) is default_int_handler:
    signal(SIGINT, _leave)


def main() -> int:
    """The command that the command line asks for; its exit code (docs/cli.md)."""
    from gitkv.cli import main as program

    return program.main()
