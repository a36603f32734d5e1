"""Writer and audit read manifests with code of their own: neither takes what the other refuses."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from gitkv.audit.large import parse_manifest as read_by_audit
from gitkv.model.chunking import Chunking
from gitkv.model.manifest import Manifest, format_manifest, parse_manifest
from gitkv.model.oid import Oid
from gitkv.model.verdict import FormError

_SIZES = st.sampled_from([0, 1023, 1024, 4096, 65536, 65537, 262144, 1 << 20, 4 << 20, 16 << 20])
_NUMBERS = st.sampled_from([0, 1, 2, 1024, 1025, 1 << 20, (1 << 20) + 1, 10**15, 10**16])
_manifests = st.builds(
    Manifest,
    size=_NUMBERS | st.integers(0, 1 << 40),
    blake3=st.binary(min_size=32, max_size=32),
    chunking=st.builds(Chunking, _SIZES, _SIZES, _SIZES),
    chunks=_NUMBERS | st.integers(0, 1 << 21),
    tree=st.binary(min_size=20, max_size=20).map(Oid),
)
_GOOD = Manifest(3_000_000, bytes(32), Chunking(65536, 262144, 1 << 20), 11, Oid(bytes(20)))


def _taken(body: bytes) -> Manifest | None:
    try:
        return parse_manifest(body)
    except FormError:
        return None


def _agree(body: bytes) -> None:
    ours, theirs = _taken(body), read_by_audit(body)
    assert (ours is None) == (theirs is None), body
    if ours is not None and theirs is not None:
        assert format_manifest(ours) == body
        assert (ours.size, ours.chunks, ours.tree) == (theirs.size, theirs.chunks, theirs.tree)
        assert (tuple(ours.chunking), ours.store_name) == (theirs.bounds, theirs.store_name)


@given(_manifests)
@example(_GOOD)
@example(_GOOD._replace(chunking=Chunking(65536, 65536, 65536), chunks=46))
def test_both_take_the_same_numbers(manifest: Manifest) -> None:
    _agree(format_manifest(manifest))


@given(st.integers(0, 260), st.binary(max_size=3), st.integers(0, 3))
@example(0, b"", 0)
def test_both_take_the_same_spellings(at: int, put: bytes, gone: int) -> None:
    body = format_manifest(_GOOD)
    _agree(body[:at] + put + body[at + gone :])


@given(st.from_regex(re.compile(rb"(fastcdc|fixed)(-[0-9]{1,9}){1,4}"), fullmatch=True))
def test_both_take_the_same_ways_of_cutting(text: bytes) -> None:
    good = format_manifest(_GOOD)
    _agree(good.replace(b"fastcdc-65536-262144-1048576", text))
