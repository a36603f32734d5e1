"""What Python itself and its libraries would print: loggers, warnings, errors in threads and in
finalizers. All of it becomes events, so that a JSON log holds JSON only.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType

from gitkv.model.event import PythonError, PythonWarning, Report


class _ToEvents(logging.Handler):
    def __init__(self, report: Report) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        kind = PythonError if record.levelno >= logging.ERROR else PythonWarning
        raised = record.exc_info[1] if record.exc_info else None
        self._report(kind(record.name, record.getMessage(), *_told(raised)))


def capture(report: Report) -> None:
    """From now on, for the whole process."""
    root = logging.getLogger()
    root.handlers[:] = [_ToEvents(report)]
    root.setLevel(logging.WARNING)
    logging.raiseExceptions = False

    def on_thread(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else ""
        if args.exc_value is not None and args.exc_type is not SystemExit:
            report(PythonError(name, "", *_told(args.exc_value)))

    def on_unraisable(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            detail = args.err_msg or "exception ignored"
            report(PythonError("python", detail, *_told(args.exc_value)))

    def on_error(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        report(PythonError("python", "", *_told(error)))

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
        detail = f"{category.__name__}: {message}"
        report(PythonWarning("warnings", detail, at=f"{filename}:{lineno}"))

    warnings.showwarning = on_warning


def _told(error: BaseException | None) -> tuple[str, str]:
    """An error in one line, and where it was raised."""
    if error is None:
        return "", ""
    frames = traceback.extract_tb(error.__traceback__)
    at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}", at
