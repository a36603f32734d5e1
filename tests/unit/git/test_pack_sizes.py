"""Sizes told by headers agree with what is inside, for every kind and length, also where git itself
made the deltas.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from gitkv.git.pack import read_index
from gitkv.git.pack_sizes import find_oversize

KIB = 1 << 10


def _packed(git: Callable[..., bytes], bare_repo: Path) -> tuple[str, list[int]]:
    git("repack", "-adf", "--depth=50", "-q", cwd=bare_repo)
    [pack] = (bare_repo / "objects" / "pack").glob("*.pack")
    return str(pack), list(read_index(pack.with_suffix(".idx").read_bytes()).offsets)


def _store(git: Callable[..., bytes], bare_repo: Path, bodies: list[bytes]) -> None:
    entries = []
    for number, body in enumerate(bodies):
        oid = git("hash-object", "-w", "--stdin", cwd=bare_repo, input=body).decode().strip()
        entries.append(f"100644 blob {oid}\t{number:05}\n")
    tree = git("mktree", cwd=bare_repo, input="".join(entries).encode()).decode().strip()
    commit = git("commit-tree", "-m", "x", tree, cwd=bare_repo).decode().strip()
    git("update-ref", "refs/heads/main", commit, cwd=bare_repo)


def test_the_largest_object_is_found_and_nothing_at_its_own_size(
    git: Callable[..., bytes], bare_repo: Path
) -> None:
    _store(git, bare_repo, [b"", b"x", os.urandom(2047), os.urandom(2048), os.urandom(300 * KIB)])
    pack, offsets = _packed(git, bare_repo)

    assert find_oversize(pack, offsets, 300 * KIB, 300 * KIB) is None
    found = find_oversize(pack, offsets, 300 * KIB - 1, 300 * KIB)
    assert found is not None and found[1] == 300 * KIB


def test_what_a_delta_makes_counts_and_not_how_short_it_is(
    git: Callable[..., bytes], bare_repo: Path
) -> None:
    noise = random.Random(7).randbytes(400 * KIB)
    steps = [noise + random.Random(step).randbytes(step * 40) for step in range(40)]
    _store(git, bare_repo, steps)
    pack, offsets = _packed(git, bare_repo)
    assert os.path.getsize(pack) < 600 * KIB, "git made no deltas"

    assert find_oversize(pack, offsets, len(steps[-1]), 1 << 24) is None
    found = find_oversize(pack, offsets, len(steps[-1]) - 1, 1 << 24)
    assert found is not None and found[1] == len(steps[-1])
