"""Pkt-lines: the frames of git's protocols (gitprotocol-common, "pkt-line format").

Leaves to others what the payloads mean. A reader keeps only what it was fed and has not yet handed
out, so the memory it takes is bounded by one frame and one feed.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal

LENGTH_DIGITS = 4  # they count themselves
PAYLOAD_BYTES_MAX = 65520 - LENGTH_DIGITS
FLUSH_PKT = b"0000"

_LENGTH = re.compile(rb"[0-9a-fA-F]{4}")


class WireError(ValueError):
    """The peer broke the protocol: the connection is dropped, nothing is answered."""


class Mark(Enum):
    """What a reader hands out besides payloads."""

    FLUSH = "flush"
    NEED_DATA = "need data"


FLUSH: Final = Mark.FLUSH
NEED_DATA: Final = Mark.NEED_DATA
NeedData = Literal[Mark.NEED_DATA]


def pkt(payload: bytes) -> bytes:
    """`payload` as one pkt-line. Raises ValueError when it is longer than PAYLOAD_BYTES_MAX."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise ValueError(
            f"payload is too long for a pkt-line: expected at most {PAYLOAD_BYTES_MAX} bytes, got "
            f"{len(payload)}"
        )
    return b"%04x%b" % (len(payload) + LENGTH_DIGITS, payload)


class PktReader:
    """Cuts a stream into payloads. `payload_bytes_max` lets a caller refuse long lines before they
    are buffered.
    """

    def __init__(self, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        self._payload_bytes_max = payload_bytes_max
        self._buffer = bytearray()
        self._start = 0  # bytes before it were handed out; cut off at the next feed

    def feed(self, data: bytes) -> None:
        """Takes more bytes of the stream."""
        del self._buffer[: self._start]
        self._start = 0
        self._buffer += data

    def next(self) -> bytes | Mark:
        """The next payload, FLUSH, or NEED_DATA. Raises WireError on a bad length, again on every
        later call.
        """
        header = bytes(self._buffer[self._start : self._start + LENGTH_DIGITS])
        if len(header) < LENGTH_DIGITS:
            return NEED_DATA
        length = self._length(header)
        if length == 0:
            self._start += LENGTH_DIGITS
            return FLUSH
        if len(self._buffer) - self._start < length:
            return NEED_DATA
        payload = bytes(self._buffer[self._start + LENGTH_DIGITS : self._start + length])
        self._start += length
        return payload

    def take_rest(self) -> bytes:
        """The bytes not handed out yet (after the flush of a command list: the start of the pack);
        the reader forgets them.
        """
        rest = bytes(self._buffer[self._start :])
        self._buffer.clear()
        self._start = 0
        return rest

    def _length(self, header: bytes) -> int:
        if _LENGTH.fullmatch(header) is None:
            raise WireError(f"pkt-line length: expected 4 hex digits, got {header!r}")
        length = int(header, 16)
        if length in (
            1,
            2,
            3,
        ):  # delim and response-end belong to protocol v2; 3 was never anything
            raise WireError(f"pkt-line length: expected 0 or at least 4, got {length}")
        if length > self._payload_bytes_max + LENGTH_DIGITS:
            raise WireError(
                f"pkt-line length: expected at most {self._payload_bytes_max + LENGTH_DIGITS}, got "
                f"{length}"
            )
        return length
