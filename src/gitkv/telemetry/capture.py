"""What Python itself and its libraries would print: loggers, warnings, errors in threads and in
finalizers. All of it becomes events, so that a JSON log holds JSON only.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType

Report = Callable[[str, Mapping[str, object]], None]


class _ToEvents(logging.Handler):
    def __init__(self, report: Report) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        event = "python.error" if record.levelno >= logging.ERROR else "python.warning"
        fields: dict[str, object] = {"from": record.name, "detail": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields |= _error(record.exc_info[1])
        self._report(event, fields)


def capture(report: Report) -> None:
    """From now on, for the whole process."""
    root = logging.getLogger()
    root.handlers[:] = [_ToEvents(report)]
    root.setLevel(logging.WARNING)
    logging.raiseExceptions = False

    def on_thread(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else ""
        if args.exc_value is not None and args.exc_type is not SystemExit:
            report("python.error", {"from": name, **_error(args.exc_value)})

    def on_unraisable(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            detail = args.err_msg or "exception ignored"
            report("python.error", {"from": "python", "detail": detail, **_error(args.exc_value)})

    def on_error(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        report("python.error", {"from": "python", **_error(error)})

    threading.excepthook = on_thread
    sys.unraisablehook = on_unraisable
    sys.excepthook = on_error

    def on_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: str | None = None,
    ) -> None:
        report(
            "python.warning",
            {
                "from": "warnings",
                "detail": f"{category.__name__}: {message}",
                "at": f"{filename}:{lineno}",
            },
        )

    warnings.showwarning = on_warning


def _error(error: BaseException) -> dict[str, object]:
    """An error in one line: what it is, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return {"error": f"{type(error).__name__}: {error}", "at": at}
