"""Telling a machine that is short of something (disk, descriptors, memory, processes) from a fault:
it passes, and nothing is wrong with what was asked.
"""

from __future__ import annotations

import errno
import os

_NUMBERS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
)
# As git prints them; ENOMEM is left out, for a limit of ours says the same of a bomb
_WORDS = {os.strerror(number): number for number in _NUMBERS if number != errno.ENOMEM} | {
    "Out of diskspace": errno.ENOSPC
}


def shortage_of(error: BaseException) -> str:
    """What the machine is short of, if that is what this error, or its cause, says; else "".
    A thread or a memory that cannot be had is told by Python without a number.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NUMBERS:
            return cause.strerror or os.strerror(cause.errno or 0)
        if isinstance(cause, MemoryError):
            return os.strerror(errno.ENOMEM)
        if isinstance(cause, RuntimeError) and "start new thread" in str(cause):
            return os.strerror(errno.EAGAIN)
        cause = cause.__cause__
    return shortage_in(str(error))


def shortage_in(words: str) -> str:
    """The same, of what a git said when it ended."""
    return next((os.strerror(number) for known, number in _WORDS.items() if known in words), "")
