"""What a scan says of a pack agrees with what is in it, however the bytes are cut and whoever made
it; and its work grows with the pack, not with what the pack claims.
"""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv.git.pack import PACK_HEADER_BYTES, PackWriter, _entry_header, read_index
from gitkv.git.pack_scan import PackLimits, PackScan, PackTooMuchError
from gitkv.model.oid import BLOB, COMMIT, TREE

KIB = 1 << 10
GENEROUS = PackLimits(1 << 40, 1 << 30, 1 << 30, 1 << 20)


def scanned(pack: bytes, step: int, limits: PackLimits = GENEROUS) -> PackScan:
    scan = PackScan(limits, int.from_bytes(pack[8:12], "big"))
    for start in range(PACK_HEADER_BYTES, len(pack), step):
        scan.feed(pack[start : start + step])
    return scan


def stock_pack(
    git: Callable[..., bytes], bare_repo: Path, bodies: list[bytes], *options: str
) -> bytes:
    """A pack of these blobs, made by git with the deltas it finds."""
    oids = [git("hash-object", "-w", "--stdin", cwd=bare_repo, input=body) for body in bodies]
    return git("pack-objects", "--stdout", "-q", *options, cwd=bare_repo, input=b"".join(oids))


def related_bodies() -> list[bytes]:
    """Each is the one before it with some bytes changed."""
    noise = random.Random(7)
    bodies = [noise.randbytes(8 * KIB)]
    for step in range(39):
        at = step * 200
        bodies.append(bodies[-1][:at] + noise.randbytes(100) + bodies[-1][at + 100 :])
    return bodies


@pytest.mark.parametrize("options", [(), ("--delta-base-offset",)], ids=["by id", "by place"])
@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_sizes_and_chains_of_gits_own_pack_are_what_git_says_of_it(
    git: Callable[..., bytes], bare_repo: Path, tmp_path: Path, options: tuple[str, ...], step: int
) -> None:
    bodies = related_bodies()
    pack = stock_pack(git, bare_repo, bodies, "--depth=30", *options)
    path = tmp_path / "it.pack"
    path.write_bytes(pack)
    git("index-pack", path, cwd=bare_repo)
    listed = git("verify-pack", "-v", path, cwd=bare_repo).split(b"\n")
    rows = [line.split() for line in listed if b" blob " in line]
    depth = max(int(row[5]) for row in rows if len(row) > 5)
    assert depth > 3
    scan = scanned(pack, step)

    stored = sum(int(row[2]) for row in rows)
    made = sum(len(body) for body in bodies)
    whole = sum(int(row[2]) for row in rows if len(row) == 5)
    index = read_index(path.with_suffix(".idx").read_bytes())
    assert scan.inflated_bytes == stored + made - whole
    assert scan.held_bytes == max(map(len, bodies))
    scan.check_depth(index)
    with pytest.raises(PackTooMuchError):
        scanned(pack, step, GENEROUS._replace(depth_max=depth - 1)).check_depth(index)
    scanned(pack, step, GENEROUS._replace(depth_max=depth)).check_depth(index)


@given(
    st.lists(
        st.tuples(st.sampled_from([BLOB, TREE, COMMIT]), st.binary(max_size=300)), max_size=20
    ),
    st.integers(1, 200),
)
def test_a_pack_of_ours_is_read_to_its_end_however_it_is_cut(
    objects: list[tuple[bytes, bytes]], step: int
) -> None:
    writer = PackWriter(os.curdir)
    sizes = {writer.add(kind, body): len(body) for kind, body in objects}
    pack = b"".join(writer.finish().chunks())

    scan = scanned(pack, step)

    assert scan.inflated_bytes == sum(sizes.values())


@given(st.binary(max_size=200), st.integers(0, 5), st.integers(1, 50))
def test_any_bytes_are_read_or_refused(data: bytes, count: int, step: int) -> None:
    try:
        scanned(b"PACK\0\0\0\2" + count.to_bytes(4, "big") + data, step)
    except ValueError:
        return


def entry(kind: int, size: int, data: bytes, before: bytes = b"") -> bytes:
    return _entry_header(kind, size) + before + zlib.compress(data)


BROKEN = {
    "a kind that does not exist": entry(5, 3, b"abc"),
    "kind 0": entry(0, 3, b"abc"),
    "a size without end": b"\xbf" + b"\xff" * 20,
    "a distance without end": entry(6, 3, b"abc", b"\xff" * 20),
    "more than it claims": entry(3, 3, b"abcd" * 1000),
    "no zlib stream": _entry_header(3, 3) + b"\xff" * 20,
    "a delta without sizes": entry(7, 1, b"\x80", bytes(20)),
    "an empty delta": entry(7, 0, b"", bytes(20)),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_pack_is_refused(data: bytes) -> None:
    pack = b"PACK\0\0\0\2\0\0\0\1" + data + bytes(20)
    for step in (1, 1000):
        with pytest.raises(ValueError):
            scanned(pack, step)


def test_a_size_that_is_too_large_is_refused_by_its_head_alone() -> None:
    limits = PackLimits(1 << 30, 1000, 500, 10)
    for kind, size in ((3, 1001), (2, 501), (1, 501), (4, 501), (6, 1001), (3, 1 << 62)):
        head = _entry_header(kind, size) + b"\x10"
        with pytest.raises(ValueError, match="expected at most"):
            PackScan(limits, 1).feed(head)


def test_the_next_object_after_an_inflated_one_is_found_in_the_same_piece() -> None:
    body = bytes(300 * KIB)
    pack = b"PACK\0\0\0\2\0\0\0\3" + entry(3, len(body), body) * 3

    assert scanned(pack, len(pack)).inflated_bytes == 3 * len(body)


def test_a_history_as_git_packs_it_is_read_to_its_end(
    git: Callable[..., bytes], tmp_path: Path
) -> None:
    git("init", "-q", cwd=tmp_path)
    for number in range(20):
        (tmp_path / "file").write_text("".join(f"line {n * number}\n" for n in range(500)))
        git("add", "file", cwd=tmp_path)
        git("commit", "-q", "-m", f"change {number}", cwd=tmp_path)
    pack = git("pack-objects", "--all", "--stdout", "-q", cwd=tmp_path)

    assert scanned(pack, 1000).inflated_bytes > 0
