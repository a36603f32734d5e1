"""How much work a call does, counted and not timed: the same on every machine and in every run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

_TEXTS = (bytes, bytearray, str, memoryview)
_OF_LISTS = {"count", "index", "insert", "remove", "copy", "reverse", "sort"}  # append is constant


def work_of(call: Callable[[], object]) -> int:
    """Instructions of Python that `call` executes, plus one for each byte, character or item that a
    method of a text (find, split, replace, decode, …) or list (count, index, …) has to go through.

    What `re` does inside is not seen; `tests/house/test_linear_patterns.py` proves that bound.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        if event == "c_call":
            owner = getattr(argument, "__self__", None)
            if isinstance(owner, _TEXTS) or (
                isinstance(owner, list) and argument.__name__ in _OF_LISTS
            ):
                count += len(owner)

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return count
