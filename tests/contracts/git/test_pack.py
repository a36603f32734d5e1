"""The pack writer against stock git, and the index reader against damage."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkv.errors import IntegrityError
from gitkv.git.pack import PackWriter, parse_pack_header, read_index
from gitkv.model.oid import BLOB, COMMIT, TREE, Oid, hash_object

# Around every border of the two encodings: sizes of the entry header, of a stored block, of the
# sample.
BORDERS = [0, 1, 15, 16, 127, 128, 2047, 2048, 4095, 4096, 65535, 65536, 131070, 131071]


def _unpacked(repo: Path, writer: PackWriter) -> set[Oid]:
    """The ids that git finds in the pack, after its strictest check."""
    pack = writer.finish()
    path = repo / "made.pack"
    path.write_bytes(b"".join(pack.chunks()))
    done = subprocess.run(
        ["git", "index-pack", "--strict", "-v", path], cwd=repo, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().strip() == pack.trailer.hex()
    index = (repo / "made.idx").read_bytes()
    assert read_index(index).oids == sorted(pack.oids)
    pack.close()
    for made in repo.glob("made.*"):
        made.unlink()
    return set(pack.oids)


@pytest.mark.parametrize("size", BORDERS)
def test_git_reads_bodies_of_every_border_size(bare_repo: Path, size: int) -> None:
    writer = PackWriter(str(bare_repo))
    bodies = {os.urandom(size), b"a" * size, os.urandom(size // 2) + b"a" * (size - size // 2)}
    assert {writer.add(BLOB, body) for body in bodies} == {
        hash_object(BLOB, body) for body in bodies
    }
    assert _unpacked(bare_repo, writer) == {hash_object(BLOB, body) for body in bodies}


def test_git_reads_trees_and_commits_that_link_to_each_other(bare_repo: Path) -> None:
    writer = PackWriter(str(bare_repo))
    blob = writer.add(BLOB, b"value")
    tree = writer.add(TREE, b"100644 key\x00" + blob)
    person = b"A <a@example.invalid> 1700000000 +0000"
    commit = writer.add(
        COMMIT,
        b"tree %b\nauthor %b\ncommitter %b\n\nmessage\n" % (tree.hex().encode(), person, person),
    )
    assert _unpacked(bare_repo, writer) == {blob, tree, commit}


@settings(max_examples=25)
@given(bodies=st.lists(st.binary(max_size=300)), spool=st.integers(0, 400))
def test_any_mixture_reads_back_with_or_without_a_spool_file(
    bodies: list[bytes], spool: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    subprocess.run(["git", "init", "--quiet", "--bare", directory], check=True)
    writer = PackWriter(str(directory), spool_bytes_max=spool)
    for body in bodies:
        writer.add(BLOB, body)
    assert len(writer) == len(set(bodies))
    assert _unpacked(directory, writer) == {hash_object(BLOB, body) for body in bodies}
    assert not list(directory.glob(".git-kv-spool-*"))


@pytest.mark.parametrize("spool", [0, 100_000, 1 << 25])
@pytest.mark.parametrize("kind_of_bytes", [b"", None], ids=["dense", "even"])
def test_a_body_in_pieces_is_the_object_that_it_is_as_a_whole(
    bare_repo: Path, spool: int, kind_of_bytes: bytes | None
) -> None:
    for size in (0, 1, 127, 128, 70_000, 3_000_000):
        body = os.urandom(size) if kind_of_bytes is not None else b"even " * (size // 5)
        pieces = [body[at : at + 65_537] for at in range(0, len(body), 65_537)]
        writer = PackWriter(str(bare_repo), spool_bytes_max=spool)
        writer.add(BLOB, b"before")
        assert writer.add_pieces(BLOB, len(body), pieces) == hash_object(BLOB, body)
        writer.add(BLOB, b"after")
        assert len(_unpacked(bare_repo, writer)) == 3


@pytest.mark.parametrize("spool", [0, 1 << 25])
def test_pieces_that_are_there_already_or_do_not_add_up_leave_nothing(
    bare_repo: Path, spool: int
) -> None:
    body = os.urandom(200_000)
    pieces = [body[:150_000], body[150_000:]]
    writer = PackWriter(str(bare_repo), spool_bytes_max=spool)
    first = writer.add(BLOB, b"before")
    large = writer.add_pieces(BLOB, len(body), pieces)
    assert writer.add_pieces(BLOB, len(body), pieces) == large
    for size in (len(body) - 1, len(body) + 1):
        with pytest.raises(ValueError, match=f"expected {size} bytes, got 200000"):
            writer.add_pieces(BLOB, size, pieces)
    last = writer.add(BLOB, b"after")
    assert _unpacked(bare_repo, writer) == {first, large, last}


def test_a_body_in_pieces_is_never_held_as_a_whole(tmp_path: Path) -> None:
    piece, writer = os.urandom(1 << 20), PackWriter(str(tmp_path), spool_bytes_max=1 << 20)
    tracemalloc.start()
    try:
        writer.add_pieces(BLOB, 64 << 20, (piece for _ in range(64)))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
        writer.close()


@pytest.mark.parametrize("spool", [0, 1 << 25])
def test_a_pack_goes_on_from_a_first_one_that_stays_as_it_is(bare_repo: Path, spool: int) -> None:
    early = PackWriter(str(bare_repo), spool_bytes_max=spool)
    first = {early.add(BLOB, os.urandom(size)) for size in (5, 5_000)}
    both = early.add(BLOB, b"both " * 100)
    begun = early.finish()
    for number in range(2):
        writer = PackWriter(str(bare_repo), spool_bytes_max=spool, first=begun)
        assert writer.add(BLOB, b"both " * 100) == both
        own = writer.add(BLOB, b"attempt %d " % number * 50)
        assert _unpacked(bare_repo, writer) == {*first, both, own}
    begun.close()


def test_what_the_reader_knows_is_left_out(bare_repo: Path) -> None:
    body = os.urandom(10_000)
    writer = PackWriter(str(bare_repo), known={hash_object(BLOB, body)})
    assert writer.add(BLOB, body) == hash_object(BLOB, body)
    assert writer.add_pieces(BLOB, len(body), [body]) == hash_object(BLOB, body)
    other = writer.add(BLOB, b"other")
    assert _unpacked(bare_repo, writer) == {other}


def test_a_pack_can_be_sent_twice(tmp_path: Path) -> None:
    writer = PackWriter(str(tmp_path), spool_bytes_max=10)
    for number in range(100):
        writer.add(BLOB, b"%d" % number)
    pack = writer.finish()
    assert b"".join(pack.chunks()) == b"".join(pack.chunks())
    assert len(writer) == 0


def test_an_unknown_kind_is_no_object(tmp_path: Path) -> None:
    for body in (b"small", b"x" * 1000):
        with pytest.raises(KeyError):
            PackWriter(str(tmp_path)).add(b"tag", body)


_NO_HEADERS = [
    b"",
    b"PACK",
    b"PACK\0\0\0\1\0\0\0\1",
    b"PACK\0\0\0\3\0\0\0\1",
    b"JUNK\0\0\0\2\0\0\0\1",
    b"PACK\0\0\0\2\0\0\0\1\0",
]


@pytest.mark.parametrize("header", _NO_HEADERS)
def test_what_is_no_version_2_pack_header_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError):
        parse_pack_header(header)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("index")
    writer = PackWriter(str(directory))
    for number in range(20):
        writer.add(BLOB, b"%d" % number)
    (directory / "a.pack").write_bytes(b"".join(writer.finish().chunks()))
    subprocess.run(["git", "index-pack", "a.pack"], cwd=directory, check=True, capture_output=True)
    return (directory / "a.idx").read_bytes()


def test_an_index_gives_ids_with_their_offsets(index: bytes) -> None:
    oids, offsets = read_index(index)
    assert min(offsets) == 12
    assert len(offsets) == len(set(offsets)) == 20
    assert set(oids) == {hash_object(BLOB, b"%d" % number) for number in range(20)}


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_flipped_bit_in_an_index_is_noticed(index: bytes, at: int, bit: int) -> None:
    broken = bytearray(index)
    broken[at % len(index)] ^= 1 << bit
    with pytest.raises(IntegrityError):
        read_index(bytes(broken))


@given(cut=st.integers(min_value=0))
def test_a_cut_or_lengthened_index_is_noticed(index: bytes, cut: int) -> None:
    with pytest.raises(IntegrityError):
        read_index(index[: cut % len(index)])
    with pytest.raises(IntegrityError):
        read_index(index + b"\0" * (1 + cut % 8))
