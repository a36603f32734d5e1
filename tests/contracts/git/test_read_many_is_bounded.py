"""Reading many objects holds a few megabytes of them at a time, whatever they inflate to."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from conftest import GitRunner

from gitkv.git.object_store import GitObjectStore
from gitkv.git.process import Git
from gitkv.model.oid import BLOB, Oid


def test_a_row_of_large_objects_is_never_held_at_once(bare_repo: Path, git: GitRunner) -> None:
    bodies = [b"%d" % number + bytes(8 << 20) for number in range(12)]
    oids = [
        Oid(
            bytes.fromhex(
                git("hash-object", "-w", "--stdin", cwd=bare_repo, input=body).decode().strip()
            )
        )
        for body in bodies
    ]
    sizes = [len(body) for body in bodies]
    del bodies
    with GitObjectStore(Git(str(bare_repo), env={})) as store:
        tracemalloc.start()
        assert [len(body) for body in store.read_many(oids, BLOB)] == sizes
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * (8 << 20)
