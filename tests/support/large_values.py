"""Large values for tests: small ones, cut into chunks of a few kilobytes."""

from __future__ import annotations

from random import Random

from gitkv.ledger.chunks import cut_value
from gitkv.ledger.ordered_tree import Emit
from gitkv.model.chunking import Chunking
from gitkv.model.manifest import Manifest

SMALL = Chunking(1024, 4096, 16384)
FIXED = Chunking(1024, 1024, 1024)


def noise(size: int, seed: int = 7) -> bytes:
    """The same bytes for the same seed."""
    return Random(seed).randbytes(size)


def cut(emit: Emit, size: int = 60_000, seed: int = 7, chunking: Chunking = SMALL) -> Manifest:
    """A large value, its objects emitted."""
    return cut_value([noise(size, seed)], chunking, emit)
