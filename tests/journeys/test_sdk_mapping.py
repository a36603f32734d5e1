"""A store as a Python program's mapping: what a dict does, a store does, from many threads and
after forks, and leaves no process behind.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gitkv
from gitkv import Store


@pytest.fixture
def store(repo: Path) -> Iterator[Store]:
    gitkv.init(repo)
    with gitkv.open(repo) as opened:
        yield opened


def test_it_reads_as_a_dict_with_the_same_items_does(store: Store) -> None:
    assert isinstance(store, MutableMapping)
    assert len(store) == 0 and not store and dict(store) == {}
    written = {"b": b"2", "a": b"1", "dir/c": b"3"}
    store.update(written)
    assert len(store) == 3 and store
    assert dict(store) == dict(store.items()) == written
    assert list(store) == list(store.keys()) == ["a", "b", "dir/c"]
    assert list(store.values()) == [b"1", b"2", b"3"] and b"3" in store.values()
    assert ("a", b"1") in store.items() and ("a", b"2") not in store.items()
    assert {**store} == written and len(store.items()) == 3


def test_get_gives_the_value_or_the_default_and_value_gives_all_that_is_known(
    store: Store,
) -> None:
    store["a"] = b"1"
    assert store.get("a") == b"1"
    assert store.get("b") is None and store.get("b", b"none") == b"none"
    assert store.value("a").value == b"1" and store.entry("a").size == 1
    assert store.value("a").etag == store.entry("a").etag
    assert store.get("a", at="@0") is None and store.get("a", at="@1") == b"1"


def test_an_expired_key_is_absent_for_every_method_of_a_mapping(store: Store) -> None:
    store.write({"old": gitkv.Put(b"x", "", 1)})
    assert "old" not in store and list(store) == [] and len(store) == 0
    assert store.get("old") is None and store.get("old", allow_expired=True) == b"x"
    with pytest.raises(KeyError):
        store["old"]
    with pytest.raises(gitkv.ExpiredError, match="expired at"):
        store["old"]
    assert store.setdefault("old", b"new") == b"new" == store["old"]


def test_changing_many_keys_is_one_transaction(store: Store) -> None:
    store.update({"a": b"1", "b": b"2"}, c=b"3")
    store.update([("d", b"4")])
    assert next(store.log()).seq == 2
    store.clear()
    assert next(store.log()).seq == 3 and not store
    store.clear()
    assert next(store.log()).seq == 3


def test_pop_and_setdefault_are_those_of_a_dict(store: Store) -> None:
    assert store.setdefault("a", b"1") == b"1" and store.setdefault("a", b"2") == b"1"
    assert store.pop("a") == b"1" and "a" not in store
    assert store.pop("a", None) is None and store.pop("a", b"x") == b"x"
    with pytest.raises(KeyError):
        store.pop("a")
    store["b"] = b"2"
    assert store.popitem() == ("b", b"2")
    with pytest.raises(KeyError):
        store.popitem()
    with pytest.raises(KeyError):
        del store["b"]


def test_what_is_no_key_is_not_in_the_store_or_refused_by_name(store: Store) -> None:
    assert 5 not in store and None not in store
    with pytest.raises(gitkv.KeyInvalidError):
        store.get("a\nb")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "del", "pop", "setdefault", "update"]),
            st.sampled_from(["a", "b", "ä/c", "d "]),
            st.binary(max_size=4),
        ),
        max_size=6,
    )
)
def test_any_sequence_of_changes_leaves_what_a_dict_would_hold(
    store: Store, steps: list[tuple[str, str, bytes]]
) -> None:
    store.clear()
    model: dict[str, bytes] = {}
    for word, key, value in steps:
        for mapping in (model, store):
            if word == "set":
                mapping[key] = value
            elif word == "del":
                mapping.pop(key, None)
            elif word == "setdefault":
                assert mapping.setdefault(key, value) == model[key]
            elif word == "update":
                mapping.update({key: value, "a": b"!"})
            elif key in mapping:
                del mapping[key]
        assert dict(store.items()) == model and len(store) == len(model)


def test_a_store_is_equal_to_itself_alone_and_is_not_copied(store: Store, repo: Path) -> None:
    with gitkv.open(repo) as other:
        assert store == store and store != other and len({store, other}) == 2
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="open one"):
            attempt(store)


def test_a_transaction_reads_with_a_default_too(store: Store) -> None:
    store["a"] = b"1"
    with store.transaction() as tx:
        assert tx.get("a") == b"1" and tx.get("b") is None and tx.get("b", b"x") == b"x"
        assert 5 not in tx
        with pytest.raises(KeyError):
            tx["b"]


# Threads, forks, children


def _children() -> set[int]:
    """Our child processes, zombies too."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return {int(pid) for pid in text.split()}


