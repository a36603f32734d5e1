"""What stands in the ledger in place of a large value (spec/format 8.3).

A manifest has the same length whatever it stands for: sizes and digests of the chunks are in the
names of the value's tree (`chunk_tree.py`), so nothing here grows with what a writer claims.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gitkv.model.chunk_tree import CHUNKS_MAX
from gitkv.model.chunking import Chunking, parse_chunking
from gitkv.model.oid import Oid
from gitkv.model.verdict import INTEGRITY, FormError, reason

MANIFEST_BYTES_MAX = 512

_FORM = re.compile(
    rb'\{"blake3":"([0-9a-f]{64})","chunking":"([a-z0-9-]{1,40})","chunks":([1-9][0-9]{0,6}),'
    rb'"size":([1-9][0-9]{0,14}),"tree":"([0-9a-f]{40})","version":1\}'
)


class Manifest(NamedTuple):
    """A large value: its size in bytes, the BLAKE3 of the whole (32 bytes), how it was cut, into
    how many chunks, and the tree that holds them.
    """

    size: int
    blake3: bytes
    chunking: Chunking
    chunks: int
    tree: Oid

    @property
    def store_name(self) -> bytes:
        """What the chunk store knows the value by: the same bytes cut the same way."""
        return b"%b.%b" % (self.blake3.hex().encode(), self.chunking.text.encode())


def format_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes."""
    return b'{"blake3":"%b","chunking":"%b","chunks":%d,"size":%d,"tree":"%b","version":1}' % (
        manifest.blake3.hex().encode(),
        manifest.chunking.text.encode(),
        manifest.chunks,
        manifest.size,
        manifest.tree.hex().encode(),
    )


def parse_manifest(body: bytes) -> Manifest:
    """Raises FormError unless the manifest is canonical, and its numbers can be true together."""
    match = _FORM.fullmatch(body) if len(body) <= MANIFEST_BYTES_MAX else None
    if match is None:
        raise _broken("a canonical manifest of version 1", body)
    blake3, text, chunks, size, tree = match.groups()
    try:
        chunking = parse_chunking(text.decode("ascii"))
    except ValueError as error:
        raise _broken("known chunking parameters", str(error).encode()) from None
    found = Manifest(
        int(size),
        bytes.fromhex(blake3.decode()),
        chunking,
        int(chunks),
        Oid(bytes.fromhex(tree.decode())),
    )
    least, most = (found.chunks - 1) * chunking.min_bytes + 1, found.chunks * chunking.max_bytes
    if found.chunks > CHUNKS_MAX or not least <= found.size <= most:
        raise _broken(f"{found.chunks} chunks of a value of {least} to {most} bytes", body)
    return found


def _broken(expected: str, got: bytes) -> FormError:
    return FormError(reason(INTEGRITY, "manifest.form", "manifest", expected, got[:100]))
