"""The daemon's log: one readable line, or one JSON object, for each event. Nothing secret is ever
handed in, and an address in a message loses its credentials; text is escaped here.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

from gitkv.model.address import redact
from gitkv.model.event import Event
from gitkv.model.verdict import printable


class EventLog:
    """Writes events to a stream, whole lines only, from any thread."""

    def __init__(self, form: str = "text", stream: TextIO | None = None) -> None:
        self._json = form == "json"
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """One event with its fields; times are UTC."""
        now = time.time()
        stamp = (
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        )
        line = redact(
            self._as_json(stamp, event.name, event.fields())
            if self._json
            else self._as_text(stamp, event.name, event.fields())
        )
        # Whoever reads the log may be gone, and its disk full: no push fails for that.
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    def _as_json(self, stamp: str, event: str, fields: Mapping[str, object]) -> str:
        return json.dumps({"time": stamp, "event": event, **fields}, ensure_ascii=True, default=str)

    def _as_text(self, stamp: str, event: str, fields: Mapping[str, object]) -> str:
        words = [
            f"{name}={_word(value)}"
            for name, value in fields.items()
            if value not in ("", None, [], ())
        ]
        return " ".join([stamp, event, *words])


def _word(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + "; ".join(printable(str(part)) for part in value) + "]"
    text = printable(str(value)).replace(
        '"', "'"
    )  # or a quoted word could end early and be followed by forged fields
    return f'"{text}"' if " " in text else text