def test_stores_that_were_never_closed_leave_no_process(repo: Path) -> None:
    gitkv.init(repo)
    before = _children()
    for _ in range(40):
        assert gitkv.open(repo).get("a") is None
    assert _children() == before


def test_threads_share_one_store_for_reading_and_writing(store: Store) -> None:
    def work(worker: int) -> None:
        for step in range(3):
            store[f"w{worker}"] = b"%d" % step
            assert store[f"w{worker}"] == b"%d" % step
            assert f"w{worker}" in list(store)
            assert all(len(value) == 1 for _, value in store.items())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert dict(store.items()) == {f"w{worker}": b"2" for worker in range(6)}
    assert next(store.log()).seq == 18


def test_transactions_of_threads_that_count_up_lose_no_step(store: Store) -> None:
    def count_up(_: int) -> None:
        while True:
            try:
                with store.transaction() as tx:
                    tx["n"] = b"%d" % (int(tx.get("n", b"0")) + 1)
                return
            except gitkv.ConflictError:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(12)))
    assert store["n"] == b"12"


def _in_fork(work: Callable[[], None]) -> int:
    """Runs `work` in a forked process; 0 when it went well, the signal number when it hung."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return 9


def test_parent_and_child_of_a_fork_both_go_on(store: Store) -> None:
    store["a"] = b"1"

    def child() -> None:
        assert store["a"] == b"1"
        store["child"] = b"c"

    assert _in_fork(child) == 0
    assert store["child"] == b"c"
    store["parent"] = b"p"
    assert sorted(store) == ["a", "child", "parent"]


def test_a_fork_in_the_middle_of_other_threads_work_is_not_blocked(store: Store) -> None:
    store["a"] = b"1"
    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(lambda: [store.get("a") for _ in range(200)]) for _ in range(3)]
        codes = [_in_fork(lambda: store.__setitem__("x", b"y")) for _ in range(5)]
        assert all(set(task.result()) == {b"1"} for task in busy)
    assert codes == [0] * 5


def _get(folder: str, key: str) -> bytes | None:
    with gitkv.open(folder) as store:
        return store.get(key)


def test_processes_of_a_pool_open_stores_of_their_own(store: Store, repo: Path) -> None:
    store["a"] = b"1"
    with get_context("fork").Pool(2) as pool:
        assert pool.starmap(_get, [(str(repo), "a")] * 4) == [b"1"] * 4


_OPEN_AND_HANG = """
import os, sys, time, gitkv
store = gitkv.open(sys.argv[1])
store.get("a")
pid = os.fork()  # a worker that never touches the store
if pid == 0:
    time.sleep(600)
children = open(f"/proc/self/task/{os.getpid()}/children").read()
print(pid, *[child for child in children.split() if int(child) != pid], flush=True)
time.sleep(600)
"""


def test_the_git_child_ends_with_a_killed_parent_although_a_fork_of_it_lives(
    store: Store, repo: Path
) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    holder = subprocess.Popen(
        [sys.executable, "-c", _OPEN_AND_HANG, str(repo)], stdout=subprocess.PIPE, env=env
    )
    assert holder.stdout is not None
    worker, git = map(int, holder.stdout.readline().split())
    try:
        holder.kill()
        holder.wait()
        deadline_s = time.monotonic() + 30
        while _runs(git):
            assert time.monotonic() < deadline_s, "git cat-file outlived its parent"
            time.sleep(0.01)
    finally:
        os.kill(worker, 9)
        holder.stdout.close()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False
