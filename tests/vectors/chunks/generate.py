"""Writes this folder's JSON anew: `python tests/vectors/chunks/generate.py`. The same bytes each
time.

Where values are cut is what `pyfastcdc` says, asked here directly and not through our own code.
`README.md` says what each file holds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyfastcdc import FastCDC

from gitkv.ledger.chunks import cut_value
from gitkv.ledger.roots import open_chunks
from gitkv.model.chunking import Chunking, parse_chunking
from gitkv.model.commit import DerivedFacts, chunk_commit
from gitkv.model.manifest import format_manifest
from gitkv.model.oid import BLOB, TREE, Oid, hash_object
from gitkv.model.refs import Namespace
from gitkv.testing.memory import MemoryObjectStore

HERE = Path(__file__).parent
START_S = 1_700_000_000
SMALL = "fastcdc-1024-4096-16384"
DEFAULT = "fastcdc-65536-262144-1048576"
# name -> (recipe, bytes, chunking)
VALUES = {
    "noise, default sizes": ("noise", (3 << 20) + 17, DEFAULT),
    "noise, small sizes": ("noise", 200_001, SMALL),
    "lines of text": ("lines", 150_000, SMALL),
    "zeros: no cut before the largest size": ("zeros", 100_000, SMALL),
    "one chunk": ("noise", 900, SMALL),
    "one byte": ("noise", 1, SMALL),
    "fixed": ("noise", 300_000, "fixed-65536"),
    "fixed, the last one full": ("noise", 131_072, "fixed-65536"),
    "two groups": ("noise", 1_100_000, "fixed-1024"),
    "sizes that are no powers of two": ("noise", 200_000, "fastcdc-3072-10240-40960"),
}


def value_of(recipe: str, size: int) -> bytes:
    """`noise`: SHA-256 of 0, 1, 2 … as eight bytes, big-endian, one after another. `lines`: the
    numbers 0, 1, 2 … in decimal, each ended by LF. `zeros`. Cut to `size` bytes.
    """
    if recipe == "zeros":
        return bytes(size)
    one, count = (32, _noise) if recipe == "noise" else (2, _line)
    return b"".join([count(at) for at in range(size // one + 1)])[:size]


def _noise(at: int) -> bytes:
    return sha256(at.to_bytes(8, "big")).digest()


def _line(at: int) -> bytes:
    return b"%d\n" % at


def sizes_of(value: bytes, chunking: Chunking) -> list[int]:
    """How the published implementation cuts it."""
    if chunking.is_fixed:
        return [
            min(chunking.max_bytes, len(value) - at)
            for at in range(0, len(value), chunking.max_bytes)
        ]
    cutter = FastCDC(
        chunking.average_bytes, min_size=chunking.min_bytes, max_size=chunking.max_bytes
    )
    return [chunk.length for chunk in cutter.cut_buf(value)]


def values() -> Iterator[dict[str, Any]]:
    """Values and what becomes of them (format 8)."""
    for name, (recipe, size, text) in VALUES.items():
        value, chunking = value_of(recipe, size), parse_chunking(text)
        store = MemoryObjectStore()
        manifest = cut_value([value], chunking, store.add)
        body = format_manifest(manifest)
        yield {
            "name": name,
            "recipe": recipe,
            "size": size,
            "chunking": text,
            "sizes": sizes_of(value, chunking),
            "manifest": body.decode(),
            "manifest_oid": hash_object(BLOB, body).hex(),
            "store_name": manifest.store_name.decode(),
            "value_tree": store.read(manifest.tree, TREE).hex(),
        }


def invalid_manifests() -> Iterator[dict[str, str]]:
    """Texts that are no manifests, each for one reason (format 8.3)."""
    good = next(iter(values()))["manifest"]
    blake3, size = json.loads(good)["blake3"], json.loads(good)["size"]
    changes = {
        "white space": (":", ": "),
        "keys in another order": ('{"blake3"', '{"version":1,"blake3"'),
        "another version": ('"version":1', '"version":2'),
        "an unknown member": ('"version":1', '"version":1,"x":1'),
        "upper-case hex": (blake3, blake3.upper()),
        "a cut digest": (blake3, blake3[1:]),
        "an unknown way of cutting": ("fastcdc-", "rabin-"),
        "sizes out of order": ("65536-262144-1048576", "262144-65536-1048576"),
        "a size that is no multiple of 1 KiB": ("65536-262144", "65537-262144"),
        "a size over the limit": ("-1048576", "-33554432"),
        "fixed sizes spelled as content-defined": ("65536-262144-1048576", "65536-65536-65536"),
        "more chunks than so many bytes can make": ('"chunks":', '"chunks":99'),
        "more bytes than so many chunks can hold": (f'"size":{size}', f'"size":{size}000'),
        "a size with a leading zero": ('"size":', '"size":0'),
        "a size of nothing": (f'"size":{size}', '"size":0'),
        "a negative size": ('"size":', '"size":-'),
        "a float": (f'"size":{size}', f'"size":{size}.0'),
        "LF at the end": ("}", "}\n"),
    }
    for why, (old, new) in changes.items():
        assert good.count(old) >= 1, why
        yield {"why": why, "manifest": good.replace(old, new)}


def stores() -> Iterator[dict[str, Any]]:
    """Chunk stores (format 8.5) with the values `noise` of 5000, 5001, 5002 … bytes, cut by SMALL;
    and the chunk commits that follow when they come one transaction after the other (attestation
    4.3).
    """
    store, stored = MemoryObjectStore(), dict[bytes, Oid]()
    root: Oid | None = None
    head: Oid | None = None
    for count in range(1, 201):
        manifest = cut_value([value_of("noise", 4999 + count)], parse_chunking(SMALL), store.add)
        root = open_chunks(root, store.read).apply(
            [(manifest.store_name, manifest.tree)], store.add
        )
        stored[manifest.store_name] = manifest.tree
        assert root is not None
        ledger = hash_object(BLOB, b"ledger commit %d" % count)
        facts = DerivedFacts(Namespace("main"), count, ledger, START_S + count, root, head)
        head, body = chunk_commit(facts)
        if count in (1, 2, 64, 200):
            yield {
                "values": count,
                "root": root.hex(),
                "ledger": ledger.hex(),
                "commit": head.hex(),
                "commit_text": body.decode(),
            }


def everything() -> dict[str, Any]:
    """What each file of this folder holds."""
    return {
        "stores.json": list(stores()),
        "values.json": list(values()),
        "invalid_manifests.json": list(invalid_manifests()),
    }


def text_of(value: object) -> str:
    """JSON as it is kept here."""
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    for name, content in everything().items():
        (HERE / name).write_text(text_of(content))
        sys.stdout.write(f"{name}\n")
