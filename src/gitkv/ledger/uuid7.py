"""UUID version 7 from given time and randomness (RFC 9562 5.7): sortable by time, without a clock
of its own.
"""

from __future__ import annotations


def uuid7(unix_ms: int, random_bytes: bytes) -> str:
    """Lower-case text of the UUID. `unix_ms`: milliseconds since 1970, below 2**48; `random_bytes`:
    10 bytes, of which 74 bits are used.
    """
    if len(random_bytes) != 10 or not 0 <= unix_ms < 1 << 48:
        raise ValueError("expected 10 random bytes and a time below 2**48 ms")
    rand = int.from_bytes(random_bytes, "big")
    value = (
        unix_ms << 80 | 0x7 << 76 | (rand >> 62 & 0xFFF) << 64 | 0b10 << 62 | rand & (1 << 62) - 1
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
