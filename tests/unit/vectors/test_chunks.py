"""The vectors of `vectors/chunks` against the writer and a third, naive reading."""

from __future__ import annotations

import importlib.util
import json
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pyfastcdc.py
import pytest
from blake3 import blake3

from gitkv.ledger.chunks import cut_value
from gitkv.model.chunking import parse_chunking
from gitkv.model.manifest import format_manifest, parse_manifest
from gitkv.model.oid import BLOB, COMMIT, TREE, hash_object
from gitkv.model.verdict import FormError
from gitkv.testing.memory import MemoryObjectStore

FOLDER = Path(__file__).parents[2] / "vectors" / "chunks"


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chunk_vectors", FOLDER / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = generator()
CASES = load("values.json")


def test_the_generator_makes_these_very_bytes() -> None:
    files = {name: MADE.text_of(content) for name, content in MADE.everything().items()}
    assert files == {path.name: path.read_text() for path in sorted(FOLDER.glob("*.json"))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_naive_reading_makes_the_same_manifest(case: dict[str, Any]) -> None:
    value = MADE.value_of(case["recipe"], case["size"])
    groups, at = b"", 0
    for number, start in enumerate(range(0, len(case["sizes"]), 1024)):
        group, group_bytes = b"", 0
        for place, size in enumerate(case["sizes"][start : start + 1024]):
            body = value[at : at + size]
            name = f"{place:03x}-{size}-{blake3(body).hexdigest()}"
            group += b"100644 " + name.encode() + b"\0" + hash_object(BLOB, body)
            at, group_bytes = at + size, group_bytes + size
        groups += f"40000 {number:03x}-{group_bytes}".encode() + b"\0" + hash_object(TREE, group)
    manifest = {
        "blake3": blake3(value).hexdigest(),
        "chunking": case["chunking"],
        "chunks": len(case["sizes"]),
        "size": len(value),
        "tree": hash_object(TREE, groups).hex(),
        "version": 1,
    }
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    assert (at, groups.hex(), text) == (len(value), case["value_tree"], case["manifest"])
    assert hash_object(BLOB, text.encode()).hex() == case["manifest_oid"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
@pytest.mark.parametrize("piece_bytes", [1 << 30, 65_536, 1021])
def test_the_writer_cuts_there_however_the_value_arrives(
    case: dict[str, Any], piece_bytes: int
) -> None:
    value, store = MADE.value_of(case["recipe"], case["size"]), MemoryObjectStore()
    pieces = (value[at : at + piece_bytes] for at in range(0, len(value), piece_bytes))
    manifest = cut_value(pieces, parse_chunking(case["chunking"]), store.add)
    assert format_manifest(manifest).decode() == case["manifest"]
    assert parse_manifest(case["manifest"].encode()) == manifest
    assert manifest.store_name.decode() == case["store_name"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["size"] <= 200_001], ids=lambda case: case["name"]
)
def test_the_algorithm_in_pure_python_cuts_there_too(case: dict[str, Any]) -> None:
    chunking = parse_chunking(case["chunking"])
    if not chunking.is_fixed:
        cutter = pyfastcdc.py.FastCDC(
            chunking.average_bytes, min_size=chunking.min_bytes, max_size=chunking.max_bytes
        )
        value = MADE.value_of(case["recipe"], case["size"])
        assert [chunk.length for chunk in cutter.cut_buf(value)] == case["sizes"]


@pytest.mark.parametrize("case", load("invalid_manifests.json"), ids=lambda case: case["why"])
def test_what_is_no_manifest_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(FormError):
        parse_manifest(case["manifest"].encode())


@pytest.mark.parametrize("case", load("stores.json"), ids=lambda case: str(case["values"]))
def test_a_naive_reading_makes_the_same_chunk_store(case: dict[str, Any]) -> None:
    """One leaf up to 8 values, which cannot be cut; larger ones by their cuts, level by level."""
    store, items = MemoryObjectStore(), list[tuple[bytes, bytes]]()
    for size in range(5000, 5000 + case["values"]):
        manifest = cut_value([MADE.value_of("noise", size)], parse_chunking(MADE.SMALL), store.add)
        items.append((manifest.store_name, manifest.tree))
    level, items = 0, sorted(items)
    while level == 0 or len(items) > 1:
        nodes: list[list[tuple[bytes, bytes]]] = [[]]
        for name, oid in items:
            low = int.from_bytes(sha256(bytes([level]) + name).digest()[:2], "big") < 1024
            if len(nodes[-1]) >= 512 or (len(nodes[-1]) >= 8 and low):
                nodes.append([])
            nodes[-1].append((name, oid))
        mark = b"" if level == 0 else b"!"
        items = [
            (
                node[0][0],
                hash_object(TREE, b"".join(b"40000 " + n + mark + b"\0" + o for n, o in node)),
            )
            for node in nodes
        ]
        level += 1
    assert items[0][1].hex() == case["root"]
    body = case["commit_text"].encode()
    assert hash_object(COMMIT, body).hex() == case["commit"]
    assert body.startswith(b"tree " + case["root"].encode() + b"\n")
    assert body.endswith(b"\nKV-Ledger: " + case["ledger"].encode() + b"\n")
