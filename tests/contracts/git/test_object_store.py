"""The cat-file child: bulk without deadlock, limits, and what happens when it or its objects
break.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

from gitkv.errors import IntegrityError, ToolError
from gitkv.git.cat_file import PACK_CHANGES_MAX
from gitkv.git.object_store import CHILDREN_MAX, GitObjectStore
from gitkv.git.pack import PackWriter
from gitkv.git.process import Git
from gitkv.model.oid import BLOB, Oid


@pytest.fixture
def git(bare_repo: Path) -> Git:
    return Git(str(bare_repo), env=os.environ)


def _stored(git: Git, bodies: list[bytes]) -> list[Oid]:
    writer = PackWriter(git.git_dir)
    oids = [writer.add(BLOB, body) for body in bodies]
    git.run("index-pack", "--stdin", stdin=b"".join(writer.finish().chunks()))
    return oids


def test_more_requests_and_answers_than_any_pipe_holds_do_not_block(git: Git) -> None:
    oids = _stored(git, [b"%d" % number * 50 for number in range(20_000)])
    with GitObjectStore(git) as store:
        assert sum(1 for _ in store.read_many(oids, BLOB)) == 20_000
        assert sum(store.sizes(oids)) == sum(len(b"%d" % number * 50) for number in range(20_000))


def test_large_bodies_are_fetched_a_few_at_a_time(git: Git) -> None:
    oids = _stored(git, [bytes([number]) * 600_000 for number in range(60)])
    with GitObjectStore(git) as store:
        assert [body[0] for body in store.read_many(oids, BLOB)] == list(range(60))


def test_an_object_beyond_the_limit_is_refused_before_its_body_is_read(git: Git) -> None:
    [large, small] = _stored(git, [bytes(100_000), b"small"])
    with GitObjectStore(git, object_bytes_max=1000) as store:
        with pytest.raises(IntegrityError, match="100000 bytes, expected at most 1000"):
            store.read(large, BLOB)
        assert store.read(small, BLOB) == b"small"
        assert list(store.sizes([large])) == [100_000]


def test_threads_share_one_child_without_mixing_answers(git: Git) -> None:
    oids = _stored(git, [b"value %d" % number for number in range(200)])
    wrong: list[bytes] = []
    with GitObjectStore(git) as store:

        def look(start: int) -> None:
            for number in range(start, 200):
                body = store.read(oids[number], BLOB)
                if body != b"value %d" % number:
                    wrong.append(body)

        threads = [threading.Thread(target=look, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_forked_process_does_not_read_its_parents_answers(git: Git) -> None:
    oids = _stored(git, [b"value %d" % number for number in range(300)])
    with GitObjectStore(git) as store:

        def all_right() -> bool:
            return all(
                store.read(oid, BLOB) == b"value %d" % number for number, oid in enumerate(oids)
            )

        assert store.read(oids[0], BLOB) == b"value 0"
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if all_right() else 2
                store.close()
            finally:
                os._exit(code)
        assert all_right()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert all_right()


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_killed_child_costs_no_reader_anything(git: Git) -> None:
    [oid] = _stored(git, [b"value"])
    name = oid.hex()
    with GitObjectStore(git) as store:
        for read in (
            lambda: store.read(oid, BLOB) == b"value",
            lambda: list(store.read_many([oid] * 3, BLOB)) == [b"value"] * 3,
            lambda: list(store.sizes([oid])) == [5],
            lambda: store.resolve([name]) == [oid],
        ):
            assert store.has(oid)
            _kill(store.child_pids)
            assert read()


def test_all_children_killed_at_once_are_replaced_and_no_more_than_there_may_be(git: Git) -> None:
    [oid] = _stored(git, [b"value"])
    with GitObjectStore(git) as store:
        with ExitStack() as all_busy:
            for _ in range(CHILDREN_MAX):
                all_busy.enter_context(store._borrowed())
        assert len(store.child_pids) == CHILDREN_MAX
        _kill(store.child_pids)
        for _ in range(2 * CHILDREN_MAX):
            assert store.read(oid, BLOB) == b"value"
        assert len(store.child_pids) <= CHILDREN_MAX


def test_a_git_that_always_ends_is_an_error_and_not_asked_for_ever(
    git: Git, tmp_path: Path
) -> None:
    [oid] = _stored(git, [b"value"])
    starts, program = tmp_path / "starts", tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho >>{starts}\nkill -9 $$\n")
    program.chmod(0o755)
    dying = Git(git.git_dir, env={**git.env, "PATH": f"{program.parent}:{os.environ['PATH']}"})
    with GitObjectStore(dying) as store, pytest.raises(ToolError, match="git cat-file ended"):
        store.read(oid, BLOB)
    assert len(starts.read_bytes().splitlines()) == 2


def test_a_damaged_object_is_an_integrity_error(git: Git) -> None:
    done = git.run("hash-object", "-w", "--stdin", stdin=os.urandom(5000))
    name = done.stdout.decode().strip()
    path = Path(git.git_dir) / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100])
    with GitObjectStore(git) as store, pytest.raises(IntegrityError, match=name):
        store.read(Oid(bytes.fromhex(name)), BLOB)


def test_a_replace_ref_does_not_change_what_is_read(git: Git) -> None:
    real, other = _stored(git, [b"real", b"other"])
    git.run("replace", real.hex(), other.hex())
    with GitObjectStore(git) as store:
        assert store.read(real, BLOB) == b"real"


def test_the_child_ends_when_the_store_is_closed(git: Git) -> None:
    store = GitObjectStore(git)
    store.has(Oid(bytes(20)))
    [pid] = store.child_pids
    store.close()
    assert not Path(f"/proc/{pid}").exists()
    store.close()


def test_a_reader_who_takes_long_stops_no_other(git: Git) -> None:
    """All children but one are at work for somebody; another reader gets the last."""
    [oid] = _stored(git, [b"value"])
    with GitObjectStore(git) as store, ExitStack() as others:
        for _ in range(CHILDREN_MAX - 1):
            others.enter_context(store._borrowed())

        assert store.read(oid, BLOB) == b"value"
        assert len(store.child_pids) == CHILDREN_MAX


def test_readers_never_have_more_children_than_there_may_be(git: Git) -> None:
    oids = _stored(git, [b"%d" % number for number in range(300)])
    most: list[int] = []
    with GitObjectStore(git) as store:

        def read_all() -> None:
            for number, oid in enumerate(oids):
                assert store.read(oid, BLOB) == b"%d" % number
                most.append(len(store.child_pids))

        threads = [threading.Thread(target=read_all) for _ in range(2 * CHILDREN_MAX)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(most) == 300 * len(threads)
        assert max(most) <= CHILDREN_MAX


def test_one_reader_has_one_child(git: Git) -> None:
    oids = _stored(git, [b"%d" % number for number in range(50)])
    with GitObjectStore(git) as store:
        assert store.child_pids == []
        for oid in oids:
            store.read(oid, BLOB)
        assert len(store.child_pids) == 1


def test_a_child_that_answers_while_the_store_is_closed_ends_after_that(git: Git) -> None:
    store = GitObjectStore(git)
    with store._borrowed() as child:
        store.close()
        assert Path(f"/proc/{child.pid}").exists()
    assert not Path(f"/proc/{child.pid}").exists()


def test_maps_and_descriptors_stay_flat_however_many_packs_come_and_go(git: Git) -> None:
    """Each transaction is a pack; packs are rolled up, and git keeps what it has mapped."""
    maps, descriptors = list[int](), list[int]()
    with GitObjectStore(git) as store:
        for number in range(2 * PACK_CHANGES_MAX + 40):
            [oid] = _stored(git, [b"transaction %d" % number])
            assert store.read(oid, BLOB) == b"transaction %d" % number
            for pid in store.child_pids:  # none, when it has just been its time
                maps.append(Path(f"/proc/{pid}/maps").read_text().count("/pack-"))
                descriptors.append(len(os.listdir(f"/proc/{pid}/fd")))
            if number % 48 == 47:
                git.run("repack", "-a", "-d", "-q")

    assert max(maps) > 20, "git maps no packs any more: the children need not be renewed"
    assert max(maps) <= 3 * PACK_CHANGES_MAX
    assert max(descriptors) <= 2 * PACK_CHANGES_MAX
