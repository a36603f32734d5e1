"""How a large value is cut: the parameters, and their one spelling (spec/format 8.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

UNIT_BYTES = 1 << 10  # sizes of chunks are multiples of it
MIN_BYTES_MAX, AVERAGE_BYTES_MAX, MAX_BYTES_MAX = 1 << 20, 4 << 20, 16 << 20

_SIZE = r"([1-9][0-9]{3,7})"
_TEXT = re.compile(f"fastcdc-{_SIZE}-{_SIZE}-{_SIZE}|fixed-{_SIZE}")


class Chunking(NamedTuple):
    """Bounds of a chunk's size in bytes, and the size FastCDC aims at. Where all three are the same
    every chunk but the last has that size.
    """

    min_bytes: int
    average_bytes: int
    max_bytes: int

    @property
    def is_fixed(self) -> bool:
        """Whether chunks are cut by size, not by content."""
        return self.min_bytes == self.max_bytes

    @property
    def text(self) -> str:
        """The parameters as manifests and the chunk store spell them."""
        if self.is_fixed:
            return f"fixed-{self.max_bytes}"
        return f"fastcdc-{self.min_bytes}-{self.average_bytes}-{self.max_bytes}"


DEFAULT_CHUNKING = Chunking(64 << 10, 256 << 10, 1 << 20)


def check_chunking(chunking: Chunking) -> None:
    """Raises ValueError unless values can be cut so (spec/format 8.2)."""
    least, average, most = chunking
    if any(size < UNIT_BYTES or size % UNIT_BYTES for size in chunking):
        raise ValueError(f"chunk sizes: expected multiples of {UNIT_BYTES} bytes, got {chunking}")
    if not least <= average <= most:
        raise ValueError(f"chunk sizes: expected min <= average <= max, got {tuple(chunking)}")
    if most > MAX_BYTES_MAX:
        raise ValueError(f"chunk sizes: expected at most {MAX_BYTES_MAX} bytes, got {most}")
    if not chunking.is_fixed and (least > MIN_BYTES_MAX or average > AVERAGE_BYTES_MAX):
        raise ValueError(
            f"chunk sizes: expected a min of at most {MIN_BYTES_MAX} bytes and an average of at "
            f"most {AVERAGE_BYTES_MAX}, got {least} and {average}"
        )


def parse_chunking(text: str) -> Chunking:
    """Raises ValueError unless it is the one spelling of parameters that values can be cut by."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"expected fastcdc-<min>-<average>-<max> or fixed-<size>, got {text[:80]}")
    sizes = [int(size) for size in match.groups() if size is not None]
    chunking = Chunking(*sizes) if len(sizes) == 3 else Chunking(*sizes * 3)
    check_chunking(chunking)
    if chunking.text != text:
        raise ValueError(f"expected {chunking.text}, got {text}")
    return chunking
