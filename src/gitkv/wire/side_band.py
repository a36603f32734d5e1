"""Side-band-64k (gitprotocol-pack): one stream that carries data, progress and a last word."""

from __future__ import annotations

import re

from gitkv.wire.pkt_line import PAYLOAD_BYTES_MAX, pkt

BAND_DATA, BAND_PROGRESS, BAND_FATAL = 1, 2, 3

_BAND_BYTES_MAX = PAYLOAD_BYTES_MAX - 1
_TEXT_BYTES_MAX = 4096
_NOT_TEXT = re.compile(rb"[^\n -~]")
_NOT_LINE = re.compile(rb"[^ -~]")


def band(number: int, data: bytes) -> bytes:
    """`data` on one band, in as many packets as it takes; none for no data."""
    pieces = [data[at : at + _BAND_BYTES_MAX] for at in range(0, len(data), _BAND_BYTES_MAX)]
    return b"".join([pkt(b"%c%b" % (number, piece)) for piece in pieces])


def progress(text: bytes) -> bytes:
    """`text` (lines ended by LF) on band 2, for clients that asked for side-band-64k; all but LF
    and printable ASCII becomes `?`.
    """
    return band(BAND_PROGRESS, _NOT_TEXT.sub(b"?", text))


def fatal(text: bytes) -> bytes:
    """`text` on band 3: the client gives up, and must take the outcome for unknown."""
    return band(BAND_FATAL, one_line(text))


def one_line(text: bytes) -> bytes:
    """At most 4096 bytes of printable ASCII, never empty."""
    return _NOT_LINE.sub(b"?", text[:_TEXT_BYTES_MAX]) or b"rejected"
